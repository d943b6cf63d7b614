"""How soon a wake-up has its effect: from the moment it is sent to the first effect, at half load."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bench.figure import Report, spread
from bench.ground import PERSISTENT, ground
from bench.rounds import Load, Round, take_round
from bench.systems import BareCelery, QuellFleet

__all__ = ["measure"]

ROUNDS = 3
SLOTS, THREADS = 200, 64
#: seconds of submitting at half the rate that the worker was seen to reach
LASTING = 12.0
#: milliseconds that 99 of 100 should take at most
GOAL, AIM = 60.0, 25.0


def measure() -> Report:
    """Find out what the worker can do, then give it half of that; Celery by turns, for comparison."""
    report = Report(
        name="wakeup",
        rounds=ROUNDS,
        settings=f"{PERSISTENT}; runs of three effects that do nothing, each with its intent "
        "committed before; submitted evenly",
    )
    with ground() as here:
        quell = QuellFleet(ground=here, in_flight=SLOTS, name="quell")
        celery = BareCelery(ground=here, pool="threads", size=THREADS, name="celery")
        most = take_round(here, quell, Load(step="note"), report).rate
        ours: list[Round] = []
        theirs: list[Round] = []
        for _ in range(ROUNDS):
            rate = most / 2
            runs = max(int(rate * LASTING), 100)
            ours.append(take_round(here, quell, Load(step="note", runs=runs, rate=rate), report))
            load = Load(step="look", runs=runs, rate=rate)
            theirs.append(take_round(here, celery, load, report))
    report.add("full load", most, "runs/s")
    report.add("half of it was submitted", most / 2, "runs/s")
    _add(report, "wake-up to first effect", ours)
    _add(report, "bare Celery, the same rate: message to first step", theirs)
    report.checks = list(dict.fromkeys(report.checks))
    return report


def _add(report: Report, name: str, rounds: Sequence[Round]) -> None:
    middle = [1000 * _percentile(one.waits, 50) for one in rounds]
    late = [1000 * _percentile(one.waits, 99) for one in rounds]
    report.add(f"{name}, half of them", statistics.median(middle), "ms", spread(middle))
    report.add(f"{name}, 99 of 100: each round", statistics.median(late), "ms", spread(late))
    if name.startswith("wake-up"):
        report.add_goal(
            f"{name}, 99 of 100 (better under {AIM:g})", statistics.median(late), "ms", below=GOAL
        )


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]
