"""What one Celery worker process holds: a runtime on an event loop of its own, opened lazily."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, ClassVar

import structlog

from quell.domain.ids import RunId, TenantId
from quell.engine import RunRef
from quell.errors import SettingsError
from quell.fleet.wakeups import Send, WakeUps
from quell.http import serve_door
from quell.runtime import Runtime, log_to_stderr, open_runtime
from quell.settings import Settings, find_config, load_settings

__all__ = ["FleetProcess", "log_as_configured", "read_broker_url"]

logger = structlog.get_logger(__name__)

#: seconds that runs in hand get to reach a point where they can stop
GRACE = 10.0


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
        self._on_failure: Callable[[], None] = lambda: None

    @classmethod
    def current(cls) -> FleetProcess:
        """Give this process's own, made after any fork."""
        with cls._making:
            if cls._current is None or cls._pid != os.getpid():
                cls._current, cls._pid = cls(), os.getpid()
            return cls._current

    def start(self, send: Send, on_failure: Callable[[], None]) -> None:
        """Open the runtime and take up duties; returns when runs can be driven."""
        self._on_failure = on_failure
        self._wake_ups = WakeUps(send, instead=self._drive_here)
        self._wake_ups.start()
        self._thread = threading.Thread(target=self._serve, name="quell-runtime", daemon=True)
        self._thread.start()
        self._is_up.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Give up duties, let runs in hand come to a stop, and close everything."""
        if self._loop is not None and self._thread is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(GRACE)
        if self._wake_ups is not None:
            self._wake_ups.stop()

    def drive(self, tenant_id: str, run_id: str) -> None:
        """Look at a run on the runtime's event loop, and wait for it."""
        runtime, loop = self._runtime, self._loop
        if runtime is None or loop is None or loop.is_closed() or self._stop.is_set():
            return  # the sweep finds it
        ref = RunRef(TenantId(tenant_id), RunId(run_id))
        driving = asyncio.run_coroutine_threadsafe(runtime.dispatcher.drive(ref), loop)
        try:
            driving.result()
        except CancelledError:
            logger.info("Run %s was left to the sweep", run_id, event_name="run_left")

    def _serve(self) -> None:
        try:
            with open_runtime(find_config(None, os.environ)) as runtime:
                runtime.wake = self._offer
                runtime.run(self._up(runtime))
        except BaseException as error:  # noqa: BLE001 # the edge of the worker: `start` raises it again
            self._failure = error
            logger.error("The worker cannot run: %s", error, event_name="worker_failed")
            self._on_failure()
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
        await runtime.up(self._stop, beside=[serve_door])

    def _offer(self, ref: RunRef) -> None:
        if self._wake_ups is not None:
            self._wake_ups.offer(ref.tenant_id, ref.run_id)

    def _drive_here(self, tenant_id: str, run_id: str) -> None:
        if self._runtime is not None:
            self._runtime.dispatcher.offer(RunRef(TenantId(tenant_id), RunId(run_id)))
