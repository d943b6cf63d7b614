"""How Microsoft's connector words a Defender incident in Sentinel, field by field, and back."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from .state.clock import sortable
from .state.items import Alert, Incident
from .state.tenant import Tenant
from .state.workspaces import SentinelIncident, Workspace
from .wire import Json, as_object, as_objects, as_text, as_texts

REDIRECTED = "Redirected"
#: what goes back to Defender; everything else flows one way
BACK = ("status", "classification", "owner")
_STATUS = {
    "active": "New",
    "inProgress": "Active",
    "resolved": "Closed",
    "awaitingAction": "Active",
    "redirected": "Closed",
}
_STATUS_BACK = {"New": "active", "Active": "inProgress", "Closed": "resolved"}
_SEVERITY = {"high": "High", "medium": "Medium", "low": "Low"}
_VERDICT = {
    "truePositive": ("TruePositive", "SuspiciousActivity"),
    "falsePositive": ("FalsePositive", "InaccurateData"),
    "informationalExpectedActivity": ("BenignPositive", "SuspiciousButExpected"),
}
_VERDICT_BACK = {
    "TruePositive": "truePositive",
    "FalsePositive": "falsePositive",
    "BenignPositive": "informationalExpectedActivity",
    "Undetermined": "unknown",
}
_PRODUCTS = {
    "microsoftDefenderForEndpoint": "Microsoft Defender Advanced Threat Protection",
    "microsoftDefenderForIdentity": "Azure Advanced Threat Protection",
    "microsoftDefenderForOffice365": "Office 365 Advanced Threat Protection",
    "microsoftDefenderForCloudApps": "Microsoft Cloud App Security",
    "azureAdIdentityProtection": "Azure Active Directory Identity Protection",
}
_ALERT_STATUS = {"new": "New", "inProgress": "InProgress", "resolved": "Resolved"}
_TACTICS = frozenset(
    {
        "Reconnaissance", "ResourceDevelopment", "InitialAccess", "Execution", "Persistence",
        "PrivilegeEscalation", "DefenseEvasion", "CredentialAccess", "Discovery",
        "LateralMovement", "Collection", "Exfiltration", "CommandAndControl", "Impact",
        "PreAttack", "ImpairProcessControl", "InhibitResponseFunction",
    }
)  # fmt: skip


def defender_view(tenant: Tenant, incident: Incident, alerts: Sequence[Alert]) -> dict[str, Json]:
    """Say in Sentinel's words what each field of a Defender incident holds."""
    body = incident.body
    return {
        "title": {"title": body.get("displayName")},
        "description": {"description": (as_text(body.get("description")))[:5000] or None},
        "severity": {"severity": _SEVERITY.get(as_text(body.get("severity")), "Informational")},
        "status": {"status": _STATUS.get(as_text(body.get("status")), "New")},
        "classification": _verdict(body),
        "owner": {"owner": _owner(tenant, as_text(body.get("assignedTo")))},
        "activity": _activity(body, alerts),
    }


def sentinel_view(copy: SentinelIncident) -> dict[str, Json]:
    """Say what a copy holds in the fields that go back."""
    properties = copy.properties
    verdict = ("classification", "classificationReason")
    return {
        "status": {"status": properties.get("status")},
        "classification": {name: properties.get(name) for name in verdict},
        "owner": {"owner": as_object(properties.get("owner"))},
    }


def backward(group: str, said: Json) -> Json:
    """Say in Defender's words what a person wrote in Sentinel; empty where it has no words."""
    if group == "status":
        return {"status": _STATUS_BACK[as_text(said["status"])]}
    if group == "classification":
        if said["classificationReason"] == "IncorrectAlertLogic":
            return {}  # documented as having no equivalent
        verdict = as_text(said["classification"])
        return {"classification": _VERDICT_BACK.get(verdict, "unknown")}
    owner = as_object(said["owner"])
    name = as_text(owner.get("userPrincipalName")) or as_text(owner.get("email"))
    # Assumed: an owner known by display name only has no equivalent
    return {} if not name and as_text(owner.get("assignedTo")) else {"assignedTo": name or None}


