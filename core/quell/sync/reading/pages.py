"""Stores pages of observations: each with its cursor in one transaction, the unreadable put aside."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import structlog

from quell.domain.ids import IncidentId, SourceId
from quell.domain.incident import Origin
from quell.domain.original import Original
from quell.domain.ports import IncidentSource, ObservedIncident, PolledPage
from quell.journal import hubs
from quell.sync.bench import Bench, Decider
from quell.sync.reading.whole import WholeReader

__all__ = ["UNREADABLE", "Pages", "PollReport", "Tally", "close_pages"]

logger = structlog.get_logger(__name__)

#: what a payload that our own code trips over can raise; it is parked like one that is unreadable
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, msgspec.MsgspecError)


class PollReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one reading of a source came to."""

    source_id: SourceId
    #: observations stored
    incidents: int = 0
    #: real changes among them
    revisions: int = 0
    #: incidents that have writes planned now
    writes: int = 0
    #: what could not be read, with the reason; what was known before is not told again
    parked: dict[str, str] = {}


@dataclass(slots=True)
class Tally:
    """A report while it grows."""

    incidents: int = 0
    revisions: int = 0
    with_writes: set[IncidentId] = field(default_factory=set[IncidentId])
    parked: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, stored: hubs.Stored) -> None:
        """Count what was stored."""
        self.incidents += stored.incidents
        self.revisions += stored.revisions
        self.with_writes.update(stored.with_writes)

    def report(self, source_id: SourceId) -> PollReport:
        """Give what was counted."""
        return PollReport(
            source_id=source_id,
            incidents=self.incidents,
            revisions=self.revisions,
            writes=len(self.with_writes),
            parked=self.parked,
        )


class Pages:
    """Takes pages in, for one tenant."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._journal = bench.journal
        self._whole = WholeReader(bench)

    async def take(
        self,
        source: IncidentSource,
        page: PolledPage,
        move: hubs.CursorMove,
        origin: Origin,
        tally: Tally,
        *,
        checks_since: datetime | None = None,
    ) -> None:
        """Store a page and move the cursor that it came with."""
        poison = dict(page.poison)
        own = [one for one in page.incidents if not self._is_foreign(one)]
        seen = await self._whole.read(source, own, poison, checks_since=checks_since)
        decider = Decider(await self._bench.rules())
        write = hubs.store(decider, seen, origin=origin, cursor=move, poison=poison)
        try:
            stored = await self._journal.commit(write)
        except UNREADABLE:
            stored = await self._take_one_by_one(decider, seen, move, origin, poison, tally)
        tally.add(stored)
        for native_id in stored.parked:
            tally.parked[native_id] = poison[native_id]
            logger.warning(
                "Incident %s of %s is parked",
                native_id,
                source.source_id,
                event_name="incident_parked",
            )

    def _is_foreign(self, one: ObservedIncident) -> bool:
        return Original.is_foreign(one.created_for, self._bench.tenant_id)

    async def _take_one_by_one(
        self,
        decider: Decider,
        seen: Sequence[ObservedIncident],
        move: hubs.CursorMove,
        origin: Origin,
        poison: dict[str, str],
        tally: Tally,
    ) -> hubs.Stored:
        """Store a page that failed as a whole so that only what is wrong in it stays behind."""
        for one in seen:
            try:
                tally.add(await self._journal.commit(hubs.store(decider, [one], origin=origin)))
            except UNREADABLE as error:
                poison[one.native_id] = f"it cannot be stored ({type(error).__name__})"
        write = hubs.store(decider, [], origin=origin, cursor=move, poison=poison)
        return await self._journal.commit(write)


async def close_pages(pages: AsyncIterator[PolledPage]) -> None:
    """Let a source leave its list where it is."""
    if isinstance(pages, AsyncGenerator):
        await pages.aclose()
