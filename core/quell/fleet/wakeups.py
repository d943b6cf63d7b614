"""Sending wake-ups on a thread of its own: bounded, droppable, never in anybody's way."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import structlog

__all__ = ["WakeUps"]

logger = structlog.get_logger(__name__)

Send = Callable[[str, str], None]
#: wake-ups waiting to be sent; beyond it they are dropped and the sweep finds the runs
WAITING = 10_000


class WakeUps:
    """Hands wake-ups to the broker. `offer` never blocks, whatever the broker does."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._queue: queue.Queue[tuple[str, str] | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="quell-wake-ups", daemon=True)
        self._is_failing = False

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def offer(self, tenant_id: str, run_id: str) -> None:
        """Queue a wake-up, or drop it when too many wait."""
        try:
            self._queue.put_nowait((tenant_id, run_id))
        except queue.Full:
            logger.debug("A wake-up was dropped", event_name="wake_up_dropped")

    def stop(self) -> None:
        """Stop sending; what still waits is found by the sweep."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                self._send(*item)
                self._is_failing = False
            except Exception:  # noqa: BLE001 # the broker's own errors have no common root
                self._complain()

    def _complain(self) -> None:
        if not self._is_failing:
            self._is_failing = True
            logger.warning(
                "The broker takes no wake-ups; runs are found by the sweep meanwhile",
                event_name="broker_away",
            )
