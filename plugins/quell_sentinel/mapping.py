"""Translates the properties of a Sentinel incident into canonical fields and back.

Reading is lenient, writing strict, and a present raw value that already stands for the
canonical one is left alone; nothing else may stand for it, or sync would miss news.

https://learn.microsoft.com/rest/api/securityinsights/incidents/create-or-update
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from quell.domain.incident import (
    IncidentFields,
    Owner,
    Severity,
    Status,
    Verdict,
)
from quell_microsoft.lenient import fold, items, mapping, member, text, texts
from quell_microsoft.stamps import parse_moment, write_stamp
from quell_microsoft.tactics import read_tactics
from quell_sentinel.fields import WRITABLE
from quell_sentinel.labels import read_tags, tag_labels, write_tags
from quell_sentinel.products import read_product
from quell_sentinel.verdicts import native_verdict, read_verdict, same_verdict, write_verdict

__all__ = ["DESCRIPTION_LIMIT", "WRITABLE", "clamp", "native_of", "project", "read_fields", "write"]

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

# -- reading -----------------------------------------------------------------------------------


def native_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Take each canonical field's raw value out of the properties, exactly as it came."""
    more = mapping(properties.get("additionalData"))
    return {
        "title": properties.get("title"),
        "description": properties.get("description"),
        "severity": properties.get("severity"),
        "status": properties.get("status"),
        "owner": properties.get("owner"),
        "verdict": native_verdict(properties),
        "closing_comment": properties.get("classificationComment"),
        "tags": tag_labels(properties.get("labels")),
        "first_activity": properties.get("firstActivityTimeUtc"),
        "last_activity": properties.get("lastActivityTimeUtc"),
        "tactics": more.get("tactics"),
        "products": more.get("alertProductNames"),
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


def read_products(value: Any) -> frozenset[str]:
    """Read the products that an incident's alerts come from, in quell's spelling."""
    return frozenset(read_product(name) for name in texts(items(value)))


_READ: dict[str, Callable[[Any], Any]] = {
    "title": text,
    "description": text,
    "severity": read_severity,
    "status": read_status,
    "owner": read_owner,
    "verdict": read_verdict,
    "closing_comment": text,
    "tags": read_tags,
    "first_activity": parse_moment,
    "last_activity": parse_moment,
    "tactics": lambda value: read_tactics(texts(items(value))),
    "products": read_products,
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
        return same_verdict(wanted or Verdict(), present)
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


def _plain(value: Any) -> str:
    return (text(value) or "").replace("\r\n", "\n").strip()


def clamp(value: str | None) -> str:
    """Cut a description to what Sentinel takes."""
    words = (value or "").encode("utf-16-le", "surrogatepass")
    if len(words) <= 2 * DESCRIPTION_LIMIT:
        return value or ""
    # half of a surrogate pair at the cut is left out
    return words[: 2 * DESCRIPTION_LIMIT].decode("utf-16-le", "ignore")


def _write_owner(wanted: Owner | None, _present: Any) -> dict[str, str | None]:
    owner = wanted or Owner()
    return {
        "objectId": owner.object_id,
        "email": owner.email,
        "assignedTo": owner.name,
        "userPrincipalName": owner.upn,
    }


#: what an incident must have and nobody has said
_AT_FIRST: dict[str, Any] = {
    "severity": SEVERITY_WRITE[Severity.UNKNOWN],
    "status": STATUS_WRITE[Status.NEW],
    # it will be ours, and has room for our label
    "verdict": {"label": None},
}
_WRITE: dict[str, Callable[[Any, Any], Any]] = {
    # an incident cannot lose its title
    "title": lambda wanted, _: wanted or NO_TITLE,
    "description": lambda wanted, _: clamp(wanted),
    "severity": lambda wanted, present: SEVERITY_WRITE.get(wanted, present),
    "status": lambda wanted, present: STATUS_WRITE.get(wanted, present),
    "owner": _write_owner,
    "verdict": write_verdict,
    "closing_comment": lambda wanted, _: wanted or "",
    "tags": write_tags,
    "first_activity": lambda wanted, present: write_stamp(wanted) if wanted else present,
    "last_activity": lambda wanted, present: write_stamp(wanted) if wanted else present,
}
