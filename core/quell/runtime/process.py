"""One process at work: it opens everything, does duties until told to stop, and closes everything."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import structlog

from quell.domain.ids import WorkerId
from quell.domain.offers import CheckResult, WebhookEvent
from quell.engine import RunRef
from quell.engine.engine import LEASE
from quell.engine.heartbeat import Heartbeat
from quell.isolation.isolation import ChildProcesses
from quell.journal import Journal, workers
from quell.journal.admission import Verdict
from quell.plugins import Lock, Registry, load_plugins
from quell.runtime.assemble import assemble
from quell.runtime.board import Board, write_board
from quell.runtime.burial import bury_the_dead
from quell.runtime.clock import SystemClock
from quell.runtime.dispatch import Dispatcher
from quell.runtime.logs import Redaction, configure_logging, secrets_in
from quell.runtime.shift import Shift
from quell.runtime.structs import prepare_structs
from quell.runtime.tenant import TenantRuntime, Wake
from quell.settings import LoggingSettings, Settings, find_config, load_settings, lock_path
from quell.sync import BUILTIN_ACTIONS
from quell.telemetry.traces import Traces, otlp_exporter

__all__ = ["Beside", "Runtime", "log_to_stderr", "open_runtime"]

T = TypeVar("T")
logger = structlog.get_logger(__name__)

#: something that is served beside the duties until the sign to stop
Beside = Callable[["Runtime", asyncio.Event], Coroutine[Any, Any, None]]


class Runtime:
    """Everything of one process. Make it with `open_runtime`."""

    def __init__(self, settings: Settings, registry: Registry, journal: Journal) -> None:
        self.settings = settings
        self.registry = registry
        self.journal = journal
        self.clock = SystemClock()
        self.worker_id = _name_worker()
        self.heartbeat = Heartbeat(journal, self.worker_id, LEASE)
        self.dispatcher = Dispatcher(
            self.drive,
            alone=partial(self.drive, is_alone=True),
            in_flight=settings.worker.runs_in_flight,
        )
        #: where wake-ups go; a fleet sends them to its broker instead
        self.wake: Wake = self.dispatcher.offer
        #: who is told of runs that have ended, if anybody
        self.traces = self._make_traces()
        self._hurry = asyncio.Event()
        self._runner = asyncio.Runner()
        self.child_processes = ChildProcesses(settings.isolation, lock_path(settings.path))
        self.tenants: Mapping[str, TenantRuntime] = {
            name: assemble(self, tenant) for name, tenant in settings.tenants.items()
        }

    def tenant(self, name: str | None = None) -> TenantRuntime:
        """Give a tenant by name; without one, the only one there is. Raises SettingsError."""
        return self.tenants[self.settings.tenant(name).name]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the process's event loop and wait for it."""
        return self._runner.run(work)

    async def drive(self, ref: RunRef, *, is_alone: bool = False) -> Verdict:
        """Look at one run, if it is of a tenant that this process serves and may be in hand now."""
        tenant = self.tenants.get(ref.tenant_id)
        if tenant is None:
            return Verdict.NOT_DUE
        return await tenant.drive(ref, self.wake, is_alone=is_alone)

    def ended(self, ref: RunRef) -> None:
        """Let a run that has just ended be traced, where somebody wants to see it."""
        if self.traces is not None:
            self.traces.ended(ref)

    async def up(self, stop: asyncio.Event, *, beside: Sequence[Beside] = ()) -> None:
        """Do every duty that nobody else does, and drive runs, until told to stop.

        What is to run `beside` the duties, e.g. the web door, gets this runtime and the same
        sign to stop.
        """
        await self._register()
        self.dispatcher.start()
        logger.info("Worker %s is up", self.worker_id, event_name="worker_up")
        await Shift(self, stop, self._hurry).work([serve(self, stop) for serve in beside])
        logger.info("Worker %s has stopped", self.worker_id, event_name="worker_stopped")

    def hurry(self) -> None:
        """Leave at once what is still in hand after the sign to stop; on the event loop."""
        self._hurry.set()

    async def sign(self, *, is_draining: bool) -> None:
        """Write down that this process lives, and how its quota stands."""
        await self.journal.commit(workers.beat(self.worker_id, is_draining=is_draining))
        await self._pin_board()

    async def doctor(self, tenant: str | None = None) -> list[tuple[str, CheckResult]]:
        """Run every plugin's checks; a check that breaks is a line that says so."""
        chosen = [self.tenant(tenant)] if tenant else list(self.tenants.values())
        lines: list[tuple[str, CheckResult]] = []
        for one in chosen:
            for check in self.registry.checks:
                context = one.connectors.context("reader")
                lines += [(one.id, line) for line in await _checked(check.name, check.run(context))]
        return lines

    async def receive(self, tenant: str, event: WebhookEvent) -> bool:
        """Take a verified webhook event. False for a repeat."""
        return await self.tenants[tenant].receive(event)

    async def problems(self) -> list[str]:
        """Say what keeps this process from its work; empty when it is ready."""
        return [problem for tenant in self.tenants.values() for problem in tenant.problems()]

    def close(self) -> None:
        """Close connectors, the journal and the event loop."""
        with contextlib.suppress(RuntimeError):  # the loop may have been stopped from outside
            self._runner.run(self._close_connectors())
        self._runner.close()
        self.heartbeat.close()
        self.journal.close()

    async def _close_connectors(self) -> None:
        for tenant in self.tenants.values():
            await tenant.connectors.close()
        await self.child_processes.close()
        if self.traces is not None:
            await self.traces.aclose()

    def _make_traces(self) -> Traces | None:
        settings = self.settings.traces
        if not settings.endpoint:
            return None
        headers = {name: secret.reveal() for name, secret in settings.headers.items()}
        return Traces(
            self.journal,
            otlp_exporter(settings.endpoint, headers),
            worker=self.worker_id,
            clean=Redaction(secrets_in(self.settings)).clean,
        )

    async def _register(self) -> None:
        host = socket.gethostname()
        if not self.journal.is_shared:
            # whoever else works on this journal does so on this host, where it can be looked for
            await bury_the_dead(self.journal, self.worker_id, host)
        here = workers.register(
            self.worker_id, host=host, pid=os.getpid(), version=version("quell")
        )
        await self.journal.commit(here)

    async def _pin_board(self) -> None:
        """Show how the quota stands; a fleet's stands in Redis."""
        if self.settings.redis_url is not None:
            return
        tenants = {name: await tenant.quota.states() for name, tenant in self.tenants.items()}
        board = Board(at=self.clock.now(), worker=self.worker_id, tenants=tenants)
        write_board(self.settings.state_dir, board)


