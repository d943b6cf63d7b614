"""Reads one table from its checkpoint on: rows and checkpoint are stored together, or neither."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from quell.domain.events import EventPage, EventSink, EventSource, EventTable, RowOrigin, ShapedRow
from quell.domain.ids import SourceId, TenantId
from quell.domain.ports import Clock
from quell.errors import QuellError
from quell.journal import Journal, cursors, event_batches
from quell.stream.checkpoint import SKEW, Checkpoint
from quell.stream.policy import StreamPolicy
from quell.stream.rows import packed, row_key

__all__ = ["ReadReport", "TableReader", "cursor_id"]


class ReadReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one read of a table came to."""

    #: rows that were new, and batches that they were put into
    rows: int = 0
    batches: int = 0
    #: the table is not read on: so much waits already that was not taken in yet
    is_held: bool = False
    #: what the source could not give, with the reason; each read tries it again
    unreadable: dict[str, str] = {}


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A page as it is to be stored."""

    rows: int
    checkpoint: Checkpoint
    batches: list[event_batches.NewBatch]


def cursor_id(source_id: SourceId, table: EventTable) -> SourceId:
    """Name the checkpoint of a table among the cursors."""
    return SourceId(f"events/{source_id}/{table.name}")


class TableReader:
    """Reads one table of one source for every sink."""

    def __init__(
        self,
        *,
        journal: Journal,
        tenant_id: TenantId,
        source: EventSource,
        table: EventTable,
        sinks: Sequence[EventSink],
        policy: StreamPolicy,
        clock: Clock,
    ) -> None:
        self.source = source
        self.table = table
        self.cursor_id = cursor_id(source.source_id, table)
        self._journal = journal
        self._tenant_id = tenant_id
        self.sinks = tuple(sinks)
        self._policy = policy
        self._clock = clock

    def streams(self) -> set[tuple[str, str]]:
        """Name the streams that plain rows of this table go to, by sink."""
        origin = self._origin("")
        return {
            (sink.sink_id, shaped.stream)
            for sink in self.sinks
            for shaped in sink.shape(origin, {})
        }

    async def read(self, sinks: Sequence[EventSink] | None = None) -> ReadReport:
        """Read what is new for all sinks or for these, as far as there is room. Raises QuellError."""
        try:
            report = await self._read(self.sinks if sinks is None else sinks)
        except QuellError as error:
            note = f"{error}. {error.remedy}"
            await self._journal.commit(cursors.failed(self._tenant_id, self.cursor_id, note))
            raise
        if report.unreadable:
            note = _unreadable(report.unreadable)
            await self._journal.commit(cursors.failed(self._tenant_id, self.cursor_id, note))
        elif not report.is_held:
            await self._journal.commit(cursors.finished(self._tenant_id, self.cursor_id))
        return report

    async def _read(self, sinks: Sequence[EventSink]) -> ReadReport:
        if await self._is_full():
            return ReadReport(is_held=True)
        now = self._clock.now()
        cursor = await self._journal.ask(cursors.get(self._tenant_id, self.cursor_id))
        checkpoint = Checkpoint.load(cursor.cursor, now - self._policy.lookback)
        since = max(
            checkpoint.until - self._policy.overlap,
            now - timedelta(days=self.source.reaches_back_days),
        )
        rows = batches = 0
        unreadable: dict[str, str] = {}
        version = cursor.version
        # a product whose clock is ahead of ours has rows of our future
        pages = self.source.read(self.table, since, now + SKEW)
        try:
            async for page in pages:
                unreadable |= page.unreadable
                if unreadable:
                    # nothing behind it counts as read, so that it is asked for again
                    page = msgspec.structs.replace(page, until=checkpoint.until)
                # hashing and packing thousands of rows would hold everybody else up
                prepared = await asyncio.to_thread(
                    self._prepare, page, checkpoint, sinks, version, now
                )
                await self._journal.commit(
                    event_batches.store(
                        self._tenant_id,
                        self.cursor_id,
                        version,
                        prepared.checkpoint.dump(),
                        prepared.batches,
                    )
                )
                checkpoint, version = prepared.checkpoint, version + 1
                rows, batches = rows + prepared.rows, batches + len(prepared.batches)
                if prepared.batches and await self._is_full():
                    return ReadReport(
                        rows=rows, batches=batches, is_held=True, unreadable=unreadable
                    )
        finally:
            await _close(pages)
        return ReadReport(rows=rows, batches=batches, unreadable=unreadable)

    def _prepare(
        self,
        page: EventPage,
        checkpoint: Checkpoint,
        sinks: Sequence[EventSink],
        version: int,
        now: datetime,
    ) -> Prepared:
        """Tell which rows of a page are new, pack them, and give how far it was read with them."""
        rows = {
            row_key(self._tenant_id, self.source.source_id, self.table, row): row
            for row in page.rows
        }
        news = checkpoint.fresh(rows)
        fresh = {key: row for key, row in rows.items() if key in news}
        times = {key: self._time_of(row, page.until) for key, row in rows.items()}
        return Prepared(
            rows=len(fresh),
            checkpoint=checkpoint.after(times, page.until, now, self._policy.overlap),
            batches=[batch for sink in sinks for batch in self._batches(sink, fresh, version)],
        )

    def _batches(
        self, sink: EventSink, fresh: Mapping[str, Mapping[str, Any]], version: int
    ) -> list[event_batches.NewBatch]:
        shaped: list[ShapedRow] = []
        for key, row in fresh.items():
            shaped += sink.shape(self._origin(key), row)
        return [
            event_batches.NewBatch(
                # by checkpoint: storing the same page twice cannot make two of one
                id=f"{self.cursor_id}/{sink.sink_id}/{version:010}/{place:05}",
                sink_id=sink.sink_id,
                **msgspec.structs.asdict(pack),
            )
            for place, pack in enumerate(packed(shaped, sink.batch_limit))
        ]

    def _origin(self, key: str) -> RowOrigin:
        return RowOrigin(
            tenant_id=self._tenant_id,
            source_id=self.source.source_id,
            table=self.table,
            key=key,
        )

    def _time_of(self, row: Mapping[str, Any], otherwise: datetime) -> datetime:
        try:
            moment = msgspec.convert(row.get(self.table.time), datetime)
        except msgspec.ValidationError:
            return otherwise
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

    async def _is_full(self) -> bool:
        mine = self.streams()
        waiting = await self._journal.ask(event_batches.waiting(self._tenant_id))
        return any(
            one.size >= self._policy.spool_bytes
            for one in waiting
            if (one.sink_id, one.stream) in mine
        )


def _unreadable(found: Mapping[str, str]) -> str:
    named = "; ".join(f"{name}: {reason}" for name, reason in list(found.items())[:5])
    return (
        f"{len(found)} cannot be read, the rest goes on ({named}). Each read tries again; if it "
        "lasts, report the ids to the vendor."
    )


async def _close(pages: AsyncIterator[EventPage]) -> None:
    if isinstance(pages, AsyncGenerator):
        await pages.aclose()
