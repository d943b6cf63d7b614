"""What Graph's incidents and alerts share: enums, validation of writes, masking of new members."""

from __future__ import annotations

from typing import Any

from quell_microsoft.simulator.call import Call
from quell_microsoft.simulator.odata import Kind
from quell_microsoft.simulator.wire import Json, Refusal, as_objects

COMMENT_LIMIT = 30_000
#: members after `unknownFutureValue` are shown only to who asks for them
INCIDENT_STATUSES = ("active", "resolved", "inProgress", "redirected")
LATER_INCIDENT_STATUSES = ("awaitingAction",)
ALERT_STATUSES = ("unknown", "new", "inProgress", "resolved")
SEVERITIES = ("unknown", "informational", "low", "medium", "high")
CLASSIFICATIONS = (
    "unknown",
    "falsePositive",
    "truePositive",
    "informationalExpectedActivity",
)
DETERMINATIONS = (
    "unknown",
    "apt",
    "malware",
    "securityPersonnel",
    "securityTesting",
    "unwantedSoftware",
    "other",
    "multiStagedAttack",
    "compromisedAccount",
    "phishing",
    "maliciousUserActivity",
    "notMalicious",
    "notEnoughDataToValidate",
    "confirmedActivity",
    "lineOfBusinessApplication",
)
_LATER_MEMBERS = {
    "status": frozenset(LATER_INCIDENT_STATUSES),
    "serviceSource": frozenset(
        {
            "microsoftDefenderForCloud",
            "microsoftSentinel",
            "microsoftInsiderRiskManagement",
            "microsoftThreatIntelligence",
            "microsoftSecurityForAI",
        }
    ),
    "detectionSource": frozenset(
        {
            "microsoftDefenderForCloud",
            "microsoftDefenderForIoT",
            "microsoftDefenderForServers",
            "microsoftDefenderForStorage",
            "microsoftDefenderForDNS",
            "microsoftDefenderForDatabases",
            "microsoftDefenderForContainers",
            "microsoftDefenderForNetwork",
            "microsoftDefenderForAppService",
            "microsoftDefenderForKeyVault",
            "microsoftDefenderForResourceManager",
            "microsoftDefenderForApiManagement",
            "nrtAlerts",
            "scheduledAlerts",
            "microsoftDefenderThreatIntelligenceAnalytics",
            "builtInMl",
            "microsoftInsiderRiskManagement",
            "microsoftThreatIntelligence",
            "microsoftDefenderForAIServices",
            "securityCopilot",
            "microsoftSentinel",
        }
    ),
    "remediationStatus": frozenset(
        {
            "active",
            "pendingApproval",
            "declined",
            "unremediated",
            "running",
            "partiallyRemediated",
        }
    ),
}
FILTERABLE = {
    "assignedTo": Kind.TEXT,
    "classification": Kind.TEXT,
    "createdDateTime": Kind.MOMENT,
    "determination": Kind.TEXT,
    "lastUpdateDateTime": Kind.MOMENT,
    "severity": Kind.TEXT,
    "status": Kind.TEXT,
}


def asks_for_later_members(call: Call) -> bool:
    """Tell whether the client can take enum members that came after the enum was closed."""
    wishes = call.headers.get("prefer", "").casefold()
    return "include-unknown-enum-members" in wishes


def mask(body: Json, call: Call) -> Json:
    """Hide later enum members from a client that did not ask for them."""
    if asks_for_later_members(call):
        return body
    masked = _mask_fields(body)
    if isinstance(body.get("evidence"), list):
        masked["evidence"] = [_mask_item(item) for item in body["evidence"]]
    if isinstance(body.get("alerts"), list):
        masked["alerts"] = [mask(alert, call) for alert in as_objects(body["alerts"])]
    return masked


def _mask_item(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    return _mask_fields(item)  # pyright: ignore[reportUnknownArgumentType]


def _mask_fields(body: Json) -> Json:
    masked = dict(body)
    for name, later in _LATER_MEMBERS.items():
        value = body.get(name)
        if isinstance(value, str) and value in later:
            masked[name] = "unknownFutureValue"
    return masked


def enum_value(name: str, value: Any, members: tuple[str, ...]) -> str:
    """Check an enum value of a write, whatever its case; refuses what is no member."""
    found = next(
        (
            member
            for member in members
            if isinstance(value, str) and member.casefold() == value.casefold()
        ),
        None,
    )
    if found is None:
        text = f"Invalid value specified for property '{name}' of resource."
        raise Refusal(400, "BadRequest", text)
    return found


def text_or_null(name: str, value: Any) -> str | None:
    """Check a text property of a write."""
    if value is None or isinstance(value, str):
        return value
    raise Refusal(400, "BadRequest", f"Invalid type for property '{name}': a string is expected.")


def text_list(name: str, value: Any) -> list[str]:
    """Check a list of texts of a write."""
    items: list[Any] = value if isinstance(value, list) else [None]  # pyright: ignore[reportUnknownVariableType]
    if not all(isinstance(item, str) for item in items):
        text = f"Invalid type for property '{name}': a collection of strings is expected."
        raise Refusal(400, "BadRequest", text)
    return list(dict.fromkeys(items))


def read_comment(call: Call) -> str:
    """Read the body of a POST to comments."""
    body = call.json_object()
    unknown = set(body) - {"comment", "@odata.type", "createdByDisplayName", "createdDateTime"}
    if unknown:
        raise unknown_property(sorted(unknown)[0], "microsoft.graph.security.alertComment")
    comment = body.get("comment")
    if not isinstance(comment, str) or not comment.strip():
        raise Refusal(400, "BadRequest", "The comment must not be empty.")
    if len(comment) > COMMENT_LIMIT:
        text = f"The comment must not be longer than {COMMENT_LIMIT} characters."
        raise Refusal(400, "BadRequest", text)
    return comment


def unknown_property(name: str, type_name: str) -> Refusal:
    """Refuse a property that the type does not have (Assumed: code BadRequest)."""
    text = (
        f"The property '{name}' does not exist on type '{type_name}'. Make sure to only use "
        "property names that are defined by the type."
    )
    return Refusal(400, "BadRequest", text)


def read_only(name: str) -> Refusal:
    """Refuse a write to a read-only property (Assumed: code BadRequest)."""
    return Refusal(400, "BadRequest", f"Property '{name}' is read-only and cannot be updated.")


def author(call: Call) -> str:
    """Name the caller as Defender's `lastModifiedBy` does."""
    return f"API-App:{call.caller.name}"


def context(call: Call, path: str) -> str:
    """Write the context address; the version follows the request's."""
    version = "beta" if call.path.casefold().startswith("/beta") else "v1.0"
    return f"https://graph.microsoft.com/{version}/$metadata#{path}"
