"""A source whose rows become visible late, a sink that keeps what it takes, and a process between."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from quell.domain.events import (
    ColumnType,
    Delivery,
    EventPage,
    EventTable,
    RowOrigin,
    ShapedRow,
)
from quell.domain.ids import SourceId, TenantId
from quell.domain.ports import Clock
from quell.errors import QuellError
from quell.journal import Journal, Question, Write
from quell.stream import StreamPolicy, Streams
from quell.testing import SteppedClock

T = TypeVar("T")

TENANT = TenantId("acme")
TABLE = EventTable(
    name="Doors",
    summary="Doors that were opened.",
    columns={"at": ColumnType.DATETIME, "door": ColumnType.STRING, "n": ColumnType.LONG},
    time="at",
)
OVERLAP = timedelta(minutes=30)
HOUSE, STORE = SourceId("house"), SourceId("store")


class Died(BaseException):
    """The process is gone. No `except` of the program may catch it."""


@dataclass
class Skewed:
    """A clock that is ahead of another one, or behind it."""

    clock: Clock
    ahead: float

    def now(self) -> datetime:
        """Tell the time."""
        return self.clock.now() + timedelta(seconds=self.ahead)

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await self.clock.sleep(seconds)


@dataclass
class ModelSource:
    """Rows with a time that they are of, and a time from which they can be seen."""

    clock: Clock
    source_id: SourceId = HOUSE
    reaches_back_days: int = 30
    rows: list[tuple[datetime, datetime, dict[str, Any]]] = field(
        default_factory=list[tuple[datetime, datetime, dict[str, Any]]]
    )
    #: rows of one page
    page: int = 3
    reads: list[tuple[datetime, datetime]] = field(default_factory=list[tuple[datetime, datetime]])
    fails: list[QuellError] = field(default_factory=list[QuellError])

    def open_door(self, door: str, *, seconds_late: float = 0.0, ago: float = 0.0) -> None:
        """Let a row happen, perhaps some time ago, and become visible now or later."""
        now = self.clock.now()
        of = now - timedelta(seconds=ago)
        row = {"at": of.isoformat(), "door": door, "n": len(self.rows)}
        self.rows.append((of, now + timedelta(seconds=seconds_late), row))

    async def read(
        self, table: EventTable, since: datetime, until: datetime
    ) -> AsyncIterator[EventPage]:
        """Give what is visible, a few rows at a time."""
        self.reads.append((since, until))
        if self.fails:
            raise self.fails.pop(0)
        seen = sorted(
            (item for item in self.rows if item[1] <= self.clock.now()), key=lambda item: item[0]
        )
        wanted = [item for item in seen if since <= item[0] < until]
        start = since
        while len(wanted) > self.page:
            end = wanted[self.page][0]
            if end > start:
                yield EventPage(rows=_of(wanted, start, end), until=end)
                wanted = [item for item in wanted if item[0] >= end]
                start = end
            else:
                break
        yield EventPage(rows=_of(wanted, start, until), until=until)


def _of(
    rows: Sequence[tuple[datetime, datetime, dict[str, Any]]], start: datetime, end: datetime
) -> tuple[dict[str, Any], ...]:
    return tuple(dict(row) for of, _, row in rows if start <= of < end)


@dataclass
class ModelSink:
    """Keeps every row that it took, by key; refuses as ordered."""

    sink_id: str = "store"
    source_id: SourceId = STORE
    batch_limit: int = 200
    #: takes no batch of more rows than that
    most_rows: int = 1_000_000
    taken: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    calls: int = 0
    #: what the next calls end with; None lets one through
    fails: list[QuellError | None] = field(default_factory=list[QuellError | None])
    witness: Callable[[str], None] = lambda moment: None

    def shape(self, origin: RowOrigin, row: Mapping[str, Any]) -> Sequence[ShapedRow]:
        """Add the key."""
        return [ShapedRow(stream=f"S-{origin.table.name}", body={**row, "key": origin.key})]

    async def send(self, stream: str, body: bytes) -> Delivery:
        """Take the rows, or not."""
        self.calls += 1
        self.witness("before")
        if self.fails and (error := self.fails.pop(0)) is not None:
            raise error
        rows: list[dict[str, Any]] = json.loads(gzip.decompress(body))
        if len(rows) > self.most_rows:
            return Delivery.TOO_LARGE
        for row in rows:
            self.taken.setdefault(row["key"], []).append(row)
        self.witness("after")
        return Delivery.TAKEN

    @property
    def doors(self) -> list[str]:
        """List the doors of all rows that were taken, each once."""
        return sorted(rows[0]["door"] for rows in self.taken.values())

    @property
    def repeats(self) -> int:
        """Count the rows that were taken more than once."""
        return sum(len(rows) - 1 for rows in self.taken.values())


class MortalJournal:
    """A journal whose process dies at its nth write, before or after the database has it."""

    def __init__(self, journal: Journal, *, at: int, is_after: bool) -> None:
        self._journal = journal
        self._at = at
        self._is_after = is_after
        self.writes = 0

    async def commit(self, write: Write[T]) -> T:
        """Commit, or die."""
        self.writes += 1
        is_last = self.writes == self._at
        if is_last and not self._is_after:
            raise Died
        result = await self._journal.commit(write)
        if is_last:
            raise Died
        return result

    async def ask(self, question: Question[T]) -> T:
        """Read."""
        return await self._journal.ask(question)


@dataclass
class World:
    """One tenant with one table and one sink."""

    clock: SteppedClock = field(
        default_factory=lambda: SteppedClock(datetime(2026, 3, 2, 8, tzinfo=UTC))
    )
    policy: StreamPolicy = field(
        default_factory=lambda: StreamPolicy(tables=("*",), overlap=OVERLAP)
    )
    is_replica: bool = True
    tables: tuple[EventTable, ...] = (TABLE,)

    def __post_init__(self) -> None:
        self.journal = Journal.open("sqlite://", clock=self.clock)
        self.source = ModelSource(self.clock)
        self.sink = ModelSink()

    def streams(self, journal: Any = None) -> Streams:
        """Begin as a fresh process does."""

        async def is_replica(source_id: SourceId) -> bool:
            return self.is_replica

        return Streams.build(
            journal=journal or self.journal,
            tenant_id=TENANT,
            sources=[(self.source, self.tables)],
            sinks=[self.sink],
            policy=self.policy,
            clock=self.clock,
            is_replica=is_replica,
        )

    async def turn(self, journal: Any = None) -> Streams:
        """Read every table once and send what is due."""
        streams = self.streams(journal)
        for reader in streams.readers:
            await streams.read(reader)
        for sender in streams.senders:
            await streams.send(sender)
        return streams
