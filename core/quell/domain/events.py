"""Events beside incidents: tables of rows that one product has and another one is to hold.

Everything here is a value or a `Protocol`. Plugins offer sources and sinks; the core carries rows
from one to the other and never looks into what they say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from quell.domain.ids import SourceId

if TYPE_CHECKING:
    from quell.domain.offers import ConnectorContext, Grant

__all__ = [
    "ColumnType",
    "Delivery",
    "EventPage",
    "EventSink",
    "EventSinkSpec",
    "EventSource",
    "EventSourceSpec",
    "EventTable",
    "RowOrigin",
    "ShapedRow",
    "TableCatalogue",
]

#: one row, by column
Row = Mapping[str, Any]


class ColumnType(StrEnum):
    """What a column holds."""

    STRING = "string"
    INT = "int"
    LONG = "long"
    REAL = "real"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    #: any JSON
    DYNAMIC = "dynamic"


class EventTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table of rows: what it is called and which columns are known of it."""

    name: str
    summary: str
    columns: dict[str, ColumnType]
    #: column that rows are read by: when the row came to be, or changed last
    time: str
    #: columns that together name a row that never changes; empty: all that it says names it
    keys: tuple[str, ...] = ()
    #: tables that belong together; at most nine share a group
    group: str = "events"


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a stretch of time, and where that stretch ends: everything before it was read."""

    rows: tuple[dict[str, Any], ...]
    until: datetime
    #: what could not be read, with the reason: the checkpoint stays before it, the rest goes on
    unreadable: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class EventSource(Protocol):
    """One product instance whose tables can be read by time."""

    source_id: SourceId
    #: how far back rows can be read
    reaches_back_days: int

    def read(self, table: EventTable, since: datetime, until: datetime) -> AsyncIterator[EventPage]:
        """Read the rows from `since` up to but not including `until`, oldest stretch first."""
        ...


class RowOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a row is from, and the key that makes sending it twice harmless."""

    tenant_id: str
    source_id: SourceId
    table: EventTable
    key: str


class ShapedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row as a sink takes it: the stream that it goes to, and its JSON."""

    stream: str
    body: dict[str, Any]


class Delivery(StrEnum):
    """What became of a batch that was answered."""

    TAKEN = "taken"
    #: too many bytes: fewer rows may do
    TOO_LARGE = "too_large"


class EventSink(Protocol):
    """One place that takes rows."""

    sink_id: str
    #: the incident source that belongs to the same place
    source_id: SourceId
    #: most bytes of one batch, before compression
    batch_limit: int

    def shape(self, origin: RowOrigin, row: Row) -> Sequence[ShapedRow]:
        """Write a row as the sink takes it; more than one where a value does not fit. Pure."""
        ...

    async def send(self, stream: str, body: bytes) -> Delivery:
        """Send a JSON array of rows, compressed with gzip. Raises ConnectorError, SettingsError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSourceSpec:
    """Tables that a system has, and how its sources are found in a tenant's settings."""

    system: str
    tables: Callable[[], Sequence[EventTable]]
    build: Callable[[ConnectorContext], Sequence[EventSource]]
    #: what reading them needs
    grants: Sequence[Grant] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSinkSpec:
    """A system that takes rows, and how its sinks are found in a tenant's settings."""

    system: str
    build: Callable[[ConnectorContext], Sequence[EventSink]]
    #: what sending to them needs
    grants: Sequence[Grant] = ()


class TableCatalogue(Protocol):
    """What a plugin's own command can ask for: `click.get_current_context().obj` is one."""

    def event_tables(self) -> Sequence[EventTable]:
        """List every table that enabled plugins can read."""
        ...
