"""All that one tenant streams: its tables, its sinks, and how far each has come."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime

import msgspec

from quell.domain.events import EventSink, EventSource, EventTable
from quell.domain.ids import SourceId, TenantId, WorkerId
from quell.domain.ports import Clock
from quell.errors import QuellError, RequestRefused, SettingsError
from quell.journal import Journal, cursors, event_batches
from quell.stream.checkpoint import Checkpoint
from quell.stream.policy import StreamPolicy, chosen_tables
from quell.stream.read import ReadReport, TableReader
from quell.stream.send import Sender, SendReport

__all__ = ["Streams", "TableStatus"]

#: tells whether quell makes the copies of incidents in the place of that source
IsReplica = Callable[[SourceId], Awaitable[bool]]
#: a source with the tables that it has
Offer = tuple[EventSource, Sequence[EventTable]]


class TableStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far one table has come on its way to one sink."""

    source_id: SourceId
    table: str
    sink_id: str
    stream: str
    #: everything before it was read; None before the first read
    read_until: datetime | None
    lag_seconds: float | None
    waiting_batches: int = 0
    waiting_rows: int = 0
    waiting_bytes: int = 0
    parked_batches: int = 0
    #: why the last read or the last attempt to send failed, with what to do
    problem: str = ""


class Streams:
    """The streams of one tenant. Make it with `build`."""

    def __init__(
        self,
        *,
        journal: Journal,
        tenant_id: TenantId,
        readers: Sequence[TableReader],
        senders: Sequence[Sender],
        policy: StreamPolicy,
        clock: Clock,
        is_replica: IsReplica,
    ) -> None:
        self.readers = tuple(readers)
        self.senders = tuple(senders)
        self.policy = policy
        self._journal = journal
        self._tenant_id = tenant_id
        self._clock = clock
        self._is_replica = is_replica

    @classmethod
    def build(
        cls,
        *,
        journal: Journal,
        tenant_id: TenantId,
        sources: Sequence[Offer],
        sinks: Sequence[EventSink],
        policy: StreamPolicy,
        clock: Clock,
        is_replica: IsReplica,
    ) -> Streams:
        """Put together what the settings choose. Raises SettingsError where that cannot work."""
        offered = {table.name: table for _, tables in sources for table in tables}
        chosen = {table.name for table in chosen_tables(policy, list(offered.values()))}
        used = _used_sinks(sinks, policy) if chosen else []
        readers = [
            TableReader(
                journal=journal,
                tenant_id=tenant_id,
                source=source,
                table=table,
                sinks=used,
                policy=policy,
                clock=clock,
            )
            for source, tables in sources
            for table in tables
            if table.name in chosen
        ]
        return cls(
            journal=journal,
            tenant_id=tenant_id,
            readers=readers,
            # also to sinks that are no longer chosen: what was read for them still waits
            senders=[
                Sender(journal=journal, tenant_id=tenant_id, sink=sink, clock=clock)
                for sink in sinks
            ],
            policy=policy,
            clock=clock,
            is_replica=is_replica,
        )

    async def read(self, reader: TableReader) -> ReadReport:
        """Read one table, where it is to be streamed now. Raises ConnectorError."""
        sinks = await self._sinks_now(reader)
        return await reader.read(sinks) if sinks else ReadReport()

    async def send(self, sender: Sender) -> SendReport:
        """Send what waits for one sink."""
        return await sender.send()

    async def retry(
        self, stream: str | None = None, *, by: str = "", chain: WorkerId | None = None
    ) -> int:
        """Have refused batches tried again at once; gives how many there were.

        `chain` is the audit trail that says `by` whom.
        """
        write = event_batches.retry_parked(self._tenant_id, stream, by=by, chain=chain)
        return await self._journal.commit(write)

    async def drop(
        self, stream: str | None = None, *, by: str = "", chain: WorkerId | None = None
    ) -> int:
        """Give refused batches up for good, and put that on record; gives how many there were."""
        write = event_batches.drop_parked(self._tenant_id, stream, by=by, chain=chain)
        return await self._journal.commit(write)

    async def check(self) -> list[tuple[str, QuellError | None]]:
        """Ask each stream of the chosen tables whether it would take rows, and send none.

        Gives the names of sink and stream, and what is wrong. A service that is reached and allows
        it may still find fault with an empty array; that is an answer, too.
        """
        sinks = {sink.sink_id: sink for reader in self.readers for sink in reader.sinks}
        streams = sorted({key for reader in self.readers for key in reader.streams()})
        found: list[tuple[str, QuellError | None]] = []
        for sink_id, stream in streams:
            problem: QuellError | None = None
            try:
                await sinks[sink_id].send(stream, gzip.compress(b"[]"))
            except RequestRefused:
                pass  # that is about the body, after sign-in, permission and rule were in order
            except QuellError as error:
                problem = error
            found.append((f"{sink_id} {stream}", problem))
        return found

    async def status(self) -> list[TableStatus]:
        """Tell how far each table has come, and what waits for sinks or was refused."""
        waiting = await self._journal.ask(event_batches.waiting(self._tenant_id))
        by_stream = {(one.sink_id, one.stream): one for one in waiting}
        found: list[TableStatus] = []
        for reader in self.readers:
            cursor = await self._journal.ask(cursors.get(self._tenant_id, reader.cursor_id))
            found += [
                self._table_status(reader, cursor, key, by_stream.pop(key, None))
                for key in sorted(reader.streams())
            ]
        return [*found, *map(_left_over, by_stream.values())]

    def _table_status(
        self,
        reader: TableReader,
        cursor: cursors.Cursor,
        key: tuple[str, str],
        waiting: event_batches.Waiting | None,
    ) -> TableStatus:
        until = _until(cursor)
        status = TableStatus(
            source_id=reader.source.source_id,
            table=reader.table.name,
            sink_id=key[0],
            stream=key[1],
            read_until=until,
            lag_seconds=round((self._clock.now() - until).total_seconds(), 1) if until else None,
            problem=cursor.error,
        )
        return status if waiting is None else _with_waiting(status, waiting)

    async def _sinks_now(self, reader: TableReader) -> list[EventSink]:
        if self.policy.when == "always":
            return list(reader.sinks)
        return [sink for sink in reader.sinks if await self._is_replica(sink.source_id)]


