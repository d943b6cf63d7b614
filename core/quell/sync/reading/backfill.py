"""Reads what changed in a time gone by, with a cursor of its own, beside the polls.

It ends where the polls have got to: what changes from then on is theirs, and live. What it finds
starts nothing that touches the world.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from quell.domain.ids import SourceId
from quell.domain.incident import Origin
from quell.domain.ports import Clock
from quell.errors import ConnectorError
from quell.journal import cursors, hubs
from quell.sync.bench import Bench
from quell.sync.reading.pages import Pages, PollReport, Tally, close_pages

__all__ = ["Backfill", "BackfillProgress", "backfill_name"]


class BackfillProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a backfill has got: what its cursor holds."""

    since: datetime
    until: datetime
    #: the source's own cursor
    cursor: str | None = None
    #: incidents read so far, and how many there were at the beginning where that is known
    read: int = 0
    total: int | None = None
    is_over: bool = False


Watch = Callable[[BackfillProgress], None]


def backfill_name(source_id: SourceId) -> SourceId:
    """Name the cursor of a source's backfill."""
    return SourceId(f"backfill/{source_id}")


class Backfill:
    """Reads one source's past. Stopped anywhere, it goes on from the last page that was stored."""

    def __init__(self, bench: Bench, clock: Clock) -> None:
        self._bench = bench
        self._clock = clock
        self._journal = bench.journal
        self._pages = Pages(bench)

    async def run(
        self,
        source_id: SourceId,
        since: datetime,
        until: datetime | None = None,
        watch: Watch | None = None,
    ) -> PollReport:
        """Read everything that changed in a time; the same time again goes on with what is left.

        Raises ConnectorError where the source as a whole fails.
        """
        name = backfill_name(source_id)
        tally = Tally()
        try:
            await self._run(source_id, since, until, watch or _unwatched, tally)
        except ConnectorError as error:
            await self._journal.commit(cursors.failed(self._bench.tenant_id, name, str(error)))
            raise
        await self._journal.commit(cursors.finished(self._bench.tenant_id, name))
        return tally.report(source_id)

    async def _run(
        self,
        source_id: SourceId,
        since: datetime,
        until: datetime | None,
        watch: Watch,
        tally: Tally,
    ) -> None:
        source, name = self._bench.sides[source_id], backfill_name(source_id)
        row, state = await self._begin(source_id, since, until)
        watch(state)
        if state.is_over or state.since >= state.until:
            return
        version = row.version
        pages = source.sweep(state.since, until=state.until, cursor=state.cursor)
        try:
            async for page in pages:
                state = msgspec.structs.replace(
                    state, cursor=page.cursor, read=state.read + len(page.incidents)
                )
                move = _move(source_id, name, version, state)
                await self._pages.take(source, page, move, Origin.BACKFILL, tally)
                version += 1
                watch(state)
        finally:
            await close_pages(pages)
        over = msgspec.structs.replace(state, is_over=True)
        await self._journal.commit(
            cursors.move_to(self._bench.tenant_id, name, version, _dump(over))
        )

    async def _begin(
        self, source_id: SourceId, since: datetime, until: datetime | None
    ) -> tuple[cursors.Cursor, BackfillProgress]:
        """Go on with a backfill of the same time that was stopped, or begin a new one."""
        name, tenant_id = backfill_name(source_id), self._bench.tenant_id
        row = await self._journal.ask(cursors.get(tenant_id, name))
        state = progress_of(row)
        if state is not None and _goes_on(state, since, until):
            return row, state
        row = await self._journal.commit(cursors.restart(tenant_id, name))
        end = await self._end(source_id, until)
        total = await self._bench.sides[source_id].count(since, end) if since < end else 0
        return row, BackfillProgress(since=since, until=end, total=total)

    async def _end(self, source_id: SourceId, until: datetime | None) -> datetime:
        polled = await self._journal.ask(cursors.get(self._bench.tenant_id, source_id))
        ends = [self._clock.now(), until]
        if polled.succeeded_at is not None:
            ends.append(self._bench.sides[source_id].reached(polled.cursor))
        return min(end for end in ends if end is not None)


def progress_of(row: cursors.Cursor) -> BackfillProgress | None:
    """Read how far a backfill got; None where there was none."""
    try:
        return msgspec.json.decode(row.cursor or "", type=BackfillProgress)
    except msgspec.DecodeError:
        return None


def _goes_on(state: BackfillProgress, since: datetime, until: datetime | None) -> bool:
    """Tell whether one that was stopped reads what is asked for; "14 days ago" moves on meanwhile."""
    is_near = timedelta(0) <= since - state.since <= timedelta(days=1)
    return not state.is_over and is_near and until in (None, state.until)


def _move(
    source_id: SourceId, name: SourceId, version: int, state: BackfillProgress
) -> hubs.CursorMove:
    return hubs.CursorMove(source_id=source_id, version=version, to=_dump(state), name=name)


def _dump(state: BackfillProgress) -> str:
    return msgspec.json.encode(state).decode()


def _unwatched(state: BackfillProgress) -> None:
    """Let nobody watch."""
