"""The heartbeat of a process: one statement every few seconds holds on to all of its runs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta

import structlog

from quell.domain.ids import WorkerId
from quell.errors import FenceLost, JournalError
from quell.journal import Journal
from quell.journal.renewing import renew_all
from quell.journal.run_rows import RunRef

__all__ = ["EVERY", "STALLED_AFTER", "Heartbeat"]

logger = structlog.get_logger(__name__)

#: seconds between two beats: a lease outlives three that were missed
EVERY = 5.0
#: how often one beat tries to renew a run whose row is locked, and the seconds between
TRIES, BETWEEN_TRIES = 4, 0.25
#: seconds after which an event loop that does not answer keeps no run from other workers
STALLED_AFTER = 10.0


@dataclass(slots=True, eq=False)
class _Pulse:
    """Since when an event loop owes an answer. Asked by the heartbeat, answered on the loop."""

    loop: asyncio.AbstractEventLoop
    #: when it was asked what it has not answered yet
    asked_at: float | None = None

    def ask(self) -> None:
        if self.asked_at is None:
            self.asked_at = time.monotonic()
            with contextlib.suppress(RuntimeError):  # it was closed
                self.loop.call_soon_threadsafe(self.answer)

    def answer(self) -> None:
        self.asked_at = None

    def is_silent(self, seconds: float) -> bool:
        asked_at = self.asked_at
        return asked_at is not None and time.monotonic() - asked_at > seconds


@dataclass(slots=True, eq=False)
class _Hold:
    """One run in hand, and what drives it."""

    ref: RunRef
    fence: int
    pulse: _Pulse
    driver: asyncio.Task[object]
    is_over: bool = False
    is_lost: bool = False

    def lose(self) -> None:
        """Stop the drive where it is; on its loop."""
        if not self.is_over:
            self.is_lost = True
            self.driver.cancel()


class Heartbeat:
    """Renews the leases of the runs in hand, on a thread and a connection of its own.

    So neither a full queue of writes nor a short stall costs a process its runs. A loop that
    does not answer for `STALLED_AFTER` is another matter: its runs are left to other workers.
    A run that another has taken over is stopped here at once, and writes nothing more.
    """

    def __init__(
        self,
        journal: Journal,
        worker: WorkerId,
        lease: timedelta,
        *,
        every: float = EVERY,
        stalled_after: float = STALLED_AFTER,
    ) -> None:
        self._journal = journal
        self._worker = worker
        self._lease = lease
        self._every = every
        self._stalled_after = stalled_after
        self._holds: set[_Hold] = set()
        self._pulses: dict[asyncio.AbstractEventLoop, _Pulse] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_stalled = False

    @contextlib.contextmanager
    def holding(self, ref: RunRef, fence: int) -> Generator[None]:
        """Hold on to a claimed run during the block. Raises FenceLost in it once it is another's."""
        hold = self._add(ref, fence)
        try:
            yield
        except asyncio.CancelledError:
            if hold.is_lost and hold.driver.uncancel() == 0:
                raise FenceLost(run_id=ref.run_id) from None
            raise
        finally:
            # whatever came of the drive: from now on its lease runs out
            hold.is_over = True
            with self._lock:
                self._holds.discard(hold)

    def close(self) -> None:
        """Stop beating; leases that are still held run out."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def beat(self) -> None:
        """Renew every lease once, and stop what was lost. Raises JournalError."""
        held = self._answering()
        if not held:
            return
        fences: dict[RunRef, int] = {}
        for hold in held:  # the later claim counts, should this worker have one run twice
            fences[hold.ref] = max(hold.fence, fences.get(hold.ref, 0))
        lost = self._renew(fences)
        for hold in held:
            if hold.ref in lost or hold.fence < fences[hold.ref]:
                with contextlib.suppress(RuntimeError):  # its loop was closed, and so it is over
                    hold.pulse.loop.call_soon_threadsafe(hold.lose)

    def _renew(self, fences: dict[RunRef, int]) -> frozenset[RunRef]:
        """Renew leases, and again where a row was being written. Gives what was lost."""
        lost: frozenset[RunRef] = frozenset()
        for _ in range(TRIES):
            write = renew_all(self._worker, fences, self._lease)
            renewed = self._journal.commit_aside(write)
            lost |= renewed.lost
            if not renewed.missed or self._stop.wait(BETWEEN_TRIES):
                break
            fences = {ref: fences[ref] for ref in renewed.missed}
        return lost

    def _add(self, ref: RunRef, fence: int) -> _Hold:
        loop, driver = asyncio.get_running_loop(), asyncio.current_task()
        assert driver is not None  # noqa: S101 # a running loop runs something
        with self._lock:
            if loop not in self._pulses:
                self._pulses = {loop: _Pulse(loop)}  # one loop follows another, as in the CLI
            pulse = self._pulses[loop]
            pulse.answer()
            hold = _Hold(ref, fence, pulse, driver)
            self._holds.add(hold)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="quell-heartbeat", daemon=True
                )
                self._thread.start()
        return hold

    def _answering(self) -> list[_Hold]:
        """List the runs whose loops answer, and ask each loop for a sign of life."""
        with self._lock:
            holds, pulses = list(self._holds), list(self._pulses.values())
        answering = [hold for hold in holds if not hold.pulse.is_silent(self._stalled_after)]
        for pulse in pulses:
            pulse.ask()
        self._say_whether_stalled(len(holds) - len(answering))
        return answering

    def _say_whether_stalled(self, left: int) -> None:
        if left and not self._is_stalled:
            logger.error(
                "The event loop does not answer: %s runs are left to other workers. Some code "
                "blocks it; a plugin's calls have to be `async` or isolated",
                left,
                event_name="loop_stalled",
            )
        self._is_stalled = bool(left)

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            try:
                self.beat()
            except JournalError as error:
                # the next beat may come through before the leases end
                logger.warning("Leases not renewed: %s", error, event_name="heartbeat_failed")
