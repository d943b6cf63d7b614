"""Sending wake-ups on a thread of its own: bounded, droppable, never in anybody's way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from quell.domain.urgency import USUAL
from quell.meters import WAKE_UPS
from quell.runtime.line import Line

__all__ = ["WakeUps"]

logger = structlog.get_logger(__name__)

#: takes a tenant, a run, and how urgent it is
Send = Callable[[str, str, int], None]
#: wake-ups waiting to be sent; beyond it the least urgent are dropped and the sweep finds the runs
WAITING = 10_000
#: seconds until a broker that took no wake-up is tried again
PAUSE = 5.0
#: seconds that stopping waits for what is still to be sent
LAST_WORDS = 2.0


class WakeUps:
    """Hands wake-ups to the broker, urgent ones first. `offer` never blocks, whatever the broker does.

    What the broker does not take is offered to `instead`: this very process, which then does
    the work itself. So playbooks go on without a broker, only less evenly spread.
    """

    def __init__(self, send: Send, instead: Send | None = None, *, limit: int = WAITING) -> None:
        self._send = send
        self._instead = instead
        self._line: Line[tuple[str, str]] = Line(limit)
        self._priorities: dict[tuple[str, str], int] = {}
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="quell-wake-ups", daemon=True)
        self._is_failing = False
        self._try_at = 0.0
        self._is_stopping = False
        self._is_over = False

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def offer(self, tenant_id: str, run_id: str, priority: int = USUAL) -> bool:
        """Queue a wake-up. False when too many wait and it was dropped."""
        item = (tenant_id, run_id)
        with self._changed:
            self._priorities[item] = min(priority, self._priorities.get(item, priority))
            dropped = self._line.put(item, priority)
            if dropped is not None:
                del self._priorities[dropped]
            self._changed.notify()
        if dropped is not None:
            logger.debug("A wake-up was dropped", event_name="wake_up_dropped")
            WAKE_UPS.add("dropped")
        return dropped != item

    def stop(self) -> None:
        """Send what waits as long as the broker takes it, and stop; the sweep finds the rest."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._thread.join(timeout=LAST_WORDS)
        self._is_over = True

    def _run(self) -> None:
        while not self._is_over and (item := self._next()) is not None:
            is_sent = self._was_sent(*item)
            WAKE_UPS.add("sent" if is_sent else "here")
            if not is_sent and self._is_stopping:
                return
            if not is_sent and self._instead is not None:
                self._instead(*item)

    def _next(self) -> tuple[str, str, int] | None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._line) or self._is_stopping)
            if not len(self._line):
                return None
            tenant_id, run_id = item = self._line.pop()
            return tenant_id, run_id, self._priorities.pop(item)

    def _was_sent(self, tenant_id: str, run_id: str, priority: int) -> bool:
        if time.monotonic() < self._try_at:
            return False  # a broker that hangs would cost each wake-up its time-out
        try:
            self._send(tenant_id, run_id, priority)
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
