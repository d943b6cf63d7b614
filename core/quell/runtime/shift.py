"""One process's shift: duties and runs until told to stop, and then leaving in good order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import structlog

from quell.errors import JournalError
from quell.journal import commits, workers

if TYPE_CHECKING:
    from quell.runtime.process import Runtime

__all__ = ["Shift"]

logger = structlog.get_logger(__name__)

#: seconds between two signs of life
BEAT_EVERY = 5.0
#: signs of life between two clean-ups of the journal
BEATS_TO_PRUNE = 120
#: seconds that whatever was stopped gets to clear up behind itself
CLEAR_UP = 5.0


class Shift:
    """Everything that a process does at a time, from the start to the sign to stop.

    At the sign nothing new is begun. Steps in hand get the grace time to end; then their runs
    go back to the queue. What is still in hand when that time is over, or at `hurry`, is left
    where it stands: its lease runs out, and whoever takes it over looks before it sends again.
    """

    def __init__(self, runtime: Runtime, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        self._runtime = runtime
        self._stop = stop
        self._hurry = hurry

    async def work(self, beside: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Work until told to stop, and leave. What raises ends the process."""
        runtime = self._runtime
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(self._beat())
            working = [group.create_task(one) for one in beside]
            for tenant in runtime.tenants.values():
                for duty in tenant.duties(runtime.wake):
                    keeping = duty.keep(runtime.journal, runtime.worker_id, self._stop)
                    working.append(group.create_task(keeping))
            group.create_task(self._leave(working, beating))
        await runtime.journal.commit(workers.leave(runtime.worker_id))

    async def _leave(self, working: list[asyncio.Task[None]], beating: asyncio.Task[None]) -> None:
        await self._stop.wait()
        for tenant in self._runtime.tenants.values():
            tenant.engine.drain()
        driving = asyncio.create_task(self._runtime.dispatcher.stop())
        open_ones = await self._wait_for({*working, driving})
        if open_ones:
            await self._abandon(open_ones)
        beating.cancel()

    async def _wait_for(self, ending: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        """Wait until all have ended, the grace time is over, or somebody is in a hurry."""
        hurrying = asyncio.create_task(self._hurry.wait())
        deadline = asyncio.get_running_loop().time() + self._runtime.settings.worker.grace
        try:
            while ending and not hurrying.done():
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    break
                waits = {*ending, hurrying}
                await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                ending = {one for one in ending if not one.done()}
        finally:
            hurrying.cancel()
        return ending

    async def _abandon(self, open_ones: set[asyncio.Task[None]]) -> None:
        logger.warning(
            "The grace time is over: %s runs are left to their leases",
            self._runtime.dispatcher.in_hand,
            event_name="grace_over",
        )
        self._runtime.dispatcher.abandon()
        for one in open_ones:
            one.cancel()
        await asyncio.wait(open_ones, timeout=CLEAR_UP)

    async def _beat(self) -> None:
        for beat in count():
            try:
                is_draining = self._stop.is_set()
                await self._runtime.sign(is_draining=is_draining)
                if beat % BEATS_TO_PRUNE == 0:
                    await self._runtime.journal.commit(commits.prune())
            except JournalError as error:
                # a database that restarts ends no worker: duties and leases wait for it, too
                logger.warning("No sign of life written: %s", error, event_name="beat_failed")
            if self._stop.is_set():
                await asyncio.sleep(BEAT_EVERY)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), BEAT_EVERY)
