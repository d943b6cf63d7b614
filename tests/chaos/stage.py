"""Everything that one scenario plays on: servers, a tenant, workers, a load, and whoever watches."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.chaos.beginning import activate
from tests.chaos.ledger import Account, TenantBooks, settle
from tests.chaos.load import Load, patiently
from tests.chaos.proxy import Proxies
from tests.chaos.rest import resume_parked, say_what_is_open
from tests.chaos.servers import Postgres, Redis
from tests.chaos.watch import Watch
from tests.chaos.workers import Lines, Worker, configuration, install_release
from tests.fleet_stage import ROOT, spawn, wait_until

from quell.errors import JournalError
from quell.journal import Journal, workers
from quell.journal.tables import cursors

__all__ = ["Servers", "Stage", "open_stage"]

#: an effect of unknown fate is looked at after lease, call time-out and settle time: 85 s
PATIENCE = 300.0
#: Defender, and one workspace of Sentinel
SOURCES = 2


class Servers:
    """PostgreSQL and Redis; each stage gets a database of its own."""

    def __init__(self) -> None:
        self.postgres = Postgres()
        self.redis = Redis()

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Generator[Servers]:
        """Start both, and end both."""
        servers = cls()
        try:
            servers.postgres.start()
            servers.redis.start()
            yield servers
        finally:
            servers.redis.close()
            servers.postgres.close()


class Stage:
    """One tenant, one journal, some workers, and what is done to them."""

    journal: Journal
    watch: Watch

    def __init__(
        self, servers: Servers, folder: Path, ready: dict[str, Any], database: str, seed: int
    ) -> None:
        self.servers = servers
        self.folder = folder
        self.ready = ready
        self.database = database
        self.random = random.Random(seed)
        self.seed = seed
        self.proxies = Proxies()
        self.workers: list[Worker] = []
        self.books = TenantBooks(ready)
        self.kills = 0
        #: rounds of trouble that have begun, and that have ended
        self.begun = 0
        self.faults = 0
        self.parked = 0
        #: versions of quell that were seen at work
        self.versions: set[str] = set()
        self._load: Load | None = None

    def open_journal(self) -> None:
        """Open the journal, and bring it up to date if a released version has made it."""
        self.journal = Journal.open(self.servers.postgres.url(self.database))
        self.watch = Watch(self.journal, lambda: self.begun + self.kills)

    @property
    def load(self) -> Load:
        """Give the load, which is there once a scenario plays."""
        assert self._load is not None
        return self._load

    def make_load(self, total: int, at_once: int) -> Load:
        """Prepare a load of so many runs."""
        self._load = Load(
            self.journal,
            self.books,
            self.servers.redis.url(),
            total=total,
            at_once=at_once,
            seed=self.seed,
        )
        return self._load

    # -- workers -----------------------------------------------------------------------------

    def add_workers(self, count: int, *, released: bool = False) -> list[Worker]:
        """Start workers, each behind lines of its own."""
        site = install_release(self.folder) if released and count else None
        added: list[Worker] = []
        for _ in range(count):
            name = f"w{len(self.workers)}"
            tenant_port = int(self.ready["base_url"].rpartition(":")[2])
            lines = Lines.open(
                self.proxies, self.servers.postgres.port, self.servers.redis.port, tenant_port
            )
            worker = Worker(name, self._configure(name, lines), lines, site)
            worker.start()
            self.workers.append(worker)
            added.append(worker)
        return added

    def _configure(self, name: str, lines: Lines) -> Path:
        path = self.folder / f"{name}.toml"
        path.touch(mode=0o600)
        content = configuration(
            self.folder / name,
            self.ready,
            journal=self.servers.postgres.url(self.database, lines.postgres.port),
            redis_url=self.servers.redis.url(lines.redis.port),
            tenant_port=lines.tenant.port,
        )
        path.write_text(content)
        return path

    async def registered(self) -> set[int]:
        """List the process numbers of the workers that are up."""
        rows = await patiently(lambda: self.journal.ask(workers.listed()))
        self.versions |= {row.version for row in rows}
        return {row.pid for row in rows}

    async def all_up(self) -> None:
        """Wait until every worker that was started works."""

        async def holds() -> bool:
            return {one.pid for one in self.workers if one.is_alive} <= await self.registered()

        await self.until(holds, "every worker is up")
        # what is there at the first contact starts nothing: incidents come after it
        await self.until(lambda: patiently(self._was_polled), "every source was polled")

    async def _was_polled(self) -> bool:
        polled = sa.select(sa.func.count()).where(cursors.c.succeeded_at.is_not(None))
        found: int = await self.journal.ask(lambda tx: tx.execute(polled).scalar_one())
        return found >= SOURCES

    async def working(self, least: int) -> list[Worker]:
        """Wait until so many workers are up; gives those that are."""
        found: list[Worker] = []

        async def holds() -> bool:
            pids = await self.registered()
            found[:] = [one for one in self.workers if one.is_alive and one.pid in pids]
            return len(found) >= least

        await self.until(holds, f"{least} workers are up")
        return found

    async def pick(self, *, leaving: int = 0) -> Worker:
        """Choose a worker that works, by chance, where so many others do."""
        return self.random.choice(await self.working(leaving + 1))

    def kill(self, worker: Worker) -> None:
        """Kill a worker, begin to follow what it held, and start it again."""
        pid = worker.pid
        worker.kill()
        self.kills += 1
        self.watch.follow(pid)
        worker.upgrade()
        worker.start()

    def revive(self) -> list[str]:
        """Start workers that ended by themselves, as a service would; gives which."""
        ended = [one for one in self.workers if not one.is_alive]
        for worker in ended:
            worker.kill()
            worker.upgrade()
            worker.start()
        return [one.name for one in ended]

    # -- waiting and judging -----------------------------------------------------------------

    async def nap(self, least: float, most: float) -> None:
        """Let the load go on for a while, by chance."""
        await asyncio.sleep(self.random.uniform(least, most))

    async def until(
        self, holds: Callable[[], Awaitable[bool]], what: str, patience: float = PATIENCE
    ) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + patience
        while not await holds():
            assert time.monotonic() < deadline, f"waited in vain until {what}\n{self.said()}"
            await asyncio.sleep(0.3)

    async def quiet(self) -> str:
        """Wait until nothing is under way any more; gives what still is when that never comes."""
        deadline = time.monotonic() + PATIENCE
        while restless := await patiently(self._restless):
            if time.monotonic() > deadline:
                return restless
            await asyncio.sleep(0.5)
        return ""

    async def _restless(self) -> str:
        self.parked += await resume_parked(self.journal)
        return await say_what_is_open(self.journal, self.load)

    async def account(self) -> Account:
        """Hold the tenant's books against the journal."""
        return await settle(self.journal, self.books, self.load.submitted)

    def said(self) -> str:
        """Give the last words of every worker."""
        parts: list[str] = []
        for worker in self.workers:
            lines = (
                worker.log.read_text(errors="replace").splitlines() if worker.log.exists() else []
            )
            parts += [f"--- {worker.name}", *lines[-8:]]
        return "\n".join(parts)

    def tracebacks(self) -> list[str]:
        """List lines of the workers' logs that tell of something that broke."""
        return [
            f"{worker.name}: {line[:400]}"
            for worker in self.workers
            if worker.log.exists()
            for line in worker.log.read_text(errors="replace").splitlines()
            if '_broke"' in line or "Traceback" in line
        ]

    async def close(self) -> None:
        """End every process of this stage."""
        for worker in self.workers:
            worker.kill()
        if self._load is not None:
            self._load.close()
        await self.books.close()
        self.proxies.close()
        if hasattr(self, "journal"):
            with contextlib.suppress(JournalError):
                self.journal.close()


