"""What one Celery worker process holds: a runtime on an event loop of its own, opened lazily."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, ClassVar

import structlog

from quell.domain.ids import RunId, TenantId
from quell.domain.urgency import USUAL
from quell.engine import RunRef
from quell.errors import SettingsError
from quell.fleet.hearing import Hearing
from quell.fleet.wakeups import Send, WakeUps
from quell.http import serve_door
from quell.runtime import Runtime, log_to_stderr, open_runtime
from quell.settings import Settings, find_config, load_settings

__all__ = ["FleetProcess", "log_as_configured", "read_broker_url", "read_runs_in_flight"]

logger = structlog.get_logger(__name__)

#: seconds beyond the grace time that closing everything gets
CLEAR_UP = 10.0
#: exit code of a worker that could not even stop in good order
EXIT_DEAF = 70


def read_runs_in_flight() -> int:
    """Give how many runs one worker drives at once."""
    return _own_settings().worker.runs_in_flight


def read_broker_url() -> str:
    """Give the broker's URL from the settings. Raises SettingsError when there is none."""
    settings = _own_settings()
    if settings.redis_url is None:
        raise SettingsError(
            name="redis_url",
            problem="is not set, and a fleet needs it to carry wake-ups",
            where=str(settings.path or ""),
            remedy="Set redis_url, e.g. redis://127.0.0.1:6379/0; one process alone needs only "
            "`quell up`.",
        )
    return settings.redis_url.reveal()


def log_as_configured(**_: Any) -> None:
    """Log the way the settings say, redacted; Celery's command line does not change it."""
    log_to_stderr(_own_settings())


def _own_settings() -> Settings:
    # plugins are loaded when the worker starts: until then their sections are passed over
    return load_settings(find_config(None, os.environ), os.environ, (), is_lenient=True)


class FleetProcess:
    """The one runtime of this process. A fork gets its own when it first asks."""

    _current: ClassVar[FleetProcess | None] = None
    _pid: ClassVar[int] = 0
    _making: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self._runtime: Runtime | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._is_up = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._wake_ups: WakeUps | None = None
        self._hearing: Hearing | None = None
        self._waiting: set[Future[bool]] = set()
        self._left: list[tuple[RunRef, int]] = []
        self._is_closed = threading.Event()
        self._signs = 0
        self._leave: Callable[[], None] = lambda: None

    @classmethod
    def current(cls) -> FleetProcess:
        """Give this process's own, made after any fork."""
        with cls._making:
            if cls._current is None or cls._pid != os.getpid():
                cls._current, cls._pid = cls(), os.getpid()
            return cls._current

    def start(self, send: Send, leave: Callable[[], None]) -> None:
        """Open the runtime and take up duties; returns when runs can be driven."""
        self._leave = leave
        self._wake_ups = WakeUps(send, instead=self._drive_here)
        self._wake_ups.start()
        self._hearing = Hearing(self._leave_deaf)
        self._thread = threading.Thread(target=self._serve, name="quell-runtime", daemon=True)
        self._thread.start()
        self._is_up.wait()
        if self._failure is not None:
            raise self._failure

    def note_sign(self) -> None:
        """Take a sign to stop: begin to drain, and from the second on leave what is in hand."""
        self._signs += 1
        self._call(self._stop.set)  # Celery may be busy looking for its broker
        if self._signs > 1:
            self.hurry()

    def hurry(self) -> None:
        """Leave as soon as possible, once told to stop."""
        if self._runtime is not None:
            self._call(self._runtime.hurry)

    def stop(self) -> None:
        """Give up duties, let steps in hand end within the grace time, and close everything."""
        if self._thread is not None and self._runtime is not None:
            self._call(self._stop.set)
            self._is_closed.set()
            self._thread.join(self._runtime.settings.worker.grace + CLEAR_UP)
        for waiting in list(self._waiting):
            waiting.cancel()  # a loop that hangs must not keep Celery's threads
        for ref, priority in list(self._left):
            self._offer(ref, priority)
        if self._wake_ups is not None:
            self._wake_ups.stop()

    def drive(self, tenant_id: str, run_id: str, priority: int = USUAL) -> None:
        """Look at a run on the runtime's event loop, and wait for it."""
        if self._hearing is not None:
            self._hearing.note()
        ref = RunRef(TenantId(tenant_id), RunId(run_id))
        if not self._was_driven(ref, priority):
            # sent again at the end, for another worker; should that be lost, the sweep finds it
            self._left.append((ref, priority))
            self._is_closed.wait(CLEAR_UP)  # a thread that is free would take the next one away

    def _was_driven(self, ref: RunRef, priority: int) -> bool:
        runtime, loop = self._runtime, self._loop
        if runtime is None or loop is None or loop.is_closed():
            return False
        if not self._stop.is_set():
            driving = asyncio.run_coroutine_threadsafe(
                runtime.dispatcher.drive(ref, priority), loop
            )
            self._waiting.add(driving)
            try:
                return driving.result() or not self._stop.is_set()
            except CancelledError:
                logger.info("Run %s was left to the sweep", ref.run_id, event_name="run_left")
                return True
            finally:
                self._waiting.discard(driving)
        return False

    def _call(self, what: Callable[[], object]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # it was closed just now
                self._loop.call_soon_threadsafe(what)

    def _leave_deaf(self) -> None:
        self._leave()
        assert self._runtime is not None  # noqa: S101 # whoever listens is up
        # what keeps Celery from hearing may keep it from leaving, too
        patience = self._runtime.settings.worker.grace + 2 * CLEAR_UP
        hard = threading.Timer(patience, os._exit, (EXIT_DEAF,))
        hard.daemon = True
        hard.start()

    def _serve(self) -> None:
        try:
            with open_runtime(find_config(None, os.environ)) as runtime:
                runtime.wake = self._offer
                runtime.run(self._up(runtime))
        except BaseException as error:  # noqa: BLE001 # the edge of the worker: `start` raises it again
            self._failure = error
            logger.error("The worker cannot run: %s", error, event_name="worker_failed")
            self._leave()
        finally:
            self._is_up.set()

    async def _up(self, runtime: Runtime) -> None:
        if not runtime.journal.is_shared:
            logger.warning(
                "The journal is SQLite, which serves one host only: workers on other hosts need "
                "PostgreSQL (setting `journal`)",
                event_name="journal_of_one_host",
            )
        self._loop = asyncio.get_running_loop()
        self._runtime = runtime
        runtime.dispatcher.start()
        self._is_up.set()
        assert self._hearing is not None  # noqa: S101 # made by `start`
        await runtime.up(self._stop, beside=[serve_door, self._hearing.listen])

    def _offer(self, ref: RunRef, priority: int) -> None:
        if self._wake_ups is not None:
            self._wake_ups.offer(ref.tenant_id, ref.run_id, priority)

    def _drive_here(self, tenant_id: str, run_id: str, priority: int) -> None:
        if self._runtime is not None:
            ref = RunRef(TenantId(tenant_id), RunId(run_id))
            self._runtime.dispatcher.offer(ref, priority)
