"""The data that expressions see: shaped by its type, only the fields looked at, and bounded.

Whatever is too long is cut where it is text; where cutting would lose a target (lists) or
where the whole is too large, nothing is evaluated and a person decides.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, TypeAlias, cast

import msgspec

from quell.domain.entity import Entity
from quell.domain.ports import EntitySummary
from quell.domain.view import IncidentView
from quell.playbooks.celtypes import (
    DYN,
    FLOAT,
    INT,
    TIME,
    EnumType,
    ListType,
    MapType,
    Plain,
    StructType,
    Type,
)
from quell.playbooks.jsondata import is_list, is_mapping
from quell.playbooks.view import ResultItem, RunView, StepResults
from quell.playbooks.vocabulary import OWN_FIELDS, PLURALS, RESULT_LISTS

__all__ = ["MAX_CONTEXT", "MAX_LIST", "MAX_TEXT", "Shaper", "TooMuch", "known_ids", "roots_of"]

MAX_TEXT = 4 * 1024
MAX_LIST = 1_000
MAX_CONTEXT = 256 * 1024
#: how deep a result's own JSON may nest
MAX_DEPTH = 16
#: how much of a name is shown where names are listed
MAX_NAME = 120
#: what a number, a bracket or a key costs in the context, roughly
SMALL = 8

#: where a thing's name for people is, if it has no `name`
NAME_FIELDS = (
    "dns_name",
    "host_name",
    "display_name",
    "upn",
    "account_name",
    "address",
    "recipient",
    "url",
    "path",
    "sha256",
    "sha1",
    "instance_name",
    "key",
    "urn",
)

MISSING = object()
#: gives a field by name, or MISSING
Reader: TypeAlias = Callable[[str], Any]


class TooMuch(ValueError):
    """The data is beyond what expressions are given."""


@dataclass(slots=True)
class Shaper:
    """Turns domain values into JSON-like data; counts what it makes.

    `wanted` names the fields to copy; None copies all of them.
    """

    wanted: Collection[str] | None
    used: int = 0

    def shape(self, value: Any, kind: Type) -> Any:
        """Give the data of a value, or MISSING where there is nothing to show."""
        match kind:
            case StructType():
                return self._struct(value, kind)
            case ListType(item=item):
                return self._list(value, item if item is not None else DYN)
            case MapType() | Plain(name="anything"):
                return self._anything(value)
            case Plain() if kind == TIME:
                # a time that nobody knows is absent: an empty text would be none that can be read
                return self._text(value.isoformat()) if isinstance(value, datetime) else MISSING
            case Plain(name="text") | EnumType():
                return self._text(value)
            case _:
                return self._number(value, kind)

    def _spend(self, amount: int) -> None:
        self.used += amount
        if self.used > MAX_CONTEXT:
            raise TooMuch(f"the incident's data is larger than {MAX_CONTEXT // 1024} KiB here")

    def _text(self, value: Any) -> Any:
        if value is MISSING:
            return MISSING
        if value is None:
            return ""
        text = str(value.value) if isinstance(value, Enum) else str(value)
        # lone surrogates come from broken JSON escapes, and the library takes UTF-8 only; it also
        # ends a text at the first NUL, so that "x\0y" would equal "x"
        text = text[:MAX_TEXT].encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
        self._spend(len(text) + SMALL)
        return text

    def _number(self, value: Any, kind: Type) -> Any:
        self._spend(SMALL)
        if kind == FLOAT and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if kind == INT:
            return value if _is_int64(value) else MISSING
        return value if isinstance(value, bool) else MISSING

    def _list(self, value: Any, item: Type) -> Any:
        if value is MISSING:
            return MISSING
        items: list[Any] = list(value or ())
        if isinstance(value, (set, frozenset)):
            items.sort()
        shaped = [self.shape(part, item) for part in _bounded(items)]
        return [part for part in shaped if part is not MISSING]

    def _struct(self, value: Any, kind: StructType) -> Any:
        if value is MISSING:
            return MISSING
        # an absent part (no owner) has empty texts, as a part without values has
        read = reader_of(value if value is not None else {})
        names = kind.fields if self.wanted is None else kind.fields.keys() & self.wanted
        self._spend(SMALL)
        shaped = {name: self.shape(read(name), kind.fields[name]) for name in names}
        if self.wanted is None or "_name" in self.wanted:
            shaped["_name"] = self._text(read("_name"))
        return {name: part for name, part in shaped.items() if part is not MISSING}

    def _anything(self, value: Any) -> Any:
        if value is MISSING:
            return MISSING
        return self._json(msgspec.to_builtins(value, str_keys=True), depth=0)

    def _json(self, value: Any, depth: int) -> Any:
        self._spend(SMALL)
        if depth > MAX_DEPTH:
            raise TooMuch("a result is nested too deeply")
        if isinstance(value, str):
            return self._text(value)
        if is_list(value):
            return [self._json(part, depth + 1) for part in _bounded(value)]
        if is_mapping(value):
            return {self._text(key): self._json(part, depth + 1) for key, part in value.items()}
        return value if not isinstance(value, int) or _is_int64(value) else str(value)


def _bounded(items: list[Any]) -> list[Any]:
    """Refuse a list that is too long: cutting it would leave targets out in silence."""
    if len(items) > MAX_LIST:
        raise TooMuch(f"a list has {len(items)} items; expressions take up to {MAX_LIST}")
    return items


def _is_int64(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def reader_of(value: Any) -> Reader:
    """Read fields of a mapping, of an object, or by the function given."""
    if isinstance(value, Mapping):
        found = cast(Mapping[str, Any], value)
        return lambda name: found.get(name)
    if callable(value):
        reader: Reader = value
        return reader
    return lambda name: getattr(value, name, MISSING)


# -- what the names of a scope stand for --------------------------------------------------------


def roots_of(view: RunView, select: Reader) -> Reader:
    """Give the value behind a name of the scope; `select` gives a selection's entity ids."""
    summaries = {summary.id: summary for summary in view.incident.entities}

    def read(name: str) -> Any:
        if name == "incident":
            return _incident_reader(view.incident)
        if name == "select":
            return _selection_reader(select, summaries)
        if name in view.bindings:
            return view.bindings[name]
        return _results_reader(view.results.get(name, StepResults()), summaries)

    return read


