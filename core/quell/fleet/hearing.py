"""Noticing that no wake-ups come in, though runs wait: a worker's ear to the broker may be dead.

A consumer can lose its broker without an error. The journal tells: runs that nobody takes,
found again and again by the sweep, while this worker has its hands free and hears nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from quell.domain.ids import TenantId
from quell.errors import JournalError
from quell.journal import due
from quell.journal.due import Waking
from quell.runtime import Runtime

__all__ = ["Hearing"]

logger = structlog.get_logger(__name__)

#: seconds between two looks at the journal
LOOK_EVERY = 10.0
#: seconds that a run waits, and nothing is heard, until this worker doubts its ears: the sweep
#: has by then sent the run's wake-up twice
DEAF_AFTER = 60.0
#: seconds of doubt until it leaves, for its supervisor to start it anew
LEAVE_AFTER = 240.0
#: runs that a deaf worker takes in hand at one look
BATCH = 50


@dataclass(slots=True)
class Hearing:
    """Whether this worker hears the broker. Wake-ups are noted from any thread."""

    #: called when it has been deaf for too long
    leave: Callable[[], None]
    look_every: float = LOOK_EVERY
    deaf_after: float = DEAF_AFTER
    leave_after: float = LEAVE_AFTER
    _heard_at: float = field(default_factory=time.monotonic)
    _deaf_since: float | None = None

    def note(self) -> None:
        """Note that a wake-up came in."""
        self._heard_at = time.monotonic()

    async def listen(self, runtime: Runtime, stop: asyncio.Event) -> None:
        """Look into the journal now and then, until told to stop."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self.look_every)
            with contextlib.suppress(JournalError):  # whoever cannot read it knows nothing
                await self._look(runtime)

    @property
    def is_deaf(self) -> bool:
        """Tell whether runs wait and nothing is heard."""
        return self._deaf_since is not None

    async def _look(self, runtime: Runtime) -> None:
        waiting = await self._unheard(runtime)
        if not waiting:
            if self._deaf_since is not None:
                logger.info("Wake-ups come in again, or are not needed", event_name="hears_again")
            self._deaf_since = None
            return
        self._doubt(len(waiting))
        for one in waiting:
            # done here meanwhile: whoever else has it by now is told by its lease
            runtime.dispatcher.offer(one.ref, one.priority)

    async def _unheard(self, runtime: Runtime) -> list[Waking]:
        """List runs that wait for too long, if this worker would have had to hear of them."""
        silent_for = time.monotonic() - self._heard_at
        is_busy = runtime.dispatcher.in_hand >= runtime.settings.worker.runs_in_flight
        if silent_for < self.deaf_after or is_busy:
            return []
        tenants = [TenantId(name) for name in runtime.tenants]
        question = due.queued_for(tenants, timedelta(seconds=self.deaf_after), limit=BATCH)
        return await runtime.journal.ask(question)

    def _doubt(self, waiting: int) -> None:
        now = time.monotonic()
        if self._deaf_since is None:
            self._deaf_since = now
            logger.warning(
                "Runs wait (%s or more) and no wake-up has come in for %.0f s: this worker does "
                "them without, and leaves to be started anew if that goes on",
                waiting,
                now - self._heard_at,
                event_name="deaf",
            )
        elif now - self._deaf_since >= self.leave_after:
            logger.error("Still no wake-up comes in: leaving", event_name="deaf_left")
            self.leave()
