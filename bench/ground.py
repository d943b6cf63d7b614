"""What a fleet is measured on: PostgreSQL, Redis, the stub, and processes that end with the block."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import sqlalchemy as sa
import tomli_w
from tests.servers import fresh_database, postgres_server, redis_server

from bench.figure import WorkNotDone
from bench.lab import LabSource, observed
from bench.stub import Stub, stub_server
from bench.submitter import Done, Order
from bench.tally import Tally
from quell.domain.ids import IncidentId, TenantId, WorkerId
from quell.journal import Journal, incidents, playbooks
from quell.journal.tables import runs
from quell.journal.writer import Question, Transaction
from quell.playbooks import digest_of
from quell.plugins import Lock, enable
from quell.runtime.clock import SystemClock
from quell.settings import lock_path
from quell.sync import Sync, SyncPolicy
from quell.testing import write_distribution

__all__ = [
    "CALL",
    "PERSISTENT",
    "TENANT",
    "Ground",
    "Process",
    "ground",
    "playbook",
    "prepare",
    "prepared",
    "spawn",
]

ROOT = Path(__file__).parents[1]
TENANT = TenantId("bench")
#: seconds that the stub takes to answer
CALL = 0.2
#: incidents that the runs belong to, by turns
INCIDENTS = 100
#: what the runs do: three times one of these
VERBS = ("look", "note", "fetch")
#: seconds for anything to come about
PATIENCE = 120.0
PERSISTENT = "PostgreSQL, fsync and synchronous_commit on"


@dataclass(slots=True)
class Process:
    """A process group of the measurement."""

    inner: subprocess.Popen[str]

    def resident(self) -> tuple[float, float]:
        """Give the resident and the proportional memory of the whole group, in megabytes."""
        kinds = {"Rss": 0, "Pss": 0}
        for roll in self._rolls():
            for line in roll.splitlines():
                name, _, rest = line.partition(":")
                if name in kinds:
                    kinds[name] += int(rest.split()[0])
        return kinds["Rss"] / 1000, kinds["Pss"] / 1000

    def _rolls(self) -> Iterator[str]:
        for entry in Path("/proc").iterdir():
            # a process may end while it is looked at
            with contextlib.suppress(OSError, ValueError):
                if os.getpgid(int(entry.name)) == self.inner.pid:
                    yield (entry / "smaps_rollup").read_text()

    def ask(self, line: str) -> str:
        """Write a line to the process and read its answer. Raises WorkNotDone."""
        assert self.inner.stdin is not None
        assert self.inner.stdout is not None
        self.inner.stdin.write(line + "\n")
        self.inner.stdin.flush()
        return self.read()

    def read(self) -> str:
        """Read a line. Raises WorkNotDone when the process has ended or says nothing for long."""
        assert self.inner.stdout is not None
        if not select.select([self.inner.stdout], [], [], PATIENCE)[0]:
            raise WorkNotDone("a process of the measurement does not answer")
        if not (answer := self.inner.stdout.readline()):
            raise WorkNotDone("a process of the measurement has ended")
        return answer

    def end(self) -> None:
        """Ask it to stop, then end it and whatever it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.inner.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.inner.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.inner.pid, signal.SIGKILL)
        self.inner.wait()
        for pipe in (self.inner.stdin, self.inner.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def spawn(log: Path, arguments: Sequence[str], **more: str) -> Generator[Process, None, None]:
    """Run Python from the checkout until the block ends."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("QUELL_")}
    with log.open("ab") as file:
        inner = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            start_new_session=True,
            cwd=ROOT,
            env={**own, **more},
            text=True,
        )
    process = Process(inner)
    try:
        yield process
    except WorkNotDone as error:
        tail = log.read_text(errors="replace")[-2000:]
        raise WorkNotDone(f"{error}\n{tail}") from error
    finally:
        process.end()


@dataclass(slots=True, kw_only=True)
class Ground:
    """The servers, and what processes have to be told of them."""

    folder: Path
    stub: Stub
    tally: Tally
    journal: str
    redis: str

    def celery(self, name: str, *options: str, has_results: bool = False) -> _Celery:
        """Give the bare Celery worker with these options."""
        return _Celery(self, name, options, has_results)

    def raw_environment(self, *, has_results: bool) -> dict[str, str]:
        """Tell bare Celery where everything is."""
        found = {
            "BENCH_REDIS": self.redis,
            "BENCH_TALLY": str(self.tally.path),
            "BENCH_STUB": self.stub.url,
        }
        return found | ({"BENCH_RESULTS": self.redis} if has_results else {})

    def environment(self) -> dict[str, str]:
        """Tell quell where everything is."""
        return {
            "QUELL_CONFIG": str(self.folder / "quell.toml"),
            "BENCH_JOURNAL": self.journal,
            "PYTHONPATH": f"{self.folder / 'site'}{os.pathsep}{ROOT}",
        }

    def worker(self, name: str, slots: int) -> contextlib.AbstractContextManager[Process]:
        """Run a worker of quell's fleet the documented way, with so many runs in flight."""
        arguments = ["-m", "celery", "-A", "worker", "worker", "-n", f"{name}@%h", "-c", str(slots)]
        return spawn(self.folder / f"{name}.log", arguments, **self.environment())

    def submitter(self) -> contextlib.AbstractContextManager[Process]:
        """Run what submits to quell's fleet."""
        log = self.folder / "submitter.log"
        return spawn(log, ["-m", "bench.submitter", "quell"], **self.environment())

    def done_in_journal(self) -> int:
        """Count the runs that the journal says are done."""
        return self._count(runs.c.state == "done")

    def runs_in_journal(self) -> int:
        """Count the runs."""
        return self._count(sa.true())

    def _count(self, condition: sa.ColumnElement[bool]) -> int:
        counted = sa.select(sa.func.count()).select_from(runs).where(condition)
        engine = sa.create_engine(self.journal)
        try:
            with engine.connect() as conn:
                return int(conn.execute(counted).scalar_one())
        finally:
            engine.dispose()


@dataclass(frozen=True, slots=True)
class _Celery:
    """Bare Celery: its worker and its client."""

    ground: Ground
    name: str
    options: tuple[str, ...]
    has_results: bool

    def worker(self) -> contextlib.AbstractContextManager[Process]:
        """Run the worker."""
        arguments = ["-m", "celery", "-A", "bench.raw_celery", "worker", "-n", f"{self.name}@%h"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "INFO"]
        return spawn(
            self.ground.folder / f"{self.name}.log",
            [*arguments, *quiet, *self.options],
            **self.ground.raw_environment(has_results=self.has_results),
        )

    def submitter(self) -> contextlib.AbstractContextManager[Process]:
        """Run what submits."""
        return spawn(
            self.ground.folder / "submitter.log",
            ["-m", "bench.submitter", "celery"],
            **self.ground.raw_environment(has_results=self.has_results),
        )


@contextlib.contextmanager
def ground() -> Generator[Ground, None, None]:
    """Start everything, and take it away again."""
    folder = Path(tempfile.mkdtemp(prefix="quell-bench-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stub = stack.enter_context(stub_server(CALL))
        redis = stack.enter_context(redis_server())
        journal = stack.enter_context(fresh_database(stack.enter_context(postgres_server())))
        tally = Tally(folder / "tally")
        stack.callback(tally.close)
        prepare(folder, journal, redis, tally=tally.path, url=stub.url)
        yield Ground(folder=folder, stub=stub, tally=tally, journal=journal, redis=redis)


def prepare(folder: Path, journal: str, redis: str | None, *, tally: Path, url: str) -> None:
    """Write settings, install and enable the steps, and fill the journal."""
    _write_settings(folder, journal, redis, tally=tally, url=url)
    site = folder / "site"
    write_distribution(site, {}, name="quell-bench", plugins={"bench": "bench.fleet_plugin"})
    sys.path.insert(0, str(site))
    try:
        lock, _ = enable("bench", Lock.read(lock_path(folder / "quell.toml")), patience=PATIENCE)
        lock.write()
    finally:
        sys.path.remove(str(site))
    opened = Journal.open(journal)
    try:
        import asyncio

        asyncio.run(_fill(opened))
    finally:
        opened.close()


def _write_settings(
    folder: Path, journal: str, redis: str | None, *, tally: Path, url: str
) -> None:
    config = folder / "quell.toml"
    config.touch(mode=0o600)
    content = {
        "state_dir": str(folder / "state"),
        "journal": journal,
        "tenant": {TENANT: {"simulated": True, "bench": {"tally": str(tally), "url": url}}},
    }
    config.write_text(tomli_w.dumps(content | ({"redis_url": redis} if redis else {})))


def playbook(verb: str) -> str:
    """Write a playbook of three steps, one after the other, that starts by hand only."""
    return (
        f"quell: 1\nplaybook: three_{verb}\nsteps:\n"
        f"  - {{id: a, do: bench.{verb}}}\n"
        f"  - {{id: b, do: bench.{verb}, after: a.settled}}\n"
        f"  - {{id: c, do: bench.{verb}, after: b.settled}}\n"
    )


async def _fill(journal: Journal) -> None:
    """Activate the playbooks and let incidents come about."""
    worker = WorkerId("bench")
    for verb in VERBS:
        name, text = f"three_{verb}", playbook(verb)
        digest = digest_of(text)
        await journal.commit(playbooks.store(TENANT, name, digest, text, name=f"{name}.yml"))
        await journal.commit(playbooks.activate(TENANT, name, digest, by="bench", chain=worker))
    source = LabSource([[], [observed(number) for number in range(INCIDENTS)]])
    sync = Sync(
        journal=journal,
        tenant_id=TENANT,
        sources=[(source, "detects")],
        policy=SyncPolicy(),
        clock=SystemClock(),
        worker=worker,
        wake=lambda: None,
        hmac_key=b"k" * 32,
    )
    for _ in range(2):
        await sync.poll(source.source_id)


def prepared(tenant: TenantId) -> Question[tuple[Sequence[IncidentId], Mapping[str, str]]]:
    """Give the incidents and the digests of the playbooks that were prepared."""

    def ask(tx: Transaction) -> tuple[Sequence[IncidentId], Mapping[str, str]]:
        found = incidents.listed(tenant, limit=INCIDENTS)(tx)
        return [one.id for one in found], {one.id: one.digest for one in playbooks.active(tenant)(tx)}

    return ask


def order(process: Process, wanted: Order) -> Done:
    """Have runs submitted."""
    return msgspec.json.decode(process.ask(msgspec.json.encode(wanted).decode()), type=Done)


def wait_until_done(ground: Ground, runs_in_all: int) -> float:
    """Wait until the journal says that all runs are done; gives the moment. Raises WorkNotDone."""
    deadline = time.monotonic() + PATIENCE
    while (found := ground.done_in_journal()) < runs_in_all:
        if time.monotonic() > deadline:
            raise WorkNotDone(f"{found} of {runs_in_all} runs are done")
        time.sleep(0.02)
    return time.monotonic()
