"""Translates the fields of a Defender incident into canonical ones and back.

Reading is lenient: an enum member that we do not know, or an old name, never fails. Writing is
strict: only members that the service documents as writable can come out. A present raw value
that already stands for the canonical one is left alone, so that a free-text owner or a retired
determination never makes two queues answer each other for ever. Nothing else may stand for it:
what `project` gives back unchanged is no news to sync.

https://learn.microsoft.com/graph/api/security-incident-update
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from quell.domain.incident import (
    Classification,
    Determination,
    IncidentFields,
    Owner,
    Severity,
    Status,
    Verdict,
)
from quell_defender.fields import WRITABLE
from quell_microsoft.lenient import first, fold, items, mapping, member, text, texts

__all__ = ["WRITABLE", "native_of", "project", "read_fields", "read_owner", "read_verdict"]

NO_TITLE = "(no title)"

_STATUS_READ = {
    "active": Status.NEW,
    "new": Status.NEW,
    "inprogress": Status.ACTIVE,
    "awaitingaction": Status.ACTIVE,
    "resolved": Status.CLOSED,
    "redirected": Status.CLOSED,
}
STATUS_WRITE = {Status.NEW: "active", Status.ACTIVE: "inProgress", Status.CLOSED: "resolved"}
SEVERITY_WRITE = {
    # "unknown" is the product's own: it is read, not written
    Severity.UNKNOWN: "informational",
    Severity.INFORMATIONAL: "informational",
    Severity.LOW: "low",
    Severity.MEDIUM: "medium",
    Severity.HIGH: "high",
}
CLASSIFICATION_WRITE = {
    Classification.UNDETERMINED: "unknown",
    Classification.TRUE_POSITIVE: "truePositive",
    Classification.BENIGN_POSITIVE: "informationalExpectedActivity",
    Classification.FALSE_POSITIVE: "falsePositive",
}
_CLASSIFICATION_READ = {fold(raw): ours for ours, raw in CLASSIFICATION_WRITE.items()} | {
    "benignpositive": Classification.BENIGN_POSITIVE,
}
#: `apt` and `securityPersonnel` are retired: read, but no longer written
DETERMINATION_WRITE = {
    Determination.UNKNOWN: "unknown",
    Determination.MALWARE: "malware",
    Determination.SECURITY_TESTING: "securityTesting",
    Determination.UNWANTED_SOFTWARE: "unwantedSoftware",
    Determination.OTHER: "other",
    Determination.MULTI_STAGED_ATTACK: "multiStagedAttack",
    Determination.COMPROMISED_ACCOUNT: "compromisedAccount",
    Determination.PHISHING: "phishing",
    Determination.MALICIOUS_USER_ACTIVITY: "maliciousUserActivity",
    Determination.NOT_MALICIOUS: "notMalicious",
    Determination.NOT_ENOUGH_DATA: "notEnoughDataToValidate",
    Determination.CONFIRMED_ACTIVITY: "confirmedActivity",
    Determination.LINE_OF_BUSINESS_APPLICATION: "lineOfBusinessApplication",
}
#: names that older pages and portals print for the same members
_DETERMINATION_OLD = {
    "compromiseduser": Determination.COMPROMISED_ACCOUNT,
    "clean": Determination.NOT_MALICIOUS,
    "insufficientdata": Determination.NOT_ENOUGH_DATA,
    "confirmeduseractivity": Determination.CONFIRMED_ACTIVITY,
}
#: which determinations the portal offers below each classification
COHERENT = {
    Classification.UNDETERMINED: frozenset({Determination.UNKNOWN}),
    Classification.TRUE_POSITIVE: frozenset({
        Determination.UNKNOWN,
        Determination.MULTI_STAGED_ATTACK,
        Determination.MALICIOUS_USER_ACTIVITY,
        Determination.COMPROMISED_ACCOUNT,
        Determination.MALWARE,
        Determination.PHISHING,
        Determination.UNWANTED_SOFTWARE,
        Determination.OTHER,
    }),
    Classification.BENIGN_POSITIVE: frozenset({
        Determination.UNKNOWN,
        Determination.SECURITY_TESTING,
        Determination.LINE_OF_BUSINESS_APPLICATION,
        Determination.CONFIRMED_ACTIVITY,
        Determination.OTHER,
    }),
    Classification.FALSE_POSITIVE: frozenset({
        Determination.UNKNOWN,
        Determination.NOT_MALICIOUS,
        Determination.NOT_ENOUGH_DATA,
        Determination.OTHER,
    }),
}  # fmt: skip

# -- reading -----------------------------------------------------------------------------------


def native_of(incident: Mapping[str, Any]) -> dict[str, Any]:
    """Take each canonical field's raw value out of an incident, exactly as it came."""
    return {
        "title": first(incident, "displayName", "incidentName"),
        "description": incident.get("description"),
        "severity": incident.get("severity"),
        "status": incident.get("status"),
        "owner": incident.get("assignedTo"),
        "verdict": {
            "classification": incident.get("classification"),
            "determination": incident.get("determination"),
        },
        "closing_comment": incident.get("resolvingComment"),
        "tags": first(incident, "customTags", "tags"),
    }


