"""What a fleet is measured on: PostgreSQL, Redis, the stub, settings, and a journal to begin with."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
import tomli_w
from tests.servers import fresh_database, postgres_server, redis_server

from bench.figure import WorkNotDone
from bench.lab import let_happen
from bench.process import ROOT
from bench.stub import Stub, stub_server
from bench.tally import Tally
from quell.domain.ids import IncidentId, TenantId, WorkerId
from quell.journal import Journal, incidents, playbooks
from quell.journal.tables import revisions, runs
from quell.journal.writer import Question, Transaction
from quell.playbooks import digest_of
from quell.plugins import Lock, LockEntry, enable, list_plugins
from quell.settings import lock_path
from quell.testing import write_distribution

__all__ = [
    "CALL",
    "PATIENCE",
    "PERSISTENT",
    "TENANT",
    "Ground",
    "environment",
    "ground",
    "prepare",
    "prepared",
]

TENANT = TenantId("bench")
#: seconds that the stub takes to answer
CALL = 0.2
#: incidents that the runs belong to, by turns
INCIDENTS = 100
#: what the runs do: three times one of these
VERBS = ("look", "note", "fetch")
#: seconds for anything to come about
PATIENCE = 90.0
#: where else packages come from in this process, e.g. another version's folders
PATHS = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
PERSISTENT = "PostgreSQL, fsync and synchronous_commit on"


@dataclass(slots=True, kw_only=True)
class Ground:
    """The servers, and what processes have to be told of them."""

    folder: Path
    stub: Stub
    tally: Tally
    journal: str
    redis: str

    def environment(self) -> dict[str, str]:
        """Tell quell where everything is."""
        return {**environment(self.folder), "BENCH_JOURNAL": self.journal}

    def wait_until_done(self, patience: float) -> None:
        """Wait until all runs in the journal are done, and all incidents looked at."""
        deadline = time.monotonic() + patience
        engine = sa.create_engine(self.journal)
        try:
            while left := _count_open(engine):
                if time.monotonic() > deadline:
                    raise WorkNotDone(f"{left} runs or incidents wait")
                time.sleep(0.02)
        finally:
            engine.dispose()


def environment(folder: Path) -> dict[str, str]:
    """Tell a process of quell's where its settings are, and where the steps are installed."""
    paths = [str(folder / "site"), str(ROOT), *PATHS]
    return {"QUELL_CONFIG": str(folder / "quell.toml"), "PYTHONPATH": os.pathsep.join(paths)}


def _count_open(engine: sa.Engine) -> int:
    runs_left = sa.select(sa.func.count()).select_from(runs).where(runs.c.state != "done")
    looks = (
        sa.select(sa.func.count()).select_from(revisions).where(revisions.c.matched_at.is_(None))
    )
    with engine.connect() as conn:
        return sum(int(conn.execute(counted).scalar_one()) for counted in (runs_left, looks))


@contextlib.contextmanager
def ground() -> Generator[Ground, None, None]:
    """Start everything, and take it away again."""
    folder = Path(tempfile.mkdtemp(prefix="quell-bench-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stub = stack.enter_context(stub_server(CALL))
        redis = stack.enter_context(redis_server())
        journal = stack.enter_context(fresh_database(stack.enter_context(postgres_server())))
        _check_durable(journal)
        tally = Tally(folder / "tally")
        stack.callback(tally.close)
        prepare(folder, journal, redis, tally=tally.path, url=stub.url)
        yield Ground(folder=folder, stub=stub, tally=tally, journal=journal, redis=redis)


def _check_durable(journal: str) -> None:
    """Make sure that the server is set as the figures say. Raises WorkNotDone."""
    engine = sa.create_engine(journal)
    try:
        with engine.connect() as conn:
            for name in ("fsync", "synchronous_commit", "full_page_writes"):
                if conn.exec_driver_sql(f"SHOW {name}").scalar_one() != "on":
                    raise WorkNotDone(f"PostgreSQL runs without {name}")
    finally:
        engine.dispose()


def prepare(folder: Path, journal: str, redis: str | None, *, tally: Path, url: str) -> None:
    """Write settings, install and enable the steps, and fill the journal."""
    config = folder / "quell.toml"
    config.touch(mode=0o600)
    content = {
        "state_dir": str(folder / "state"),
        "journal": journal,
        "tenant": {TENANT: {"simulated": True, "bench": {"tally": str(tally), "url": url}}},
    }
    config.write_text(tomli_w.dumps(content | ({"redis_url": redis} if redis else {})))
    _enable_steps(config)
    opened = Journal.open(journal)
    try:
        asyncio.run(_fill(opened))
    finally:
        opened.close()


def _enable_steps(config: Path) -> None:
    site = config.parent / "site"
    write_distribution(site, {}, name="quell-bench", plugins={"bench": "bench.fleet_plugin"})
    sys.path.insert(0, str(site))
    try:
        lock, _ = enable("bench", Lock.read(lock_path(config)), patience=PATIENCE)
        for plugin in list_plugins():
            if plugin.is_bundled:  # there is no tenant of Microsoft's here
                lock = lock.deciding(plugin.name, LockEntry(enabled=False))
    finally:
        sys.path.remove(str(site))
    lock.write()


def _playbook(verb: str) -> str:
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
        name, text = f"three_{verb}", _playbook(verb)
        digest = digest_of(text)
        await journal.commit(playbooks.store(TENANT, name, digest, text, name=f"{name}.yml"))
        await journal.commit(playbooks.activate(TENANT, name, digest, by="bench", chain=worker))
    await let_happen(journal, TENANT, worker, INCIDENTS)


def prepared(tenant: TenantId) -> Question[tuple[Sequence[IncidentId], Mapping[str, str]]]:
    """Give the incidents, and the digests of the playbooks, that were prepared."""

    def ask(tx: Transaction) -> tuple[Sequence[IncidentId], Mapping[str, str]]:
        found = [one.id for one in incidents.listed(tenant, limit=INCIDENTS)(tx)]
        return found, {one.id: one.digest for one in playbooks.active(tenant)(tx)}

    return ask
