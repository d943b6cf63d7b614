"""Tells how sync stands with each source: how far it has read, what waits, what was put aside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from quell.domain.hub import WriteState
from quell.domain.ids import SourceId
from quell.journal import cursors, incident_writes
from quell.sync.bench import Bench
from quell.sync.reading.backfill import BackfillProgress, backfill_name, progress_of
from quell.sync.reading.sweep import sweep_name

__all__ = ["SourceStatus", "list_status"]


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How sync stands with one source."""

    source_id: SourceId
    #: empty where no copies are made, or where it is not settled yet
    mode: str
    #: the newest change that was read, by the product's own clock
    read_up_to: datetime | None
    #: seconds that the reading is behind: since then, or since a poll came to its end if later
    lag: float | None
    polled_at: datetime | None
    succeeded_at: datetime | None
    #: seconds since a poll last came to its end
    since_success: float | None
    problem: str
    swept_at: datetime | None
    backfill: BackfillProgress | None
    parked: tuple[cursors.ParkedItem, ...]
    #: writes that wait, and writes that were given up
    planned_writes: int
    parked_writes: int

    @property
    def is_good(self) -> bool:
        """Tell whether nobody has to look at it."""
        return not self.problem and not self.parked


async def list_status(bench: Bench) -> list[SourceStatus]:
    """Tell how sync stands with every source of a tenant."""
    modes = (await bench.rules()).modes
    parked = await bench.journal.ask(cursors.listed_items(bench.tenant_id))
    counts = await bench.journal.ask(incident_writes.counts(bench.tenant_id))
    return [
        await _status(
            bench,
            source.source_id,
            modes.get(source.source_id, ""),
            [item for item in parked if item.source_id == source.source_id],
            counts.get(source.source_id, {}),
        )
        for source in bench.sides
    ]


async def _status(
    bench: Bench,
    source_id: SourceId,
    mode: str,
    parked: Sequence[cursors.ParkedItem],
    counts: dict[WriteState, int],
) -> SourceStatus:
    ask, tenant_id = bench.journal.ask, bench.tenant_id
    polled = await ask(cursors.get(tenant_id, source_id))
    swept = await ask(cursors.get(tenant_id, sweep_name(source_id)))
    filled = await ask(cursors.get(tenant_id, backfill_name(source_id)))
    now = await ask(lambda tx: tx.now)
    reached = bench.sides[source_id].reached(polled.cursor)
    return SourceStatus(
        source_id=source_id,
        mode=mode,
        read_up_to=reached,
        lag=_seconds(_later(reached, polled.succeeded_at), now),
        polled_at=polled.polled_at,
        succeeded_at=polled.succeeded_at,
        since_success=_seconds(polled.succeeded_at, now),
        problem=polled.error,
        swept_at=swept.succeeded_at,
        backfill=progress_of(filled),
        parked=tuple(parked),
        planned_writes=counts.get(WriteState.PLANNED, 0) + counts.get(WriteState.SENDING, 0),
        parked_writes=counts.get(WriteState.PARKED, 0),
    )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)


def _seconds(then: datetime | None, now: datetime) -> float | None:
    return None if then is None else round((now - then).total_seconds(), 1)
