"""What one Celery worker process holds: a runtime on an event loop of its own, opened lazily."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import CancelledError
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import structlog

from quell.domain.ids import RunId, TenantId
from quell.engine import RunRef
from quell.errors import SettingsError
from quell.fleet.wakeups import Send, WakeUps
from quell.runtime import Runtime, open_runtime
from quell.settings import find_config, load_settings

__all__ = ["FleetProcess", "read_broker_url"]

logger = structlog.get_logger(__name__)

#: seconds that runs in hand get to reach a point where they can stop
GRACE = 10.0


def read_broker_url() -> str:
    """Give the broker's URL from the settings. Raises SettingsError when there is none."""
    path = find_config(None, os.environ)
    # plugins are loaded when the worker starts: until then their sections are passed over
    settings = load_settings(path, os.environ, (), is_lenient=True)
    if settings.redis_url is None:
        raise SettingsError(
            name="redis_url",
            problem="is not set, and a fleet needs it to carry wake-ups",
            where=str(path or ""),
            remedy="Set redis_url, e.g. redis://127.0.0.1:6379/0; one process alone needs only `quell up`.",
        )
    return settings.redis_url.reveal()


class FleetProcess:
    """The one runtime of this process. A fork gets its own when it first asks."""

    _current: ClassVar[FleetProcess | None] = None
    _pid: ClassVar[int] = 0
    _making: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._runtime: Runtime | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._is_up = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._wake_ups: WakeUps | None = None

    @classmethod
    def current(cls) -> FleetProcess:
        """Give this process's own, made after any fork."""
        with cls._making:
            if cls._current is None or cls._pid != os.getpid():
                cls._current, cls._pid = cls(), os.getpid()
            return cls._current

    def start(self, send: Send) -> None:
        """Open the runtime and take up duties; returns when runs can be driven."""
        self._wake_ups = WakeUps(send)
        self._wake_ups.start()
        self._thread = threading.Thread(target=self._serve, name="quell-runtime", daemon=True)
        self._thread.start()
        self._is_up.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Give up duties, let runs in hand come to a stop, and close everything."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(GRACE)
        if self._wake_ups is not None:
            self._wake_ups.stop()

    def drive(self, tenant_id: str, run_id: str) -> None:
        """Look at a run on the runtime's event loop, and wait for it."""
        if self._runtime is None or self._loop is None or self._stop.is_set():
            return  # the sweep finds it
        ref = RunRef(TenantId(tenant_id), RunId(run_id))
        driving = asyncio.run_coroutine_threadsafe(self._runtime.drive(ref), self._loop)
        try:
            driving.result()
        except CancelledError:
            logger.info("Run %s was left to the sweep", run_id, event_name="run_left")

    def _serve(self) -> None:
        try:
            path = os.environ.get("QUELL_CONFIG")
            runtime = self._stack.enter_context(open_runtime(Path(path) if path else None))
            runtime.wake = self._offer
            with self._stack:
                runtime.run(self._up(runtime))
        except BaseException as error:  # noqa: BLE001 # the edge of the worker: `start` raises it again
            self._failure = error
            logger.error("The worker cannot run: %s", error, event_name="worker_failed")
        finally:
            self._is_up.set()

    async def _up(self, runtime: Runtime) -> None:
        self._loop = asyncio.get_running_loop()
        self._runtime = runtime
        self._is_up.set()
        await runtime.up(self._stop)

    def _offer(self, ref: RunRef) -> None:
        if self._wake_ups is not None:
            self._wake_ups.offer(ref.tenant_id, ref.run_id)