@contextlib.asynccontextmanager
async def open_stage(
    servers: Servers, *, devices: int, seed: int, released: int = 0, keep: Path | None = None
) -> AsyncGenerator[Stage]:
    """Set a stage: a fresh tenant and an empty journal, with the playbook active.

    Workers of the released version, if any, were there first: the journal is theirs, and is
    brought up to date under their hands.
    """
    folder = Path(tempfile.mkdtemp(prefix="quell-chaos-"))
    ready_file = folder / "ready.json"
    arguments = ["-m", "tests.chaos.tenant", str(ready_file), str(devices), str(devices // 10)]
    simulator = spawn(folder / "tenant.log", arguments, cwd=ROOT)
    try:
        await asyncio.to_thread(wait_until, ready_file.exists, "the tenant answers")
        ready: dict[str, Any] = json.loads(ready_file.read_text())
        database = f"chaos_{uuid.uuid4().hex[:12]}"
        servers.postgres.create(database)
        site = install_release(folder) if released else None
        await asyncio.to_thread(
            activate, folder, ready, servers.postgres.url(database), servers.redis.url(), site
        )
        stage = Stage(servers, folder, ready, database, seed)
        try:
            for worker in stage.add_workers(released, released=True):
                await asyncio.to_thread(wait_until, worker.says_it_is_up, f"{worker.name} is up")
            stage.open_journal()
            yield stage
        finally:
            await stage.close()
    finally:
        simulator.kill()
        simulator.wait()
        if keep is not None:
            shutil.copytree(folder, keep, dirs_exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
