"""Wake-ups inside one process: ids in a bounded queue, driven by a bounded number of runs at once.

A wake-up may be lost, doubled or late; the sweep finds in the journal whatever is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from quell.engine import RunRef
from quell.errors import QuellError

__all__ = ["Dispatcher"]

logger = structlog.get_logger(__name__)

#: runs driven at once by one process
IN_FLIGHT = 200
#: wake-ups waiting; beyond it they are dropped and the sweep finds the runs
WAITING = 10_000


class Dispatcher:
    """Drives runs on the process's event loop. `offer` can be called from any thread."""

    def __init__(self, drive: Callable[[RunRef], Awaitable[object]]) -> None:
        self._drive = drive
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._driving: dict[RunRef, asyncio.Task[None]] = {}
        self._again: set[RunRef] = set()

    def start(self) -> None:
        """Begin to take wake-ups; called on the event loop."""
        self._loop = asyncio.get_running_loop()

    def offer(self, ref: RunRef) -> None:
        """Ask that a run be looked at soon."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take, ref)

    async def drive(self, ref: RunRef) -> None:
        """Look at a run now and wait for it; on the event loop. Ends at once when stopped."""
        if self._loop is None:
            return  # the sweep finds it
        self._take(ref)
        if ref in self._driving:
            await asyncio.wait([self._driving[ref]])

    async def quiet(self) -> None:
        """Wait until nothing is being driven."""
        while self._driving:
            await asyncio.wait(list(self._driving.values()))

    async def stop(self) -> None:
        """Take no more wake-ups, and wait for the runs in hand to reach a point where they can stop."""
        self._loop = None
        self._again.clear()
        await self.quiet()

    def _take(self, ref: RunRef) -> None:
        if self._loop is None:
            return  # it was offered before the stop, and came after it
        if ref in self._driving:
            # it may have passed the point that this wake-up is about: look once more
            self._again.add(ref)
        elif len(self._driving) < WAITING:
            task = asyncio.create_task(self._run(ref))
            self._driving[ref] = task
            task.add_done_callback(lambda _: self._finished(ref))

    def _finished(self, ref: RunRef) -> None:
        del self._driving[ref]
        if ref in self._again:
            self._again.discard(ref)
            self.offer(ref)

    async def _run(self, ref: RunRef) -> None:
        async with self._slots:
            try:
                await self._drive(ref)
            except QuellError as error:
                logger.warning("Run %s stopped: %s", ref.run_id, error, event_name="run_stopped")
            except Exception:  # the edge of a worker's work: one run's bug stops no other
                logger.exception("Run %s broke", ref.run_id, event_name="run_broke")
