"""Sweeps a source: reads days back all over again, and takes in what the polls missed.

Polls go back by an overlap of minutes. What became visible later than that, alerts that belong
to no incident, and changes that no stamp told of are found here; the days that a sweep goes back
are how far sync's promise reaches.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from quell.domain.ids import SourceId
from quell.domain.incident import Origin
from quell.domain.ports import Clock
from quell.errors import ConnectorError
from quell.journal import cursors, hubs
from quell.sync.bench import Bench
from quell.sync.reading.pages import Pages, PollReport, Tally, close_pages

__all__ = ["Sweeper", "sweep_name"]

#: how far a product's clock may be off
SKEW = timedelta(hours=1)
#: how long after one that failed the next sweep is tried
AGAIN_AFTER = timedelta(minutes=30)


def sweep_name(source_id: SourceId) -> SourceId:
    """Name the journal's record of a source's sweeps."""
    return SourceId(f"sweep/{source_id}")


class Sweeper:
    """Sweeps the sources of one tenant."""

    def __init__(self, bench: Bench, clock: Clock) -> None:
        self._bench = bench
        self._clock = clock
        self._journal = bench.journal
        self._pages = Pages(bench)

    async def sweep_if_due(self, source_id: SourceId) -> PollReport | None:
        """Sweep a source whose time has come; the first time is one interval after the first look."""
        # a source of a plugin that was made before there were sweeps has none
        every = timedelta(seconds=getattr(self._bench.sides[source_id], "sweep_every", 0.0))
        name, now = sweep_name(source_id), self._clock.now()
        polled, swept = await self._get(source_id), await self._get(name)
        if not every or polled.succeeded_at is None:
            return None
        if swept.polled_at is None or swept.succeeded_at is None:
            await self._journal.commit(cursors.finished(self._bench.tenant_id, name))
            return None
        if now - swept.succeeded_at < every or now - swept.polled_at < min(every, AGAIN_AFTER):
            return None
        return await self.sweep(source_id)

    async def sweep(self, source_id: SourceId) -> PollReport:
        """Sweep one source. Raises ConnectorError where the source as a whole fails."""
        name = sweep_name(source_id)
        try:
            report = await self._sweep(source_id, name)
        except ConnectorError as error:
            await self._journal.commit(cursors.failed(self._bench.tenant_id, name, str(error)))
            raise
        await self._journal.commit(cursors.finished(self._bench.tenant_id, name))
        return report

    async def _sweep(self, source_id: SourceId, name: SourceId) -> PollReport:
        source = self._bench.sides[source_id]
        swept = (await self._get(name)).succeeded_at
        checks = swept - SKEW if swept is not None else None
        start = await self._journal.commit(cursors.restart(self._bench.tenant_id, name))
        tally, version = Tally(), start.version
        pages = source.sweep(self._since(source.sweep_back))
        try:
            async for page in pages:
                move = hubs.CursorMove(
                    source_id=source_id, version=version, to=page.cursor, name=name
                )
                await self._pages.take(source, page, move, Origin.LIVE, tally, checks_since=checks)
                version += 1
        finally:
            await close_pages(pages)
        return tally.report(source_id)

    def _since(self, back: timedelta) -> datetime:
        return self._clock.now() - back

    async def _get(self, name: SourceId) -> cursors.Cursor:
        return await self._journal.ask(cursors.get(self._bench.tenant_id, name))
