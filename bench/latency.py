"""From a change in Defender until its copy in Sentinel has it: seconds, at several rates of change."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from bench.figure import Report, check
from bench.memory import running
from bench.place import DURABILITY
from bench.settings import write_settings
from bench.tenant import simulated_tenant

__all__ = ["measure"]

#: changes per second, and for how many seconds
RATES, LASTS = (1, 10, 50), 40.0
#: seconds between two polls as quell is shipped
SHIPPED = 30.0
#: seconds that the first contact, and the last change, may take to come across
PATIENCE = 300.0


def measure() -> Report:
    """Let `quell up` run with the shipped pace, and change one incident after the other."""
    report = Report(
        name="latency",
        rounds=len(RATES),
        settings=f"quell up, poll every {SHIPPED:g} s and adaptive as shipped; quotas lifted (real "
        f"ones allow a quarter of a write per second); {DURABILITY}; {LASTS:g} s of changes a rate",
    )
    for rate in RATES:
        _measure(report, rate)
    return report


def _measure(report: Report, rate: int) -> None:
    count = int(rate * LASTS)
    with tempfile.TemporaryDirectory(prefix="quell-bench-") as folder, simulated_tenant() as tenant:
        tenant.fill(count)
        config = write_settings(Path(folder) / "up", tenant, poll_every=SHIPPED)
        with running(config):
            _wait_for(lambda: tenant.copies("medium") >= count)
            tenant.stir(rate)
            time.sleep(LASTS)
            _wait_for(lambda: len(tenant.lags()) >= count)
        lags = sorted(tenant.lags())
    check(report, f"{rate} a second: changes that came across", len(lags), count)
    name = f"{rate} a second: change to copy"
    middle, late = statistics.median(lags), lags[min(len(lags) - 1, int(len(lags) * 0.99))]
    report.add(f"{name}, p50", middle, "s", f"{middle / SHIPPED:.2f} of the poll interval")
    report.add(f"{name}, p99", late, "s", f"{late / SHIPPED:.2f} of the poll interval")


def _wait_for(done: object) -> None:
    assert callable(done)
    end = time.monotonic() + PATIENCE
    while not done() and time.monotonic() < end:
        time.sleep(0.5)
