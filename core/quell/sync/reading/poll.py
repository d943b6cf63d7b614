"""Polls one source: what changed is read whole, stored page by page with the cursor, and planned on.

A page's rows and its cursor are one transaction. An incident that cannot be read is parked and
told of once; everything that concerns the whole source stops the poll where it is.
"""

from __future__ import annotations

from quell.domain.ids import SourceId
from quell.domain.incident import Origin
from quell.domain.ports import IncidentSource
from quell.errors import AnswerNotFound, ConnectorError
from quell.journal import cursors, hubs
from quell.sync.bench import Bench, Decider
from quell.sync.modes import keep_up
from quell.sync.reading.clean import cleaned
from quell.sync.reading.pages import UNREADABLE, Pages, PollReport, Tally, close_pages
from quell.sync.reading.whole import OF_ONE

__all__ = ["PollReport", "Poller", "close_pages"]


class Poller:
    """Polls the sources of one tenant."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._journal = bench.journal
        self._tenant_id = bench.tenant_id
        self._pages = Pages(bench)

    async def poll(self, source_id: SourceId) -> PollReport:
        """Poll one source to its end. Raises ConnectorError where the source as a whole fails."""
        source = self._bench.sides[source_id]
        tally = Tally()
        try:
            await self._poll(source, tally)
        except ConnectorError as error:
            await self._journal.commit(cursors.failed(self._tenant_id, source_id, str(error)))
            raise
        return tally.report(source_id)

    async def _poll(self, source: IncidentSource, tally: Tally) -> None:
        start = await self._journal.ask(cursors.get(self._tenant_id, source.source_id))
        is_first = start.succeeded_at is None
        await self._retry_parked(source, tally)
        version = start.version
        pages = source.poll(start.cursor)
        try:
            async for page in pages:
                move = hubs.CursorMove(source_id=source.source_id, version=version, to=page.cursor)
                origin = Origin.BACKFILL if is_first else Origin.LIVE
                await self._pages.take(source, page, move, origin, tally)
                version += 1
        finally:
            await close_pages(pages)
        await self._journal.commit(cursors.finished(self._tenant_id, source.source_id))
        if self._bench.sides.is_mirror(source.source_id):
            tally.with_writes |= await keep_up(self._bench, source.source_id)

    async def _retry_parked(self, source: IncidentSource, tally: Tally) -> None:
        """Try again what could not be read before."""
        due = await self._journal.ask(cursors.due_items(self._tenant_id, source.source_id))
        for item in due:
            try:
                seen = cleaned(await source.fetch(item.native_id))
                decider = Decider(await self._bench.rules())
                write = hubs.store(decider, [seen], origin=Origin.LIVE)
                tally.add(await self._journal.commit(write))
            except AnswerNotFound:
                pass  # it is gone: there is nothing left to read
            except (*OF_ONE, *UNREADABLE) as error:
                reason = str(error) if isinstance(error, ConnectorError) else type(error).__name__
                await self._journal.commit(
                    cursors.park(self._tenant_id, source.source_id, item.native_id, reason)
                )
                continue
            await self._journal.commit(
                cursors.unpark(self._tenant_id, source.source_id, item.native_id)
            )