def tags_of(body: Json) -> list[str]:
    """List the tags that a copy should have."""
    extra = [REDIRECTED] if body.get("status") == "redirected" else []
    return list(dict.fromkeys(as_texts(body.get("customTags")) + extra))


def relabel(copy: SentinelIncident, brought: set[str], tags: list[str]) -> list[Json]:
    """Replace the labels that the connector brought and keep those that people added."""
    labels = as_objects(copy.properties.get("labels"))
    kept = [label for label in labels if as_text(label.get("labelName")) not in brought]
    names = {as_text(label.get("labelName")) for label in kept}
    # Assumed: Microsoft does not say which type the labels of synced tags have
    added = [{"labelName": tag, "labelType": "AutoAssigned"} for tag in tags if tag not in names]
    return kept + added


def _verdict(body: Json) -> Json:
    """Assumed: an open incident without a verdict has none; a closed one is `Undetermined`."""
    none = ("Undetermined", None) if body.get("status") == "resolved" else (None, None)
    classification, reason = _VERDICT.get(as_text(body.get("classification")), none)
    return {"classification": classification, "classificationReason": reason}


def _owner(tenant: Tenant, owner: str) -> Json:
    user = tenant.users.find(owner) if owner else None
    return {
        "objectId": user.body["id"] if user else None,
        "email": owner or None,
        "assignedTo": user.body["displayName"] if user else owner or None,
        "userPrincipalName": owner or None,
    }


def _activity(body: Json, alerts: Sequence[Alert]) -> Json:
    created = body.get("createdDateTime")
    first = [alert.body.get("firstActivityDateTime") for alert in alerts]
    last = [alert.body.get("lastActivityDateTime") for alert in alerts]
    return {
        "firstActivityTimeUtc": min(filter(sortable, first), key=_place, default=created),
        "lastActivityTimeUtc": max(filter(sortable, last), key=_place, default=created),
    }


def _place(text: object) -> tuple[str, str]:
    return sortable(text) or ("", "")


def alert_name(body: Json) -> str:
    """Give the id that Sentinel has for a Defender alert."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, body["id"]))


def alert_entity(workspace: Workspace, name: str, body: Json) -> Json:
    """Write a Defender alert as Sentinel's SecurityAlert entity."""
    severity = _SEVERITY.get(as_text(body.get("severity")), "Informational")
    source = as_text(body.get("serviceSource"))
    # Assumed: categories that are tactics become tactics
    tactics = [tactic for tactic in as_texts(body.get("categories")) if tactic in _TACTICS]
    return {
        "id": workspace.arm_id(f"Entities/{name}"),
        "name": name,
        "type": "Microsoft.SecurityInsights/Entities",
        "kind": "SecurityAlert",
        "properties": {
            "systemAlertId": name,
            "alertDisplayName": body.get("title"),
            "friendlyName": body.get("title"),
            "description": body.get("description"),
            "confidenceLevel": "Unknown",
            "severity": severity,
            "vendorName": "Microsoft",
            "productName": _PRODUCTS.get(source, "Microsoft 365 Defender"),
            "alertType": as_text(body.get("detectorId")) or "Unknown",
            "providerAlertId": body.get("providerAlertId"),
            "processingEndTime": body.get("createdDateTime"),
            "status": _ALERT_STATUS.get(as_text(body.get("status")), "New"),
            "startTimeUtc": body.get("firstActivityDateTime") or body.get("createdDateTime"),
            "endTimeUtc": body.get("lastActivityDateTime") or body.get("createdDateTime"),
            "timeGenerated": body.get("createdDateTime"),
            "tactics": tactics,
            "alertLink": body.get("alertWebUrl"),
            "additionalData": {},
            "resourceIdentifiers": [],
        },
    }
