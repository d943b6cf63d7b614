"""One process at work: it opens everything, does duties until told to stop, and closes everything."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import structlog

from quell.domain.ids import WorkerId
from quell.domain.offers import CheckResult, WebhookEvent
from quell.engine import RunRef
from quell.errors import JournalError
from quell.journal import Journal, commits, workers
from quell.plugins import Lock, Registry, load_plugins
from quell.runtime.assemble import assemble
from quell.runtime.board import Board, write_board
from quell.runtime.burial import bury_the_dead
from quell.runtime.clock import SystemClock
from quell.runtime.dispatch import Dispatcher
from quell.runtime.logs import configure_logging, secrets_in
from quell.runtime.tenant import TenantRuntime
from quell.settings import LoggingSettings, Settings, find_config, load_settings, lock_path
from quell.sync import BUILTIN_ACTIONS

__all__ = ["Beside", "Runtime", "log_to_stderr", "open_runtime"]

T = TypeVar("T")
logger = structlog.get_logger(__name__)

#: seconds between two signs of life
BEAT_EVERY = 5.0
#: signs of life between two clean-ups of the journal
BEATS_TO_PRUNE = 120

Wake = Callable[[RunRef], None]
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
        self.dispatcher = Dispatcher(self.drive)
        #: where wake-ups go; a fleet sends them to its broker instead
        self.wake: Wake = self.dispatcher.offer
        self._runner = asyncio.Runner()
        self.tenants: Mapping[str, TenantRuntime] = {
            name: assemble(self, tenant) for name, tenant in settings.tenants.items()
        }

    def tenant(self, name: str | None = None) -> TenantRuntime:
        """Give a tenant by name; without one, the only one there is. Raises SettingsError."""
        return self.tenants[self.settings.tenant(name).name]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the process's event loop and wait for it."""
        return self._runner.run(work)

    async def drive(self, ref: RunRef) -> None:
        """Look at one run, if it is of a tenant that this process serves."""
        tenant = self.tenants.get(ref.tenant_id)
        if tenant is not None:
            await tenant.engine.drive(ref)

    async def up(self, stop: asyncio.Event, *, beside: Sequence[Beside] = ()) -> None:
        """Do every duty that nobody else does, and drive runs, until told to stop.

        What is to run `beside` the duties, e.g. the web door, gets this runtime and the same
        sign to stop.
        """
        await self._register()
        self.dispatcher.start()
        logger.info("Worker %s is up", self.worker_id, event_name="worker_up")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat(stop))
            group.create_task(self._drain(stop))
            for tenant in self.tenants.values():
                for duty in tenant.duties(self.wake):
                    group.create_task(duty.keep(self.journal, self.worker_id, stop))
            for serve in beside:
                group.create_task(serve(self, stop))
        await self.dispatcher.stop()
        await self.journal.commit(workers.leave(self.worker_id))
        logger.info("Worker %s has stopped", self.worker_id, event_name="worker_stopped")

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
        for tenant in self.tenants.values():
            tenant.engine.close()
        self.journal.close()

    async def _close_connectors(self) -> None:
        for tenant in self.tenants.values():
            await tenant.connectors.close()

    async def _register(self) -> None:
        host = socket.gethostname()
        if not self.journal.is_shared:
            # whoever else works on this journal does so on this host, where it can be looked for
            await bury_the_dead(self.journal, self.worker_id, host)
        here = workers.register(
            self.worker_id, host=host, pid=os.getpid(), version=version("quell")
        )
        await self.journal.commit(here)

    async def _beat(self, stop: asyncio.Event) -> None:
        for beat in count():
            if stop.is_set():
                return
            try:
                await self.journal.commit(workers.beat(self.worker_id))
                await self._pin_board()
                if beat % BEATS_TO_PRUNE == 0:
                    await self.journal.commit(commits.prune())
            except JournalError as error:
                # a database that restarts ends no worker: duties and leases wait for it, too
                logger.warning("No sign of life written: %s", error, event_name="beat_failed")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), BEAT_EVERY)

    async def _pin_board(self) -> None:
        """Show how the quota stands; a fleet's stands in Redis."""
        if self.settings.redis_url is not None:
            return
        tenants = {name: await tenant.quota.states() for name, tenant in self.tenants.items()}
        board = Board(at=self.clock.now(), worker=self.worker_id, tenants=tenants)
        write_board(self.settings.state_dir, board)

    async def _drain(self, stop: asyncio.Event) -> None:
        await stop.wait()
        for tenant in self.tenants.values():
            tenant.engine.drain()


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
