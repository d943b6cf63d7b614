"""The data collection rule that rows go in through: which streams it has, what becomes of a row."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from quell_microsoft.simulator.wire import Json, as_object, as_objects, as_text, as_texts

from .clock import parse_stamp

FIELD_LIMIT = 64 * 1024
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,44}", re.ASCII)
_RESERVED = frozenset(
    {"_resourceid", "id", "_subscriptionid", "tenantid", "type", "uniqueid", "title"}
)
_FITS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "int": lambda value: _is_whole(value) and abs(value) < 2**31,
    "long": lambda value: _is_whole(value) and abs(value) < 2**63,
    "real": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "datetime": lambda value: parse_stamp(value) is not None,
    "dynamic": lambda _value: True,
}


@dataclass(slots=True)
class CollectionRule:
    """What was declared; a rule without declarations takes any stream and any column."""

    #: type by column, by stream
    streams: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    #: the table that a stream flows into
    tables: dict[str, str] = field(default_factory=dict[str, str])

    def has(self, stream: str) -> bool:
        """Tell whether rows of that stream are taken."""
        if not self.streams:
            return stream.startswith(("Custom-", "Microsoft-"))
        return stream in self.streams

    def table_of(self, stream: str) -> str:
        """Name the table that a stream's rows are in."""
        name = self.tables.get(stream, stream).partition("-")[2]
        return name if name.endswith("_CL") else f"{name}_CL"

    def keep(self, stream: str, row: Json, now: str) -> Json:
        """Give what is kept of a row: unknown columns go, values of a wrong type become null."""
        columns = self.streams.get(stream)
        if columns is None:
            return {name: _cut(value) for name, value in row.items()}
        kept: Json = {}
        for name, kind in columns.items():
            value = row.get(name)
            kept[name] = _cut(value) if value is not None and _FITS[kind](value) else None
        if kept.get("TimeGenerated", now) is None:
            kept["TimeGenerated"] = now
        return kept


def declare(body: Json) -> CollectionRule:
    """Read a rule as ARM takes it; raises ValueError for what ARM would refuse."""
    properties = as_object(body.get("properties")) or body
    rule = CollectionRule()
    for stream, declared in as_object(properties.get("streamDeclarations")).items():
        if not stream.startswith("Custom-"):
            raise ValueError(f"stream {stream!r} must begin with 'Custom-'")
        rule.streams[stream] = _columns(stream, as_objects(as_object(declared).get("columns")))
    for flow in as_objects(properties.get("dataFlows")):
        _flow(rule, flow)
    unused = sorted(set(rule.streams) - set(rule.tables))
    if unused or not rule.streams:
        raise ValueError(f"no data flow for streams {unused}" if unused else "no stream declared")
    return rule


def _columns(stream: str, columns: list[Json]) -> dict[str, str]:
    found: dict[str, str] = {}
    for column in columns:
        name, kind = as_text(column.get("name")), as_text(column.get("type"))
        if not _NAME.fullmatch(name):
            raise ValueError(f"{stream}: column {name!r} must be letters, digits, up to 45")
        if kind not in _FITS:
            raise ValueError(f"{stream}: column {name!r} has no such type as {kind!r}")
        found[name] = kind
    if not found:
        raise ValueError(f"{stream}: no columns")
    return found


def _flow(rule: CollectionRule, flow: Json) -> None:
    """A transformation is not run; one that is more than `source` is trusted with its output."""
    output, transform = as_text(flow.get("outputStream")), as_text(flow.get("transformKql"))
    is_plain = transform.strip() in ("", "source")
    for stream in as_texts(flow.get("streams")):
        columns = rule.streams.get(stream)
        if columns is None:
            raise ValueError(f"a data flow names stream {stream!r}, which is not declared")
        reserved = sorted(name for name in columns if name.casefold() in _RESERVED)
        if is_plain and reserved:
            raise ValueError(f"{stream}: columns {reserved} have reserved names")
        if "TimeGenerated" not in columns and "TimeGenerated" not in transform:
            raise ValueError(f"{stream}: nothing produces TimeGenerated")
        wanted = output or stream
        if wanted.startswith("Custom-") and not wanted.endswith("_CL"):
            raise ValueError(f"{stream}: the table of {wanted!r} must end in '_CL'")
        rule.tables[stream] = wanted


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _cut(value: Any) -> Any:
    """Cut a text field at its limit in bytes."""
    if not isinstance(value, str) or len(value) * 4 <= FIELD_LIMIT:
        return value
    return value.encode("utf-8", "surrogatepass")[:FIELD_LIMIT].decode("utf-8", "ignore")
