"""From the last look at the clock before a call until the product has taken the request: ms."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.figure import Report, check, spread
from bench.place import DURABILITY
from bench.settings import write_settings
from bench.tenant import SimulatedTenant, simulated_tenant
from quell.cli.activation import activate_file
from quell.domain.entity import Device
from quell.engine.order import read_target
from quell.journal import effects
from quell.journal.effects import EffectRow
from quell.runtime import Runtime, open_runtime

__all__ = ["measure"]

#: incidents with one device each that come about at once, round by round
LOADS = (1, 20, 200)
#: rounds of one incident: a percentile needs more than one figure
SINGLE = 20
#: seconds that all calls of a round may take
PATIENCE = 60.0
TENANT = "bench"
ISOLATE = """quell: 1
playbook: isolate
trigger: {incident: created}
steps:
  - {id: isolate, do: device.isolate, to: incident.devices}
"""
GUARD = """
[guard]
auto = ["device.isolate"]
[guard.caps]
per_run = 100000
per_hour = 100000
in_flight = 100000
"""


def measure() -> Report:
    """Let `device.isolate` be sent over HTTPS, one by one and many at once."""
    report = Report(
        name="window",
        rounds=1,
        settings=f"device.isolate over HTTPS, one process, quotas lifted; {DURABILITY}; from the "
        "look at the deadline until the simulated tenant has taken the order",
    )
    with (
        tempfile.TemporaryDirectory(prefix="quell-bench-") as folder,
        simulated_tenant() as tenant,
    ):
        config = write_settings(Path(folder) / "up", tenant, poll_every=1.0)
        with config.open("a") as file:
            file.write(GUARD)
        playbook = config.parent / "isolate.yml"
        playbook.write_text(ISOLATE)
        with open_runtime(config) as runtime:
            activate_file(runtime, TENANT, playbook, by="bench")
            runtime.run(_take(report, runtime, tenant))
    return report


async def _take(report: Report, runtime: Runtime, tenant: SimulatedTenant) -> None:
    stop = asyncio.Event()
    working = asyncio.create_task(runtime.up(stop))
    try:
        await _until(lambda: _lists(tenant) >= 2, "the first contact")  # what is old starts nothing
        tenant.equip(SINGLE + sum(LOADS))
        sent = 0
        for load in LOADS:
            begin = sent
            for _ in range(SINGLE if load == 1 else 1):
                tenant.fill(load)
                sent += load
                await _reach(runtime, tenant, sent)
            _add(report, load, (await _waits(runtime, tenant))[begin:])
        check(report, "orders at the tenant", len(tenant.orders()), sent)
    finally:
        stop.set()
        await working


def _lists(tenant: SimulatedTenant) -> int:
    return tenant.calls().get("GET defender/incidents", 0)


async def _until(holds: Callable[[], bool], what: str) -> None:
    begin = time.monotonic()
    while not holds():
        if time.monotonic() - begin > PATIENCE:
            raise TimeoutError(f"waited in vain: {what}")
        await asyncio.sleep(0.2)


async def _reach(runtime: Runtime, tenant: SimulatedTenant, count: int) -> None:
    """Wait until so many orders are at the tenant, and then until they are on record here."""
    await _until(lambda: len(tenant.orders()) >= count, f"{count} orders")
    for _ in range(int(PATIENCE / 0.05)):
        if len(await _sent(runtime)) >= count:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(f"not on record: {count} calls")


async def _sent(runtime: Runtime) -> list[EffectRow]:
    found = await runtime.journal.ask(effects.listed(runtime.tenant().id, limit=10_000))
    return [row for row in found if row.sent_at is not None]


async def _waits(runtime: Runtime, tenant: SimulatedTenant) -> list[float]:
    """List the milliseconds of each call, in the order in which they were sent."""
    orders = tenant.orders()
    rows = sorted(await _sent(runtime), key=lambda row: str(row.sent_at))
    return [1000 * (orders[_machine(row)] - _moment(row)) for row in rows]


def _machine(row: EffectRow) -> str:
    summary = read_target(row.target)
    assert summary is not None
    assert isinstance(summary.entity, Device)
    return summary.entity.mde_id or ""


def _moment(row: EffectRow) -> float:
    assert row.sent_at is not None
    return row.sent_at.timestamp()


def _add(report: Report, load: int, waits: list[float]) -> None:
    name = "one at a time" if load == 1 else f"{load} at once"
    report.add(f"{name}, half of them", statistics.median(waits), "ms", spread(waits))
    late = statistics.quantiles(waits, n=100, method="inclusive")[98]
    report.add(f"{name}, 99 of 100", late, "ms", f"of {len(waits)} calls")
