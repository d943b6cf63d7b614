"""Sending wake-ups on a thread of its own: bounded, droppable, never in anybody's way."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

import structlog

__all__ = ["WakeUps"]

logger = structlog.get_logger(__name__)

Send = Callable[[str, str], None]
#: wake-ups waiting to be sent; beyond it they are dropped and the sweep finds the runs
WAITING = 10_000
#: seconds until a broker that took no wake-up is tried again
PAUSE = 5.0


class WakeUps:
    """Hands wake-ups to the broker. `offer` never blocks, whatever the broker does.

    What the broker does not take is offered to `instead`: this very process, which then does
    the work itself. So playbooks go on without a broker, only less evenly spread.
    """

    def __init__(self, send: Send, instead: Send | None = None, *, limit: int = WAITING) -> None:
        self._send = send
        self._instead = instead
        self._queue: queue.Queue[tuple[str, str] | None] = queue.Queue(limit)
        self._thread = threading.Thread(target=self._run, name="quell-wake-ups", daemon=True)
        self._is_failing = False
        self._try_at = 0.0
        self._is_stopping = threading.Event()

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def offer(self, tenant_id: str, run_id: str) -> bool:
        """Queue a wake-up. False when too many wait and it was dropped."""
        try:
            self._queue.put_nowait((tenant_id, run_id))
        except queue.Full:
            logger.debug("A wake-up was dropped", event_name="wake_up_dropped")
            return False
        return True

    def stop(self) -> None:
        """Stop sending; what still waits is found by the sweep."""
        self._is_stopping.set()
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return  # the thread sees the mark after the wake-up in hand
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None and not self._is_stopping.is_set():
            if not self._was_sent(*item) and self._instead is not None:
                self._instead(*item)

    def _was_sent(self, tenant_id: str, run_id: str) -> bool:
        if time.monotonic() < self._try_at:
            return False  # a broker that hangs would cost each wake-up its time-out
        try:
            self._send(tenant_id, run_id)
        except Exception:  # noqa: BLE001 # the broker's own errors have no common root
            self._complain()
            return False
        self._is_failing = False
        return True

    def _complain(self) -> None:
        self._try_at = time.monotonic() + PAUSE
        if not self._is_failing:
            self._is_failing = True
            logger.warning(
                "The broker takes no wake-ups; this worker drives its runs itself meanwhile",
                event_name="broker_away",
            )
