"""The one writer of incidents: takes planned writes, one incident at a time, under its lease.

A write is committed as `sending` before the request leaves. Whatever then happens, the next
look at the incident finds out what became of it before anything is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

import msgspec
import structlog

from quell.domain.hub import Hub, IncidentWrite, Step, WriteKind, WriteState
from quell.domain.ids import IncidentId, SourceId
from quell.errors import ConnectorError, NotFoundError
from quell.journal import hubs, incident_writes, sync_switches
from quell.journal.holding import holding
from quell.meters import WRITES
from quell.sync.bench import Bench
from quell.sync.desk.failures import after_failure
from quell.sync.desk.looks import Looks
from quell.sync.desk.requests import LeaseLost, Requests

__all__ = ["IncidentWriter", "WriteReport"]

logger = structlog.get_logger(__name__)

#: how long a dead worker keeps an incident from the others; a living one renews it
LEASE = timedelta(seconds=20)
#: incidents served side by side
WIDTH = 8
#: most writes to one incident in one go; the rest waits for its next turn
MOST = 100

#: the order in which writes to one copy are sent; what is not named goes last
ORDER = {WriteKind.CREATE: 0, WriteKind.UPDATE: 1, WriteKind.RETIRE: 1}


class WriteReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one turn of the writer came to."""

    applied: int = 0
    #: tried, and to be tried again
    postponed: int = 0
    parked: int = 0
    #: one line for each failure
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class Tally:
    """A report while it grows."""

    applied: int = 0
    postponed: int = 0
    parked: int = 0
    problems: list[str] = field(default_factory=list[str])

    def report(self) -> WriteReport:
        """Give what was counted."""
        return WriteReport(
            applied=self.applied,
            postponed=self.postponed,
            parked=self.parked,
            problems=tuple(dict.fromkeys(self.problems)),
        )


class IncidentWriter:
    """Applies the planned writes of one tenant."""

    def __init__(self, bench: Bench, look: Callable[[SourceId], object]) -> None:
        self._bench = bench
        self._journal = bench.journal
        self._tenant_id = bench.tenant_id
        self._looks = Looks(bench.journal, look)
        # a lease tells workers apart, not two coroutines of one worker
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def apply(self, limit: int = 200) -> WriteReport:
        """Send what is due, for up to `limit` incidents."""
        tally = Tally()
        due = await self._journal.ask(incident_writes.due(self._tenant_id, limit))
        width = asyncio.Semaphore(WIDTH)

        async def serve(incident_id: IncidentId) -> None:
            async with width:
                await self.serve(incident_id, tally)

        try:
            async with asyncio.TaskGroup() as group:
                for incident_id in due:
                    group.create_task(serve(incident_id))
        except ExceptionGroup as failures:
            # the journal's trouble is the same for all of them: callers know it by its own class
            raise failures.exceptions[0] from failures
        return tally.report()

    async def serve(self, incident_id: IncidentId, tally: Tally | None = None) -> None:
        """Send what is due for one incident, unless another worker is at it."""
        turn = self._turns.setdefault(incident_id, asyncio.Lock())
        async with turn:
            name = f"incident/{incident_id}"
            worker = self._bench.worker
            async with holding(self._journal, self._tenant_id, name, worker, LEASE) as held:
                if held is not None:
                    await self._drain(incident_id, held.fence, tally or Tally())

    async def _drain(self, incident_id: IncidentId, fence: int, tally: Tally) -> None:
        requests = Requests(
            self._bench, await self._bench.rules(), incident_id, fence, looks=self._looks
        )
        for _ in range(MOST):
            if await self._journal.ask(sync_switches.is_stopped(self._tenant_id)):
                return
            hub, now = await self._journal.ask(hubs.at_now(self._tenant_id, incident_id))
            write = _next(hub, now)
            if write is None:
                return
            try:
                is_applied = await requests.send(hub, write)
                tally.applied += is_applied
                WRITES.add(self._tenant_id, write.source_id, "applied", by=is_applied)
            except LeaseLost:
                return
            except (ConnectorError, NotFoundError) as error:
                await self._fail(incident_id, write, error, requests.has_sent, tally)

    async def _fail(
        self,
        incident_id: IncidentId,
        write: IncidentWrite,
        error: ConnectorError | NotFoundError,
        has_sent: bool,
        tally: Tally,
    ) -> None:
        rules = await self._bench.rules()

        def decide(hub: Hub, now: datetime) -> Step:
            found = next((one for one in hub.writes if one.id == write.id), None)
            if found is None:
                return Step(hub=hub)
            return after_failure(hub, found, error, rules, now, has_sent=has_sent)

        hub = await self._journal.commit(hubs.change(self._tenant_id, incident_id, decide))
        after = next((one for one in hub.writes if one.id == write.id), None) if hub else None
        is_parked = after is not None and after.state is WriteState.PARKED
        tally.parked += is_parked
        tally.postponed += not is_parked
        WRITES.add(self._tenant_id, write.source_id, "parked" if is_parked else "postponed")
        tally.problems.append(f"{write.source_id}: {error} {error.remedy}")
        logger.warning(
            "A write to %s failed (%s)", write.source_id, error.code, event_name="write_failed"
        )


def _next(hub: Hub, now: datetime) -> IncidentWrite | None:
    """Choose what is sent next: what may have been sent already, copies, fields, then the rest.

    Fields go before comments, which give a copy a new version that we are not told.
    """
    due = [
        write
        for write in hub.writes
        if write.is_open and (write.not_before is None or write.not_before <= now)
    ]
    return min(due, key=_urgency, default=None)


def _urgency(write: IncidentWrite) -> tuple[bool, int, datetime]:
    return (
        write.state is not WriteState.SENDING,
        ORDER.get(write.kind, len(ORDER)),
        write.planned_at,
    )
