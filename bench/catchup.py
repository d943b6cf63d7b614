"""Catching up: many incidents read for the first time, and what it costs in time, memory and calls."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from bench.figure import Report, check
from bench.place import DURABILITY
from bench.settings import write_settings
from bench.tenant import SimulatedTenant, simulated_tenant
from quell.domain.ports import OperationClass
from quell.journal import incidents
from quell.quota import MemoryQuota
from quell.quota.gcra import limits_for
from quell.runtime import open_runtime
from quell_microsoft.clouds import Api
from quell_microsoft.limits import rates_of

__all__ = ["measure"]

#: how many incidents are caught up with, by turns
SIZES = (1_000, 10_000)
#: the largest pages that the product gives of incidents, and of alerts
INCIDENT_PAGE, ALERT_PAGE = 50, 1_000
#: megabytes by which the larger catch-up may need more than the smaller
GROWTH = 50.0
#: seconds that one catch-up may take
PATIENCE = 3_600.0
#: hours of simulated time for which sync asks for more than it may have
HOURS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """What one catch-up took."""

    size: int
    seconds: float
    #: megabytes, at most
    resident: float
    lists: int
    single: int
    stored: int


def measure(sizes: Sequence[int] = SIZES) -> Report:
    """Catch up with each number of incidents, each in a fresh process with a fresh tenant."""
    report = Report(
        name="catchup",
        rounds=1,
        settings="first read of Defender, one incident a second with one alert each, nothing "
        f"written; {DURABILITY}; simulator with HTTPS on loopback, no limits",
    )
    found = [_catch_up(size) for size in sizes]
    for one in found:
        check(report, f"{one.size:,}: incidents in the journal", one.stored, one.size)
        _add(report, one)
    first, last = found[0], found[-1]
    grown = last.resident - first.resident
    report.add_goal("resident, most: grown by", grown, "MB", below=GROWTH)
    ratio = (last.seconds / last.size) / (first.seconds / first.size)
    report.add(f"time per incident, {last.size:,} ÷ {first.size:,}", ratio, "×")
    used = asyncio.run(_share_used())
    report.add(
        "of sync's share of Sentinel's writes used, at its quota", 100 * used, "%", "goal 95"
    )
    return report


def _add(report: Report, one: CatchUp) -> None:
    name = f"{one.size:,} incidents"
    least = math.ceil(one.size / INCIDENT_PAGE) + math.ceil(one.size / ALERT_PAGE)
    report.add(f"{name}: read and stored", one.size / one.seconds, "incidents/s")
    report.add(f"{name}: lists", one.lists, f"calls, least {least}", f"{one.lists / least:.2f} ×")
    report.add(f"{name}: read one by one", one.single, "calls")
    report.add(f"{name}: resident, most", one.resident, "MB")


def _catch_up(size: int) -> CatchUp:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory(prefix="quell-bench-") as folder, simulated_tenant() as tenant:
        tenant.fill_past(size)
        config = write_settings(Path(folder) / "journal", tenant)
        before = tenant.calls()
        process = context.Process(target=_read_all, args=(theirs, str(config)))
        process.start()
        theirs.close()
        if not ours.poll(PATIENCE):
            process.kill()
        seconds, resident, stored = ours.recv()
        process.join()
        return CatchUp(
            size=size,
            seconds=seconds,
            resident=resident,
            stored=stored,
            **_calls(tenant, before),
        )


def _calls(tenant: SimulatedTenant, before: dict[str, int]) -> dict[str, int]:
    made = {name: count - before.get(name, 0) for name, count in tenant.calls().items()}
    lists = sum(n for name, n in made.items() if name in ("GET defender/incidents", LIST_OF_ALERTS))
    single = sum(n for name, n in made.items() if name.startswith("GET defender/incidents/"))
    return {"lists": lists, "single": single}


LIST_OF_ALERTS = "GET defender/alerts_v2"


def _read_all(pipe: Connection, config: str) -> None:
    """Poll the source that detects, in a process of its own; tell seconds, memory and count."""
    with open_runtime(Path(config)) as runtime:
        tenant = runtime.tenant()
        source = next(one for one, part in tenant.sources if part == "detects")
        begin = time.perf_counter()
        runtime.run(tenant.sync.poll(source.source_id))
        seconds = time.perf_counter() - begin
        stored = runtime.journal.ask_now(incidents.counted(tenant.id))
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    pipe.send((seconds, peak / 1000, stored))


# -- the quota -----------------------------------------------------------------------------------


class RushingClock:
    """A clock that jumps to the end of each sleep."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """Tell the time."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Let that much time pass at once."""
        self._now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


async def _share_used() -> float:
    """Ask for more writes than there is leave for; gives the part of sync's share that was had."""
    rates = rates_of(Api.ARM)
    writes = OperationClass(str(Api.ARM), "incidents.write")
    clock = RushingClock()
    quota = MemoryQuota(rates, clock)
    end, had = clock.now() + timedelta(hours=HOURS), 0
    while clock.now() < end:
        await quota.acquire(writes)
        had += 1
    return had / (HOURS * 3600 / limits_for(rates[writes]).for_sync.interval)


if __name__ == "__main__":
    from bench.figure import to_text

    print(to_text(measure([int(word) for word in sys.argv[1:]] or SIZES)))