def _used_sinks(sinks: Sequence[EventSink], policy: StreamPolicy) -> list[EventSink]:
    known = {sink.sink_id for sink in sinks}
    for name in policy.sinks:
        if name not in known:
            raise SettingsError(
                name="events.sinks",
                problem=f"there is no sink {name!r}",
                remedy=f"Set up are: {_listed(known)}.",
            )
    if not sinks:
        raise SettingsError(
            name="events.tables",
            problem="tables are chosen, but there is no place that takes them",
            remedy="Set up the ingestion rules of a workspace; docs/how-to/stream-events.md "
            "shows how. Or choose no table.",
        )
    return [sink for sink in sinks if not policy.sinks or sink.sink_id in policy.sinks]


def _until(cursor: cursors.Cursor) -> datetime | None:
    if cursor.cursor is None or cursor.polled_at is None:
        return None
    return Checkpoint.load(cursor.cursor, cursor.polled_at).reached


def _left_over(waiting: event_batches.Waiting) -> TableStatus:
    """Show a stream that no chosen table belongs to any more, or that holds what did not fit."""
    status = TableStatus(
        source_id=SourceId(""),
        table="",
        sink_id=waiting.sink_id,
        stream=waiting.stream,
        read_until=None,
        lag_seconds=None,
    )
    return _with_waiting(status, waiting)


def _with_waiting(status: TableStatus, waiting: event_batches.Waiting) -> TableStatus:
    return msgspec.structs.replace(
        status,
        waiting_batches=waiting.batches,
        waiting_rows=waiting.rows,
        waiting_bytes=waiting.size,
        parked_batches=waiting.parked,
        problem=status.problem or waiting.error,
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
