"""The heartbeat of a process: one statement every few seconds holds on to all of its runs."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta

import structlog

from quell.domain.ids import RunId, WorkerId
from quell.errors import JournalError
from quell.journal import Journal, runs

__all__ = ["Heartbeat"]

logger = structlog.get_logger(__name__)

#: a lease outlives three missed beats
EVERY = 5.0


class Heartbeat:
    """Renews the leases of the runs in hand, on a thread of its own.

    A loop that is stuck in a plugin's code must not cost the process its runs; a run whose
    drive has ended, however, is not renewed any more.
    """

    def __init__(self, journal: Journal, worker: WorkerId, lease: timedelta) -> None:
        self._journal = journal
        self._worker = worker
        self._lease = lease
        self._runs: Counter[RunId] = Counter()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, run_id: RunId) -> None:
        """Hold on to a run from now on."""
        with self._lock:
            self._runs[run_id] += 1
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._beat, name="quell-heartbeat", daemon=True
                )
                self._thread.start()

    def remove(self, run_id: RunId) -> None:
        """Let a run's lease run out."""
        with self._lock:
            self._runs[run_id] -= 1
            if self._runs[run_id] <= 0:
                del self._runs[run_id]

    def close(self) -> None:
        """Stop beating."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(EVERY):
            with self._lock:
                held = list(self._runs)
            if not held:
                continue
            try:
                self._journal.commit_now(runs.renew(self._worker, held, self._lease))
            except JournalError as error:
                # the next beat may come through before the leases end
                logger.warning("Leases not renewed: %s", error, event_name="heartbeat_failed")
