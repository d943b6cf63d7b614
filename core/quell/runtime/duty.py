"""A duty: a standing piece of work that one worker does at a time, under a lease.

Whoever holds the lease works; the others look in now and then. A holder that dies is
replaced when its lease runs out; two holders at once would change nothing, as everything
that a duty writes is guarded by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from quell.domain.ids import TenantId, WorkerId
from quell.errors import JournalError, QuellError, StateError
from quell.journal import Journal, leases
from quell.journal.holding import Held, holding
from quell.meters import DUTY_SECONDS, DUTY_TURNS

__all__ = ["LEASE", "LONGEST_TURN", "LOOK_EVERY", "Duty", "describe_failure"]

logger = structlog.get_logger(__name__)

#: how long a dead holder keeps a duty from the others
LEASE = timedelta(seconds=20)
#: seconds between two looks at a duty that another worker does
LOOK_EVERY = 2.0
#: seconds that one turn may take: the longest, a backfill, goes on where it was given up
LONGEST_TURN = 3600.0
#: how long to wait after a failure, doubled each time up to the limit
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
BROKEN = "It is tried again; report what the log shows, and see `quell plugins` for whose it is."


@dataclass(slots=True, kw_only=True)
class Duty:
    """What is done, how often, and what can hasten it."""

    tenant_id: TenantId
    name: str
    work: Callable[[], Awaitable[object]]
    every: float | Callable[[], float]
    #: set to do the work now instead of when its time comes
    hasten: asyncio.Event = field(default_factory=asyncio.Event)
    #: seconds after which a turn counts as hung
    longest_turn: float = LONGEST_TURN
    #: what went wrong last, for `doctor` and the log; empty while all is well
    problem: str = ""
    #: since when the turn in hand lasts, by `time.monotonic`; None between two turns
    busy_since: float | None = None
    _pause: float = FIRST_PAUSE

    async def keep(self, journal: Journal, worker: WorkerId, stop: asyncio.Event) -> None:
        """Do the work again and again, or wait for whoever does it, until told to stop."""
        lease = f"duty/{self.name}"
        while not stop.is_set():
            self.hasten.clear()
            try:
                if await journal.ask(leases.is_free(self.tenant_id, lease)):
                    async with holding(journal, self.tenant_id, lease, worker, LEASE) as held:
                        self._recover()
                        await self._work_while(held, stop)
                else:
                    self._recover()
            except JournalError as error:
                await self._rest(self._failed(error), stop)
            else:
                if not stop.is_set():
                    await self._rest(min(self._wait(), LOOK_EVERY), stop)

    async def _work_while(self, held: Held | None, stop: asyncio.Event) -> None:
        while held is not None and not held.is_lost and not stop.is_set():
            self.hasten.clear()
            await self._rest(await self._turn(held), stop)

    async def _turn(self, held: Held) -> float:
        self.busy_since = began = time.monotonic()
        try:
            await self._work(held)
        except QuellError as error:
            return self._failed(error)
        except Exception as error:  # the edge of a worker's work: one duty's bug stops no other
            logger.exception("Duty %s broke", self.name, event_name="duty_broke")
            return self._failed(error)
        finally:
            self.busy_since = None
            DUTY_SECONDS.add(self.tenant_id, self.name, by=time.monotonic() - began)
        DUTY_TURNS.add(self.tenant_id, self.name, "done")
        self._recover()
        return self._wait()

    async def _work(self, held: Held) -> None:
        """Work until it is done, hangs, or is another's; a turn that is given up can be repeated."""
        working = asyncio.ensure_future(self.work())
        deadline = time.monotonic() + self.longest_turn
        try:
            while not (await asyncio.wait({working}, timeout=LOOK_EVERY))[0]:
                if held.is_lost:
                    return
                if time.monotonic() >= deadline:
                    raise StateError(
                        what=f"Duty {self.name}",
                        problem=f"did not end within {self.longest_turn:.0f} s",
                        remedy="It is begun again; the log may show what it waits for.",
                    )
            working.result()
        finally:
            if working.cancel():
                # what does not even let itself be stopped is left behind
                await asyncio.wait({working}, timeout=LOOK_EVERY)

    def _wait(self) -> float:
        return self.every() if callable(self.every) else self.every

    def _recover(self) -> None:
        """Forget what went wrong: it is done, it begins anew, or another worker has it in hand."""
        self.problem, self._pause = "", FIRST_PAUSE

    def _failed(self, error: Exception) -> float:
        self.problem = describe_failure(error)
        DUTY_TURNS.add(self.tenant_id, self.name, "failed")
        logger.warning(
            "Duty %s failed: %s", self.name, self.problem, event_name="duty_failed", duty=self.name
        )
        wait, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
        return wait

    async def _rest(self, seconds: float, stop: asyncio.Event) -> None:
        waits = {asyncio.create_task(event.wait()) for event in (self.hasten, stop)}
        _, pending = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()


def describe_failure(error: Exception) -> str:
    """Say in one line what went wrong and what to do; a bug's own text may hold incident data."""
    if isinstance(error, QuellError):
        return f"{error}. {error.remedy}"
    return f"it broke ({type(error).__name__}). {BROKEN}"
