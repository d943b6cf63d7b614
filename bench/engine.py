"""Runs of three steps per second, beside a bare event loop that makes the same calls."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from bench.figure import Report, check, median, spread
from bench.lab import Lab, LabRegistry, let_happen, playbook
from bench.place import DURABILITY
from quell.domain.ids import TenantId, WorkerId
from quell.engine import Engine, GuardPolicy, RunRef
from quell.journal import Journal, incidents, playbooks, runs
from quell.journal.tables import commits
from quell.journal.writer import Transaction
from quell.playbooks import digest_of
from quell.runtime.clock import SystemClock
from quell.runtime.dispatch import IN_FLIGHT, Dispatcher

__all__ = ["measure"]

TENANT, WORKER = TenantId("bench"), WorkerId("bench")
STEPS = 3
ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one measurement runs."""

    title: str
    verb: str
    seconds: float
    runs: int


LOADS = (
    Load(title="reads that do nothing", verb="bench.look", seconds=0.0, runs=300),
    Load(title="effects that do nothing", verb="bench.note", seconds=0.0, runs=300),
    Load(title="reads of 200 ms", verb="bench.look", seconds=0.2, runs=600),
)


@dataclass(slots=True, kw_only=True)
class Timed:
    """One round of the engine."""

    begin: float
    drive: float
    commits: int


def measure() -> Report:
    """Run each load in rounds, the bare loop and the engine by turns."""
    report = Report(
        name="engine",
        rounds=ROUNDS,
        settings=f"embedded, {DURABILITY}, {IN_FLIGHT} runs in flight, three steps in a row",
    )
    for load in LOADS:
        bare: list[float] = []
        driven: list[Timed] = []
        for _ in range(ROUNDS):
            bare.append(asyncio.run(_bare(load, report)))
            driven.append(asyncio.run(_engine(load, report)))
        _add(report, load, bare, driven)
    report.checks = list(dict.fromkeys(report.checks))
    return report


def _add(report: Report, load: Load, bare: Sequence[float], driven: Sequence[Timed]) -> None:
    rates = [load.runs / one.drive for one in driven]
    ratios = [one.drive / alone for one, alone in zip(driven, bare, strict=True)]
    report.add(f"{load.title}: engine", median(rates), "runs/s", spread(rates))
    report.add(f"{load.title}: bare loop", median([load.runs / one for one in bare]), "runs/s")
    report.add(f"{load.title}: engine / bare loop, time", median(ratios), "×", spread(ratios))
    begun = [load.runs / one.begin for one in driven]
    report.add(f"{load.title}: matched and begun", median(begun), "runs/s", spread(begun))
    share = [one.commits / load.runs for one in driven]
    report.add(f"{load.title}: transactions", median(share), "per run", "groups of writes")


async def _bare(load: Load, report: Report) -> float:
    lab = Lab(seconds=load.seconds)
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def run() -> None:
        async with slots:
            for _ in range(STEPS):
                await lab.answer()

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(load.runs):
            group.create_task(run())
    taken = time.perf_counter() - begin
    check(report, f"{load.title}: calls of the bare loop", lab.calls, load.runs * STEPS)
    return taken


async def _engine(load: Load, report: Report) -> Timed:
    with tempfile.TemporaryDirectory(prefix="quell-bench-") as folder:
        journal = Journal.open(f"sqlite:///{Path(folder) / 'quell.sqlite3'}")
        try:
            return await _drive(journal, load, report)
        finally:
            journal.close()


async def _drive(journal: Journal, load: Load, report: Report) -> Timed:
    lab, woken = Lab(seconds=load.seconds), list[RunRef]()
    engine = _make_engine(journal, lab, woken)
    try:
        await _activate(journal, load)
        await let_happen(journal, TENANT, WORKER, load.runs)
        begin = time.perf_counter()
        await _match_all(journal, engine)
        middle, before = time.perf_counter(), await journal.ask(_count_commits)
        await _drive_all(engine, woken)
        end, after = time.perf_counter(), await journal.ask(_count_commits)
    finally:
        engine.close()
    check(report, f"{load.title}: calls of the engine", lab.calls, load.runs * STEPS)
    listed = await journal.ask(runs.listed(TENANT, limit=load.runs + 1))
    done = sum(one.state.value == "done" for one in listed)
    check(report, f"{load.title}: runs done in the journal", done, load.runs)
    return Timed(begin=middle - begin, drive=end - middle, commits=after - before)


def _make_engine(journal: Journal, lab: Lab, woken: list[RunRef]) -> Engine:
    return Engine(
        journal=journal,
        tenant_id=TENANT,
        registry=LabRegistry(lab),
        policy=GuardPolicy(),
        clock=SystemClock(),
        worker=WORKER,
        wake=woken.append,
    )


async def _activate(journal: Journal, load: Load) -> None:
    text = playbook("three_steps", load.verb)
    digest = digest_of(text)
    await journal.commit(
        playbooks.store(TENANT, "three_steps", digest, text, name="three_steps.yml")
    )
    await journal.commit(
        playbooks.activate(TENANT, "three_steps", digest, by="bench", chain=WORKER)
    )


async def _match_all(journal: Journal, engine: Engine) -> None:
    while revisions := await journal.ask(incidents.unmatched(TENANT, 200)):
        for revision in revisions:
            view = await journal.ask(incidents.view(TENANT, revision.incident_id))
            await engine.match(revision, view)


async def _drive_all(engine: Engine, woken: Sequence[RunRef]) -> None:
    dispatcher = Dispatcher(engine.drive)
    dispatcher.start()
    for ref in woken:
        dispatcher.offer(ref)
    await asyncio.sleep(0)  # the offers are taken on the loop's next turn
    await dispatcher.quiet()
    await dispatcher.stop()


def _count_commits(tx: Transaction) -> int:
    statement = sa.select(sa.func.count()).select_from(commits)
    return int(tx.execute(statement).scalar_one())
