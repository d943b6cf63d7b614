"""From a change in Defender until its copy in Sentinel has it: seconds, at several rates of change."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.figure import Report, check
from bench.memory import running
from bench.place import DURABILITY
from bench.settings import write_settings
from bench.tenant import SimulatedTenant, simulated_tenant

__all__ = ["measure"]

#: changes per second, and for how many seconds
RATES, LASTS = (1, 10, 50), 40.0
#: seconds between two polls as quell is shipped
SHIPPED = 30.0
#: seconds that the first contact, and the last change, may take to come across
PATIENCE = 300.0
#: new incidents whose first effect is waited for, and seconds between polls meanwhile
EFFECTS, EFFECTS_POLL = 5, 5.0
HELLO = """quell: 1
playbook: hello
trigger: {incident: created}
steps:
  - {id: note, do: incident.comment, with: {text: "seen"}}
"""


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
    _measure_effect(report)
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


def _measure_effect(report: Report) -> None:
    """Let a playbook comment on each new incident: seconds, and polls that it took."""
    seconds: list[float] = []
    polls: list[int] = []
    with tempfile.TemporaryDirectory(prefix="quell-bench-") as folder, simulated_tenant() as tenant:
        config = write_settings(Path(folder) / "up", tenant, poll_every=EFFECTS_POLL)
        playbook = config.parent / "hello.yml"
        playbook.write_text(HELLO)
        command = [sys.executable, "-m", "quell", "--config", str(config), "playbook", "activate"]
        subprocess.run([*command, str(playbook)], check=True, capture_output=True)
        with running(config):
            _wait_for(lambda: _lists(tenant) >= 2)
            for number in range(EFFECTS):
                taken, meanwhile = _first_effect(tenant, number)
                seconds.append(taken)
                polls.append(meanwhile)
    check(report, "first effects", len(seconds), EFFECTS)
    report.add(
        "new incident to a playbook's first effect",
        statistics.median(seconds),
        "s",
        f"polls every {EFFECTS_POLL:g} s; polls that began meanwhile: {polls}",
    )


def _first_effect(tenant: SimulatedTenant, said: int) -> tuple[float, int]:
    """Let an incident come about just after a poll; gives seconds and polls until its comment."""
    before = _lists(tenant)
    _wait_for(lambda: _lists(tenant) > before)
    polled, begin = _lists(tenant), time.monotonic()
    tenant.fill(1)
    _wait_for(lambda: tenant.said() > said, every=0.02)
    return time.monotonic() - begin, _lists(tenant) - polled


def _lists(tenant: SimulatedTenant) -> int:
    return tenant.calls().get("GET defender/incidents", 0)


def _wait_for(done: Callable[[], bool], *, every: float = 0.5) -> None:
    end = time.monotonic() + PATIENCE
    while not done() and time.monotonic() < end:
        time.sleep(every)