def known_ids(view: RunView) -> frozenset[str]:
    """List every entity that this run knows: no other one can become a target."""
    results = (
        item.entity_id
        for step in view.results.values()
        for name in RESULT_LISTS
        for item in getattr(step, name)
        if item.entity is not None
    )
    return frozenset(results) | {summary.id for summary in view.incident.entities}


def _selection_reader(select: Reader, summaries: Mapping[str, EntitySummary]) -> Reader:
    return lambda name: [entity_reader(summaries[found]) for found in select(name)]


def _incident_reader(view: IncidentView) -> Reader:
    plurals = {plural: kind for kind, plural in PLURALS.items()}

    def read(name: str) -> Any:
        if name in plurals:
            return [
                entity_reader(summary) for summary in view.entities if summary.kind == plurals[name]
            ]
        return _incident_field(view, name)

    return read


def _incident_field(view: IncidentView, name: str) -> Any:
    fields = view.fields
    match name:
        case "entities":
            return [entity_reader(summary) for summary in view.entities]
        case "severity":
            return fields.severity or "unknown"
        case "classification" | "determination":
            words = {"classification": "undetermined", "determination": "unknown"}
            return getattr(fields.verdict, name) if fields.verdict else words[name]
        case "created" | "updated":
            return getattr(view, f"{name}_at")
        case "id" | "revision" | "alerts" | "copies":
            return getattr(view, name)
        case _:
            return getattr(fields, name, MISSING)


def _results_reader(results: StepResults, summaries: Mapping[str, EntitySummary]) -> Reader:
    def read(name: str) -> Any:
        items: tuple[ResultItem, ...] = getattr(results, name, ())
        return [item_reader(item, summaries.get(item.entity_id)) for item in items]

    return read


def entity_reader(summary: EntitySummary) -> Reader:
    """Read an incident's entity."""

    def read(name: str) -> Any:
        if name in ("id", "kind", "roles", "verdict", "alerts"):
            return getattr(summary, name)
        return _entity_field(summary.entity, summary.id, name)

    return read


def item_reader(item: ResultItem, summary: EntitySummary | None) -> Reader:
    """Read a step's target: quell's own fields first, then what was found, then the entity."""

    def read(name: str) -> Any:
        if name in ("id", "reason"):
            return item.entity_id if name == "id" else item.reason
        if name in OWN_FIELDS:
            return getattr(summary, name) if summary is not None else OWN_ABSENT[name]
        if name in item.data:
            return item.data[name]
        if item.entity is None:
            return MISSING
        return _entity_field(item.entity, item.entity_id, name)

    return read


OWN_ABSENT: Mapping[str, Any] = {"roles": (), "verdict": "unknown", "alerts": ()}


def _entity_field(entity: Entity, entity_id: str, name: str) -> Any:
    match name:
        case "kind":
            return entity.__struct_config__.tag
        case "name":
            return _display_name(entity) or entity_id
        case "_name":
            return _clean(_display_name(entity)) or entity_id
        case _:
            return getattr(entity, name, MISSING)


def _display_name(entity: Entity) -> str:
    names = (getattr(entity, name, None) for name in NAME_FIELDS)
    return entity.name or next((str(name) for name in names if name), "")


def _clean(text: str) -> str:
    """Make a name fit for a list of names: one line, no control or direction marks, short."""
    kept = "".join(
        char if unicodedata.category(char)[0] != "C" else " "
        for char in text[: MAX_NAME * 4]
        if unicodedata.category(char) != "Cf"
    )
    line = " ".join(kept.split())
    return f"{line[: MAX_NAME - 1]}…" if len(line) > MAX_NAME else line