@contextlib.contextmanager
def open_runtime(config: Path | None = None, *, create: bool = True) -> Generator[Runtime]:
    """Open what the configuration says: plugins, settings, journal, tenants.

    Raises SettingsError, JournalUnavailable, JournalVersionError. A broken plugin is
    quarantined and reported in the registry; it does not raise.
    """
    configure_logging(LoggingSettings())  # plugins may log while they are loaded
    path = find_config(config, os.environ)
    registry = load_plugins(Lock.read(lock_path(path))).with_actions(BUILTIN_ACTIONS)
    settings = load_settings(
        path, os.environ, registry.sections, is_lenient=registry.has_quarantined
    )
    log_to_stderr(settings)
    prepare_structs()  # from here on there are threads
    journal = Journal.open(settings.journal_url, create=create)
    try:
        runtime = Runtime(settings, registry, journal)
    except BaseException:
        journal.close()
        raise
    try:
        yield runtime
    finally:
        runtime.close()


def log_to_stderr(settings: Settings) -> None:
    """Log the way the settings say, with every secret in them cut out."""
    configure_logging(settings.logging, secrets_in(settings))


async def _checked(
    name: str, running: Coroutine[Any, Any, Sequence[CheckResult]] | Any
) -> Sequence[CheckResult]:
    try:
        lines: Sequence[CheckResult] = await running
    except Exception as error:  # noqa: BLE001 # a plugin's check that breaks is a finding, not an end
        return [CheckResult(ok=False, what=name, detail=str(error) or type(error).__name__)]
    return lines


def _name_worker() -> WorkerId:
    # the last part is the epoch: a process number is used again after a restart
    return WorkerId(f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}")