def read_fields(native: Mapping[str, Any]) -> IncidentFields:
    """Read raw values into canonical words. Never fails."""
    return IncidentFields(**{name: read(native.get(name)) for name, read in _READ.items()})


def read_severity(value: Any) -> Severity:
    """Read a severity; none, or a member that we do not know, is `unknown`."""
    return member(Severity, value, Severity.UNKNOWN)


def read_status(value: Any) -> Status:
    """Read a status; a member that we do not know means that somebody works on it."""
    status = fold(value) if isinstance(value, str) else ""
    return _STATUS_READ.get(status, Status.ACTIVE) if status else Status.NEW


def read_owner(value: Any) -> Owner | None:
    """Read the free text of an owner: an object id, an address, or else a name."""
    label = (text(value) or "").strip()
    if not label:
        return None
    if _is_guid(label):
        return Owner(object_id=label)
    return Owner(upn=label) if "@" in label else Owner(name=label)


def _is_guid(label: str) -> bool:
    try:
        return str(UUID(label)) == label.lower()
    except ValueError:
        return False


def read_verdict(value: Any) -> Verdict:
    """Read a classification with its determination, also by their old names."""
    raw = mapping(value)
    classification = fold(text(raw.get("classification")) or "")
    determination = raw.get("determination")
    return Verdict(
        classification=_CLASSIFICATION_READ.get(classification, Classification.UNDETERMINED),
        determination=_DETERMINATION_OLD.get(
            fold(text(determination) or ""),
            member(Determination, determination, Determination.UNKNOWN),
        ),
    )


def read_tags(value: Any) -> frozenset[str]:
    """Read the custom tags as a set; surrounding spaces are not part of a tag."""
    return frozenset(tag.strip() for tag in texts(items(value)) if tag.strip())


_READ: dict[str, Callable[[Any], Any]] = {
    "title": text,
    "description": text,
    "severity": read_severity,
    "status": read_status,
    "owner": read_owner,
    "verdict": read_verdict,
    "closing_comment": text,
    "tags": read_tags,
}

# -- writing -----------------------------------------------------------------------------------


def project(name: str, fields: IncidentFields, native: Mapping[str, Any]) -> Any:
    """Give the raw value that one canonical field should have; the present one where it will do."""
    present = native.get(name)
    wanted = getattr(fields, name)
    if _READ[name](present) == wanted or _stands(name, wanted, present):
        return present
    return _WRITE[name](wanted, present)


def _stands(name: str, wanted: Any, present: Any) -> bool:
    if name == "owner":
        return wanted is not None and _same_owner(wanted, read_owner(present))
    return name in ("title", "description", "closing_comment") and _same_text(wanted, present)


def _same_owner(wanted: Owner, present: Owner | None) -> bool:
    label = present and (present.object_id or present.label)
    names = {wanted.object_id, wanted.upn, wanted.email, wanted.name}
    return bool(label) and str(label).casefold() in {str(name).casefold() for name in names if name}


def _same_text(wanted: str | None, present: Any) -> bool:
    def plain(value: Any) -> str:
        return (text(value) or "").replace("\r\n", "\n").strip()

    return plain(wanted) == plain(present)


def _write_verdict(value: Verdict | None, _present: Any) -> dict[str, str]:
    wanted = value or Verdict()
    determination = wanted.determination
    if determination not in COHERENT[wanted.classification]:
        is_open = wanted.classification is Classification.UNDETERMINED
        determination = Determination.UNKNOWN if is_open else Determination.OTHER
    return {
        "classification": CLASSIFICATION_WRITE[wanted.classification],
        "determination": DETERMINATION_WRITE[determination],
    }


def _write_owner(wanted: Owner | None, _present: Any) -> str | None:
    return None if wanted is None else wanted.label or wanted.object_id


_WRITE: dict[str, Callable[[Any, Any], Any]] = {
    # an incident cannot lose its title
    "title": lambda wanted, _: wanted or NO_TITLE,
    "description": lambda wanted, _: wanted,
    "severity": lambda wanted, present: SEVERITY_WRITE.get(wanted, present),
    "status": lambda wanted, present: STATUS_WRITE.get(wanted, present),
    "owner": _write_owner,
    "verdict": _write_verdict,
    "closing_comment": lambda wanted, _: wanted,
    "tags": lambda wanted, _: sorted(wanted),
}
