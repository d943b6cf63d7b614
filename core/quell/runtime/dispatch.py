"""Wake-ups inside one process: ids in a bounded line, driven by a bounded number of runs at once.

A wake-up may be lost, doubled or late; whatever is due is found in the journal.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from quell.domain.urgency import USUAL, is_urgent
from quell.engine import RunRef
from quell.errors import QuellError
from quell.journal.admission import Verdict
from quell.meters import WAKE_UPS
from quell.runtime.line import Line

__all__ = ["IN_FLIGHT", "WAITING", "Dispatcher"]

logger = structlog.get_logger(__name__)

#: runs driven at once by one process, where the settings do not say
IN_FLIGHT = 200
#: wake-ups waiting; beyond it the least urgent are dropped, and found later in the journal
WAITING = 10_000

Drive = Callable[[RunRef], Awaitable[object]]


class Dispatcher:
    """Drives runs on the process's event loop, the urgent ones first.

    A run that may have brought down its workers (`drive` gives `Verdict.SUSPECT`) is driven
    by `alone`: when nothing else is in hand, and nothing else is begun until it is let go.
    """

    def __init__(
        self,
        drive: Drive,
        alone: Drive | None = None,
        *,
        in_flight: int = IN_FLIGHT,
        waiting: int = WAITING,
    ) -> None:
        self._drive = drive
        self._alone = alone
        self._in_flight = in_flight
        self._loop: asyncio.AbstractEventLoop | None = None
        self._line: Line[RunRef] = Line(waiting)
        self._driving: dict[RunRef, asyncio.Task[object]] = {}
        self._again: dict[RunRef, int] = {}
        self._suspects: deque[RunRef] = deque()
        self._is_alone = False
        self._ends: dict[RunRef, list[asyncio.Future[bool]]] = {}

    def start(self) -> None:
        """Begin to take wake-ups; called on the event loop."""
        self._loop = asyncio.get_running_loop()

    def offer(self, ref: RunRef, priority: int = USUAL) -> None:
        """Ask, from any thread, that a run be looked at soon."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take, ref, priority)

    async def drive(self, ref: RunRef, priority: int = USUAL) -> bool:
        """Look at a run and wait for it; on the event loop. False if it was not looked at."""
        if self._loop is None:
            return False
        end: asyncio.Future[bool] = self._loop.create_future()
        self._ends.setdefault(ref, []).append(end)
        self._take(ref, priority)
        return await end

    @property
    def in_hand(self) -> int:
        """Tell how many runs are being driven."""
        return len(self._driving)

    @property
    def in_line(self) -> int:
        """Tell how many wake-ups wait for a slot."""
        return len(self._line) + len(self._suspects)

    async def quiet(self) -> None:
        """Wait until nothing is being driven, or waits for it."""
        while self._driving:
            await asyncio.wait(list(self._driving.values()))

    async def stop(self) -> None:
        """Take no more wake-ups, and wait for the runs in hand to reach a point where they can stop."""
        self._loop = None
        self._again.clear()
        for ref in (*self._line.empty(), *self._suspects):
            self._let_go(ref, was_driven=False)
        self._suspects.clear()
        await self.quiet()

    def abandon(self) -> None:
        """Leave what is in hand where it stands: its leases run out, and others take it over."""
        for driving in self._driving.values():
            driving.cancel()

    def _take(self, ref: RunRef, priority: int) -> None:
        if self._loop is None:
            self._let_go(ref, was_driven=False)  # it was offered before the stop, and came after it
        elif ref in self._driving:
            # it may have passed the point that this wake-up is about: look once more
            self._again[ref] = min(priority, self._again.get(ref, priority))
        elif ref not in self._suspects:
            dropped = self._line.put(ref, priority)
            if dropped is not None:
                WAKE_UPS.add("dropped")
                self._let_go(dropped, was_driven=False)
            self._fill()

    def _fill(self) -> None:
        while len(self._driving) < self._in_flight and not self._is_alone:
            if self._suspects and not self._driving:
                self._is_alone = True
                self._begin(self._suspects.popleft(), self._alone or self._drive)
            elif (first := self._line.first_rank()) is None:
                return
            elif self._suspects and not is_urgent(first):
                return  # a suspect waits for what is in hand; only containment goes before it
            else:
                self._begin(self._line.pop(), self._drive)

    def _begin(self, ref: RunRef, drive: Drive) -> None:
        driving = asyncio.create_task(self._run(ref, drive))
        self._driving[ref] = driving
        driving.add_done_callback(lambda done: self._finished(ref, done))

    def _finished(self, ref: RunRef, done: asyncio.Task[object]) -> None:
        del self._driving[ref]
        if not self._driving:
            self._is_alone = False
        again = self._again.pop(ref, None)
        is_suspect = not done.cancelled() and done.result() is Verdict.SUSPECT
        if is_suspect and self._alone is not None and self._loop is not None:
            self._suspects.append(ref)
        else:
            self._let_go(ref, was_driven=True)
            if again is not None:
                self._take(ref, again)
        if self._loop is not None:
            self._fill()

    def _let_go(self, ref: RunRef, *, was_driven: bool) -> None:
        for end in self._ends.pop(ref, ()):
            if not end.done():
                end.set_result(was_driven)

    async def _run(self, ref: RunRef, drive: Drive) -> object:
        try:
            return await drive(ref)
        except QuellError as error:
            logger.warning("Run %s stopped: %s", ref.run_id, error, event_name="run_stopped")
        except Exception:  # the edge of a worker's work: one run's bug stops no other
            logger.exception("Run %s broke", ref.run_id, event_name="run_broke")
        return None
