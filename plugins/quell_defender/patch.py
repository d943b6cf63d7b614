"""Makes the body of a PATCH out of raw values, and refuses what must never be written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quell.errors import RequestRefused
from quell_defender.mapping import (
    CLASSIFICATION_WRITE,
    DETERMINATION_WRITE,
    SEVERITY_WRITE,
    STATUS_WRITE,
    WRITABLE,
)
from quell_microsoft.lenient import mapping

__all__ = ["patch_body"]

_PROPERTIES = {
    "title": "displayName",
    "description": "description",
    "severity": "severity",
    "status": "status",
    "owner": "assignedTo",
    "closing_comment": "resolvingComment",
    "tags": "customTags",
}
_MEMBERS = {
    "severity": frozenset(SEVERITY_WRITE.values()),
    "status": frozenset(STATUS_WRITE.values()),
    "classification": frozenset(CLASSIFICATION_WRITE.values()),
    "determination": frozenset(DETERMINATION_WRITE.values()),
}
#: a verdict is written by both halves: one that was read under a retired name stays as it is
_HALVES = ("classification", "determination")


def patch_body(endpoint: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Give the PATCH body for raw values by canonical field name. Raises RequestRefused."""
    body: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in WRITABLE:
            raise _refused(endpoint, name)
        if name == "verdict":
            body.update({half: mapping(value).get(half) for half in _HALVES})
        else:
            body[_PROPERTIES[name]] = value
    for name, allowed in _MEMBERS.items():
        if name in body and body[name] not in allowed:
            raise _refused(endpoint, name)
    return body


def _refused(endpoint: str, name: str) -> RequestRefused:
    # the value itself may be an attacker's text: it does not go into an error
    return RequestRefused(
        endpoint=endpoint,
        problem=f"the value for {name} is not one that may be written to an incident",
        remedy="Use the values that `quell` names; `redirected` and `awaitingAction` are the product's own.",
    )
