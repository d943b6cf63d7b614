"""Resident memory of an idle `quell up`: with an empty journal, and with many incidents in it."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.figure import Report, WorkNotDone, check, median
from bench.multiply import multiply
from bench.place import DURABILITY
from bench.settings import write_settings
from bench.tenant import SimulatedTenant, simulated_tenant
from quell.domain.ids import TenantId
from quell.journal import Journal, incident_writes, incidents
from quell.runtime import TenantRuntime, open_runtime

__all__ = ["measure", "running"]

TENANT = TenantId("bench")
#: incidents that are stored as a poll stores them, and how often their rows are then copied
STORED, COPIES = 250, 40
INCIDENTS = STORED * COPIES
#: megabytes that an idle process should stay under
GOAL = 120.0
#: looks at both processes, by turns, once they are idle
LOOKS, BETWEEN = 10, 1.0
#: seconds that they may take to become idle
PATIENCE = 120.0
MEGABYTE = 1_000_000
#: calls of a process at its tenant after which it has surely polled all sources
WARM = 12


def measure() -> Report:
    """Run both processes side by side and look at them by turns."""
    report = Report(
        name="memory",
        rounds=LOOKS,
        settings=f"quell up on one simulated tenant, polls every second; {DURABILITY}; "
        f"{STORED} incidents synced, each with an alert, a device and a copy, "
        f"their rows {COPIES} times",
    )
    with (
        tempfile.TemporaryDirectory(prefix="quell-bench-") as folder,
        simulated_tenant() as quiet,
        simulated_tenant() as busy,
    ):
        empty = write_settings(Path(folder) / "empty", quiet)
        full = write_settings(Path(folder) / "full", busy)
        _fill(full, busy)
        with running(empty) as small, running(full) as large:
            watched = [
                Watched(name="empty journal", tenant=quiet, config=empty, process=small),
                Watched(name=f"{INCIDENTS:,} incidents", tenant=busy, config=full, process=large),
            ]
            _watch(watched)
        _check(report, full)
    for one in watched:
        name = f"idle, {one.name}"
        report.add_goal(f"{name}: resident", median(one.looks), "MB", below=GOAL)
        report.add(f"{name}: most since its start", one.peak, "MB")
        report.add(f"{name}: processor", one.processor, "% of a core", "polls every second")
        report.add(f"{name}: transactions", one.commits, "per s", "each leaves a row")
    return report


@dataclass(slots=True, kw_only=True)
class Watched:
    """One idle process, and what was seen of it."""

    name: str
    tenant: SimulatedTenant
    config: Path
    process: subprocess.Popen[bytes]
    looks: list[float] = field(default_factory=list[float])
    peak: float = 0.0
    processor: float = 0.0
    commits: float = 0.0


# -- the journal ---------------------------------------------------------------------------------


def _fill(config: Path, tenant: SimulatedTenant) -> None:
    """Sync some incidents for real, then copy their rows."""
    tenant.fill(STORED)
    with open_runtime(config) as runtime:
        runtime.run(_sync(runtime.tenant()))
    multiply(config.parent / "quell.sqlite3", COPIES)


async def _sync(tenant: TenantRuntime) -> None:
    for _ in range(2):
        for source, _part in tenant.sources:
            await tenant.sync.poll(source.source_id)
        while (await tenant.sync.apply_writes(STORED)).applied:
            pass


def _check(report: Report, config: Path) -> None:
    journal = Journal.open(f"sqlite:///{config.parent / 'quell.sqlite3'}")
    try:
        left = len(journal.ask_now(incidents.unmatched(TENANT, 1)))
        check(report, "revisions still to be matched", left, 0)
        is_busy = journal.ask_now(incident_writes.has_open(TENANT))
        check(report, "writes still to be sent", is_busy, False)
        found = journal.ask_now(incidents.counted(TENANT))
        check(report, "incidents in the journal afterwards", found, INCIDENTS)
    finally:
        journal.close()


# -- the processes -------------------------------------------------------------------------------


@contextlib.contextmanager
def running(config: Path) -> Generator[subprocess.Popen[bytes], None, None]:
    """Run `quell up` until the block ends."""
    with (config.parent / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "quell", "--config", str(config), "up"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={key: value for key, value in os.environ.items() if not key.startswith("QUELL_")},
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _watch(watched: Sequence[Watched]) -> None:
    """Wait until all have polled and matched everything, then look at them by turns."""
    _wait(watched)
    begin = time.monotonic()
    before = [(_processor(one), _commits(one)) for one in watched]
    for _ in range(LOOKS):
        time.sleep(BETWEEN)
        for one in watched:
            one.looks.append(_status(one, "VmRSS"))
    lasted = time.monotonic() - begin
    for one, (seconds, commits) in zip(watched, before, strict=True):
        one.processor = 100 * (_processor(one) - seconds) / lasted
        one.commits = (_commits(one) - commits) / lasted
        one.peak = _status(one, "VmHWM")


def _wait(watched: Sequence[Watched]) -> None:
    deadline = time.monotonic() + PATIENCE
    before = [_calls(one) for one in watched]
    while not all(
        _calls(one) >= calls + WARM and _is_idle(one.config)
        for one, calls in zip(watched, before, strict=True)
    ):
        if time.monotonic() > deadline or any(one.process.poll() is not None for one in watched):
            raise WorkNotDone("a process did not become idle")
        time.sleep(BETWEEN)


def _calls(one: Watched) -> int:
    return sum(one.tenant.calls().values())


def _commits(one: Watched) -> int:
    path = one.config.parent / "quell.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM commits").fetchone()[0])


def _processor(one: Watched) -> float:
    """Give the processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{one.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _is_idle(config: Path) -> bool:
    journal = Journal.open(f"sqlite:///{config.parent / 'quell.sqlite3'}", create=False)
    try:
        return not journal.ask_now(incidents.unmatched(TENANT, 1))
    finally:
        journal.close()


def _status(one: Watched, name: str) -> float:
    """Give a line of the kernel's account of a process, in megabytes."""
    lines = Path(f"/proc/{one.process.pid}/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024 / MEGABYTE
