"""Makes the body of a PUT, which replaces every property that can be written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quell.domain.ports import NewIncident
from quell.errors import RequestRefused
from quell_microsoft.lenient import mapping
from quell_microsoft.stamps import parse_stamp
from quell_sentinel.labels import mark_label, read_tags, write_tags
from quell_sentinel.mapping import (
    CLASSIFICATION_WRITE,
    DATA,
    LOGIC,
    REASON_WRITE,
    SEVERITY_WRITE,
    STATUS_WRITE,
    WRITABLE,
    write,
)

__all__ = ["changed_body", "new_body"]

_PROPERTIES = {
    "title": "title",
    "description": "description",
    "severity": "severity",
    "status": "status",
    "owner": "owner",
    "closing_comment": "classificationComment",
    "tags": "labels",
}
#: properties that stay as they are only if they are sent again
_KEPT = (
    "title",
    "description",
    "severity",
    "status",
    "classification",
    "classificationReason",
    "classificationComment",
    "owner",
    "labels",
    "firstActivityTimeUtc",
    "lastActivityTimeUtc",
)
_MEMBERS: dict[str, frozenset[str | None]] = {
    "severity": frozenset(SEVERITY_WRITE.values()),
    "status": frozenset(STATUS_WRITE.values()),
    "classification": frozenset(CLASSIFICATION_WRITE.values()),
    "classificationReason": frozenset({None, LOGIC, DATA, *REASON_WRITE.values()}),
}


def changed_body(
    endpoint: str, base: Mapping[str, Any], etag: str, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Give the PUT body: what `base` has, with raw values by canonical field name put over it.

    Raises RequestRefused for a value that may not be written.
    """
    properties = {name: base[name] for name in _KEPT if name in base}
    written = _written(endpoint, base, changes)
    for name, allowed in _MEMBERS.items():
        if name in written and written[name] not in allowed:
            raise _refused(endpoint, name)
    return {"etag": etag, "properties": _closable(properties | written)}


def _written(endpoint: str, base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in WRITABLE:
            raise _refused(endpoint, name)
        if name == "verdict":
            halves = ("classification", "classificationReason")
            written.update({half: mapping(value).get(half) for half in halves})
        elif name == "tags":
            # our mark and the product's labels may be newer in the base than in the plan
            written["labels"] = write_tags(read_tags(value), base.get("labels"))
        else:
            written[_PROPERTIES[name]] = value
    return written


def _closable(properties: dict[str, Any]) -> dict[str, Any]:
    # an incident is not closed without a classification
    if properties.get("status") == "Closed" and not properties.get("classification"):
        return properties | {"classification": "Undetermined"}
    return properties


def new_body(incident: NewIncident) -> dict[str, Any]:
    """Give the PUT body that makes a copy, with the label that tells whose copy it is."""
    raw = {name: write(name, incident.fields) for name in WRITABLE - {"tags"}}
    properties = _written("PUT", {}, raw)
    labels = [mark_label(incident.created_for), *write_tags(incident.fields.tags, None)]
    times = {
        "firstActivityTimeUtc": incident.first_activity,
        "lastActivityTimeUtc": incident.last_activity,
    }
    known = {name: stamp for name, stamp in times.items() if parse_stamp(stamp) is not None}
    said = {name: value for name, value in properties.items() if value is not None}
    return {"properties": _closable(said | {"labels": labels} | known)}


def _refused(endpoint: str, name: str) -> RequestRefused:
    # the value itself may be an attacker's text: it does not go into an error
    return RequestRefused(
        endpoint=endpoint,
        problem=f"the value for {name} is not one that may be written to an incident",
        remedy="Use the values that `quell` names.",
    )
