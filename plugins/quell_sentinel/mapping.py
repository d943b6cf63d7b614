"""Translates the properties of a Sentinel incident into canonical fields and back.

Reading is lenient, writing strict, and a present raw value that already stands for the
canonical one is left alone; nothing else may stand for it, or sync would miss news. Sentinel
knows four pairs of classification and reason where the detecting product knows fifteen
determinations: a false positive keeps its finer answer in the reason (`IncorrectAlertLogic` is
"not malicious", `InaccurateData` is "not enough data" or "other"), the rest stays in the
canonical fields and in the other product's shadow.

https://learn.microsoft.com/rest/api/securityinsights/incidents/create-or-update
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from quell.domain.incident import (
    Classification,
    Determination,
    IncidentFields,
    Owner,
    Severity,
    Status,
    Verdict,
)
from quell_microsoft.lenient import fold, mapping, member, text
from quell_sentinel.labels import read_tags, write_tags

__all__ = ["DESCRIPTION_LIMIT", "WRITABLE", "clamp", "native_of", "project", "read_fields", "write"]

#: canonical field names that Sentinel accepts in a PUT
WRITABLE = frozenset(
    ("title", "description", "severity", "status", "owner", "verdict", "closing_comment", "tags")
)
#: most characters of a description, as the service counts them (UTF-16 units)
DESCRIPTION_LIMIT = 5_000
NO_TITLE = "(no title)"

STATUS_WRITE = {Status.NEW: "New", Status.ACTIVE: "Active", Status.CLOSED: "Closed"}
_STATUS_READ = {fold(raw): ours for ours, raw in STATUS_WRITE.items()}
SEVERITY_WRITE = {
    # Sentinel has no "unknown"
    Severity.UNKNOWN: "Informational",
    Severity.INFORMATIONAL: "Informational",
    Severity.LOW: "Low",
    Severity.MEDIUM: "Medium",
    Severity.HIGH: "High",
}
CLASSIFICATION_WRITE = {
    Classification.UNDETERMINED: "Undetermined",
    Classification.TRUE_POSITIVE: "TruePositive",
    Classification.BENIGN_POSITIVE: "BenignPositive",
    Classification.FALSE_POSITIVE: "FalsePositive",
}
_CLASSIFICATION_READ = {fold(raw): ours for ours, raw in CLASSIFICATION_WRITE.items()}
#: the only reason that the portal offers for these
REASON_WRITE = {
    Classification.TRUE_POSITIVE: "SuspiciousActivity",
    Classification.BENIGN_POSITIVE: "SuspiciousButExpected",
}
LOGIC, DATA = "IncorrectAlertLogic", "InaccurateData"
_REASON_READ = {
    fold(LOGIC): Determination.NOT_MALICIOUS,
    fold(DATA): Determination.NOT_ENOUGH_DATA,
}

# -- reading -----------------------------------------------------------------------------------


def native_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Take each canonical field's raw value out of the properties, exactly as it came."""
    return {
        "title": properties.get("title"),
        "description": properties.get("description"),
        "severity": properties.get("severity"),
        "status": properties.get("status"),
        "owner": properties.get("owner"),
        "verdict": {
            "classification": properties.get("classification"),
            "classificationReason": properties.get("classificationReason"),
        },
        "closing_comment": properties.get("classificationComment"),
        "tags": properties.get("labels"),
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
    """Read the owner's object; one without any name is nobody."""
    raw = mapping(value)
    owner = Owner(
        object_id=_word(raw.get("objectId")),
        upn=_word(raw.get("userPrincipalName")),
        email=_word(raw.get("email")),
        name=_word(raw.get("assignedTo")),
    )
    return owner if owner.label or owner.object_id else None


def _word(value: Any) -> str | None:
    return (text(value) or "").strip() or None


def read_verdict(value: Any) -> Verdict:
    """Read a classification and what its reason says about the determination."""
    raw = mapping(value)
    classification = _CLASSIFICATION_READ.get(
        fold(text(raw.get("classification")) or ""), Classification.UNDETERMINED
    )
    if classification is not Classification.FALSE_POSITIVE:
        return Verdict(classification=classification)
    reason = fold(text(raw.get("classificationReason")) or "")
    return Verdict(
        classification=classification,
        determination=_REASON_READ.get(reason, Determination.UNKNOWN),
    )


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


def write(name: str, fields: IncidentFields) -> Any:
    """Give the raw value of one canonical field for an incident that does not exist yet."""
    return _WRITE[name](getattr(fields, name), _AT_FIRST.get(name))


def _stands(name: str, wanted: Any, present: Any) -> bool:
    if name == "owner":
        return wanted is not None and same_owner(wanted, read_owner(present))
    if name == "verdict":
        return _same_verdict(wanted or Verdict(), present)
    if name == "description":
        return _plain(clamp(wanted)) == _plain(present)
    return name in ("title", "closing_comment") and _plain(wanted) == _plain(present)


def same_owner(wanted: Owner, present: Owner | None) -> bool:
    """Tell whether two owners are one: by object id where both have it, else by any name."""
    if present is None:
        return False
    if wanted.object_id and present.object_id:
        return wanted.object_id.lower() == present.object_id.lower()
    return bool(_addresses(wanted) & _addresses(present)) or (
        wanted.upn is None
        and wanted.email is None
        and _folded(wanted.name) == _folded(present.name)
    )


def _addresses(owner: Owner) -> set[str]:
    return {name.casefold() for name in (owner.upn, owner.email) if name}


def _folded(name: str | None) -> str | None:
    return name.casefold() if name else None


def _same_verdict(wanted: Verdict, present: Any) -> bool:
    """Tell whether the pair there is what the verdict is written as, whatever its case."""
    raw = mapping(present)
    return all(
        fold(text(raw.get(half)) or "") == fold(value or "")
        for half, value in _write_verdict(wanted, present).items()
    )


def _plain(value: Any) -> str:
    return (text(value) or "").replace("\r\n", "\n").strip()


def clamp(value: str | None) -> str:
    """Cut a description to what Sentinel takes."""
    words = (value or "").encode("utf-16-le", "surrogatepass")
    if len(words) <= 2 * DESCRIPTION_LIMIT:
        return value or ""
    # half of a surrogate pair at the cut is left out
    return words[: 2 * DESCRIPTION_LIMIT].decode("utf-16-le", "ignore")


def _write_verdict(value: Verdict | None, _present: Any) -> dict[str, str | None]:
    wanted = value or Verdict()
    reason = REASON_WRITE.get(wanted.classification)
    if wanted.classification is Classification.FALSE_POSITIVE:
        reason = LOGIC if wanted.determination is Determination.NOT_MALICIOUS else DATA
    return {
        "classification": CLASSIFICATION_WRITE[wanted.classification],
        "classificationReason": reason,
    }


def _write_owner(wanted: Owner | None, _present: Any) -> dict[str, str | None]:
    owner = wanted or Owner()
    return {
        "objectId": owner.object_id,
        "email": owner.email,
        "assignedTo": owner.name,
        "userPrincipalName": owner.upn,
    }


#: what an incident must have and nobody has said
_AT_FIRST = {
    "severity": SEVERITY_WRITE[Severity.UNKNOWN],
    "status": STATUS_WRITE[Status.NEW],
}
_WRITE: dict[str, Callable[[Any, Any], Any]] = {
    # an incident cannot lose its title
    "title": lambda wanted, _: wanted or NO_TITLE,
    "description": lambda wanted, _: clamp(wanted),
    "severity": lambda wanted, present: SEVERITY_WRITE.get(wanted, present),
    "status": lambda wanted, present: STATUS_WRITE.get(wanted, present),
    "owner": _write_owner,
    "verdict": _write_verdict,
    "closing_comment": lambda wanted, _: wanted or "",
    "tags": write_tags,
}
