"""Says why a recorded file holds nothing that a tenant could be filled with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from .odata import as_list

#: names of which a document has all, and what that makes of it; the first that fits
REASONS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"error_description"}), "an error of the sign-in, not something that is kept"),
    (frozenset({"alerts", "incidentName"}), "the legacy incidents API is not simulated"),
    (frozenset({"assignedTo", "tags", "comments"}), "the legacy incidents API is not simulated"),
    (frozenset({"Schema", "Results"}), "an answer to a hunt; `POST /_simulator/hunts` takes it"),
    (frozenset({"schema", "results"}), "an answer to a hunt; `POST /_simulator/hunts` takes it"),
    (frozenset({"tables"}), "an answer to a log query, not rows of a named table"),
    (frozenset({"streamDeclarations"}), "a rule; `PUT /_simulator/collection-rule` takes it"),
    (frozenset({"subscriptionId", "clientState"}), "change notifications are not simulated"),
    (frozenset({"logicAppsResourceId"}), "the start of a playbook, not something that is kept"),
    (frozenset({"riskLevel", "riskState"}), "risky users are not simulated"),
    (frozenset({"additional_data", "etag"}), "an SDK's own rendering, not what the API answers"),
    (frozenset({"request", "response"}), "a request and its answer, nothing that is kept"),
    (frozenset({"error"}), "errors, not something that is kept"),
    (frozenset({"responses"}), "answers of a batch, nothing that is kept"),
    (frozenset({"comment", "createdDateTime"}), "comments without the incident they belong to"),
    (frozenset({"$id", "Type"}), "entities of an alert's row without the row"),
)
_MAX_DEPTH = 8


def why_not(documents: list[Any]) -> str:
    """Say what a file holds instead, as far as it can be told from the names in it."""
    objects = [one for document in documents for one in _objects(document, 0)]
    for wanted, reason in REASONS:
        if any(wanted <= set(one) for one in objects):
            return reason
    if any(document in ([], {}) or _is_empty_page(document) for document in documents):
        return "an empty list"
    return "no Graph incident or alert in it"


def _is_empty_page(document: Any) -> bool:
    return isinstance(document, dict) and cast("dict[str, Any]", document).get("value") == []


def _objects(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        yield found
        for item in found.values():
            yield from _objects(item, depth + 1)
    elif isinstance(value, list):
        for item in as_list(value):
            yield from _objects(item, depth + 1)
