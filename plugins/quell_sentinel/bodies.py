"""Makes the body of a PUT, which replaces every property that can be written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quell.domain.incident import Task
from quell.domain.ports import NewIncident
from quell.errors import RequestRefused
from quell_microsoft.lenient import mapping
from quell_microsoft.stamps import parse_stamp
from quell_sentinel.fields import WRITABLE
from quell_sentinel.labels import mark_label, read_tags, with_verdict, write_tags
from quell_sentinel.mapping import NO_TITLE, SEVERITY_WRITE, STATUS_WRITE, write
from quell_sentinel.verdicts import CLASSIFICATION_WRITE, DATA, LOGIC, REASON_WRITE

__all__ = ["changed_body", "is_whole", "new_body", "task_body"]

#: most characters of a task's description
TASK_DESCRIPTION_LIMIT = 3_000

_PROPERTIES = {
    "title": "title",
    "description": "description",
    "severity": "severity",
    "status": "status",
    "owner": "owner",
    "closing_comment": "classificationComment",
    "tags": "labels",
    "first_activity": "firstActivityTimeUtc",
    "last_activity": "lastActivityTimeUtc",
}
_HALVES = ("classification", "classificationReason")
_MEMBERS: dict[str, frozenset[str | None]] = {
    "severity": frozenset(SEVERITY_WRITE.values()),
    "status": frozenset(STATUS_WRITE.values()),
    "classification": frozenset(CLASSIFICATION_WRITE.values()),
    "classificationReason": frozenset({None, LOGIC, DATA, *REASON_WRITE.values()}),
}


def is_whole(native: Mapping[str, Any]) -> bool:
    """Tell whether every property that can be written is known, if only as not being there."""
    return native.keys() >= _PROPERTIES.keys() | {"verdict"}


def changed_body(
    endpoint: str, native: Mapping[str, Any], etag: str, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Give the PUT body: what the incident has, with raw values by canonical name put over it.

    Raises RequestRefused for a value that may not be written.
    """
    present = _present(native)
    written = _written(endpoint, present, changes)
    for name, allowed in _MEMBERS.items():
        if name in written and written[name] not in allowed:
            raise _refused(endpoint, name)
    return {"etag": etag, "properties": _closable(present | written)}


def _present(native: Mapping[str, Any]) -> dict[str, Any]:
    """Give every writable property as it was read: it stays so only if it is sent again."""
    verdict = mapping(native.get("verdict"))
    properties = {half: verdict.get(half) for half in _HALVES}
    properties |= {theirs: native.get(ours) for ours, theirs in _PROPERTIES.items()}
    if "label" in verdict:
        properties["labels"] = with_verdict(properties["labels"], verdict["label"])
    # what is not there is left out, as the product itself leaves it out
    return {name: value for name, value in properties.items() if value is not None}


def _written(endpoint: str, base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in WRITABLE:
            raise _refused(endpoint, name)
        if name == "verdict":
            raw = mapping(value)
            written.update({half: raw.get(half) for half in _HALVES})
            if "label" in raw:
                labels = written.get("labels", base.get("labels"))
                written["labels"] = with_verdict(labels, raw["label"])
        elif name == "tags":
            # our mark and the product's labels may be newer in the base than in the plan
            labels = written.get("labels", base.get("labels"))
            written["labels"] = write_tags(read_tags(value), labels)
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
    tags = write_tags(incident.fields.tags, properties.get("labels"))
    labels = [mark_label(incident.created_for), *tags]
    times = {
        "firstActivityTimeUtc": incident.first_activity,
        "lastActivityTimeUtc": incident.last_activity,
    }
    known = {name: stamp for name, stamp in times.items() if parse_stamp(stamp) is not None}
    said = {name: value for name, value in properties.items() if value is not None}
    return {"properties": _closable(known | said | {"labels": labels})}


def task_body(task: Task) -> dict[str, Any]:
    """Give the PUT body of a task; one without a title is refused, so it is given one."""
    properties = {
        "title": task.title.strip() or NO_TITLE,
        "description": task.description[:TASK_DESCRIPTION_LIMIT],
        "status": "Completed" if task.is_done else "New",
    }
    return {"properties": properties}


def _refused(endpoint: str, name: str) -> RequestRefused:
    # the value itself may be an attacker's text: it does not go into an error
    return RequestRefused(
        endpoint=endpoint,
        problem=f"the value for {name} is not one that may be written to an incident",
        remedy="Use the values that `quell` names.",
    )
