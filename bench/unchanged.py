"""A pass over pairs of which none has changed: the calls of one poll of each queue."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from bench.figure import Report, check
from bench.place import DURABILITY
from bench.settings import write_settings
from bench.sync import calls_since
from bench.tenant import simulated_tenant
from quell.runtime import TenantRuntime, open_runtime

__all__ = ["measure"]

PAIRS = 10_000
#: minutes that each poll reads back beyond the last change that it knows
OVERLAP = 1
#: writes that are applied before it is asked again what is left
AT_A_TIME = 1_000
#: seconds beyond the overlap
MARGIN = 5.0


def measure(pairs: int = PAIRS) -> Report:
    """Bring pairs into step, let the overlap pass, change one of them, and read once more."""
    report = Report(
        name="unchanged",
        rounds=1,
        settings=f"{pairs:,} pairs in step, the last of them changed {OVERLAP} min after the "
        f"others; overlap {OVERLAP} min; {DURABILITY}; simulator with HTTPS on loopback",
    )
    with tempfile.TemporaryDirectory(prefix="quell-bench-") as folder, simulated_tenant() as tenant:
        tenant.fill(pairs)
        config = write_settings(Path(folder) / "journal", tenant, overlap_minutes=OVERLAP)
        with open_runtime(config) as runtime:
            ours = runtime.tenant()
            runtime.run(_bring_across(ours))
            check(report, "copies", tenant.copies("medium"), pairs)
            time.sleep(OVERLAP * 60 + MARGIN)
            tenant.change_last("high")
            runtime.run(_bring_across(ours))
            check(report, "copies of what changed", tenant.copies("high"), 1)
            before, begin = tenant.calls(), time.perf_counter()
            runtime.run(_poll(ours))
            seconds = time.perf_counter() - begin
            _add(report, calls_since(before, tenant.calls()), seconds)
    return report


async def _bring_across(tenant: TenantRuntime) -> None:
    await _poll(tenant)
    while (await tenant.sync.apply_writes(AT_A_TIME)).applied:
        pass
    await _poll(tenant)  # the echoes of what was written


async def _poll(tenant: TenantRuntime) -> None:
    for source, _ in tenant.sources:
        await tenant.sync.poll(source.source_id)


def _add(report: Report, calls: dict[str, int], seconds: float) -> None:
    total = sum(calls.values())
    listed = ", ".join(f"{count} {name}" for name, count in sorted(calls.items()))
    # one list of each queue and one of alerts; what is within the overlap fits into one page
    report.add("a pass over them: calls", total, "calls, least 3", listed)
    report.add("a pass over them: time", seconds, "s")


if __name__ == "__main__":
    from bench.figure import to_text

    print(to_text(measure(*(int(word) for word in sys.argv[1:]))))
