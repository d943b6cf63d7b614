"""A fleet's worker beside bare Celery: three steps in a row, each a message there, none here."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.figure import Report, WorkNotDone, median, spread
from bench.ground import CALL, PERSISTENT, Ground, ground
from bench.rounds import STEPS, Load, Round, take_round
from bench.stub import ceiling
from bench.systems import BareCelery, QuellFleet, System

__all__ = ["measure", "ratios"]

ROUNDS = 3
#: no round begins when so many seconds are over
ENOUGH = 360.0
#: threads of Celery that do nothing side by side: more do not make it faster
THREADS = 64
#: runs in flight, and threads of Celery, where steps wait for the stub
SLOTS = 200


def measure() -> Report:
    """Take rounds of every system by turns, until enough were taken or the time is over."""
    report = Report(
        name="fleet",
        rounds=0,
        settings=f"quell: {PERSISTENT}, events, logs, leases; Redis carries wake-ups; "
        "Celery: Redis without persistence, acknowledged early, nothing kept",
    )
    began = time.monotonic()
    with ground() as here:
        report.add("stub's own ceiling", ceiling(here.stub), "calls/s", "without its delay")
        idle = _idle(here)
        calling = _calling(here)
        taken: dict[str, list[Round]] = {}
        while report.rounds < ROUNDS and (not taken or time.monotonic() - began < ENOUGH):
            _take_all(here, idle, Load(step="look"), taken, report)
            _take_all(here, calling, Load(step="fetch", warm=SLOTS), taken, report)
            report.rounds += 1
    _add(report, taken)
    report.checks = list(dict.fromkeys(report.checks))
    return report


def _idle(here: Ground) -> Sequence[System]:
    return [
        QuellFleet(ground=here, in_flight=SLOTS, name="quell"),
        BareCelery(ground=here, pool="threads", size=THREADS, name="celery"),
        BareCelery(
            ground=here, pool="threads", size=THREADS, has_results=True, name="celery, results"
        ),
    ]


def _calling(here: Ground) -> Sequence[System]:
    return [
        QuellFleet(ground=here, in_flight=SLOTS, name="quell, calls"),
        BareCelery(ground=here, pool="threads", size=SLOTS, name="celery, calls"),
    ]


def _take_all(
    here: Ground,
    systems: Sequence[System],
    load: Load,
    taken: dict[str, list[Round]],
    report: Report,
) -> None:
    for system in systems:
        taken.setdefault(system.name, []).append(take_round(here, system, load, report))


def _add(report: Report, taken: dict[str, list[Round]]) -> None:
    for name, rounds in taken.items():
        rates = [one.rate for one in rounds]
        report.add(f"{name}: runs", median(rates), "runs/s", spread(rates))
        used = [1000 * one.processor / one.runs for one in rounds]
        report.add(f"{name}: processor of the worker", median(used), "ms/run", spread(used))
    cap = SLOTS / (STEPS * CALL)
    report.add("physical cap with calls", cap, "runs/s", f"{SLOTS} slots, {STEPS} × {CALL:g} s")
    idle, calling = taken["quell"], taken["quell, calls"]
    report.add_ratios(
        "three steps that do nothing / bare chain", ratios(idle, taken["celery"]), least=1, aim=2
    )
    report.add_ratios(
        "the same / bare chain with results in Redis",
        ratios(idle, taken["celery, results"]),
        least=1.5,
        aim=2.5,
    )
    report.add_ratios(
        f"three calls of {CALL:g} s / bare chain, {SLOTS} threads",
        ratios(calling, taken["celery, calls"]),
        least=1.5,
        aim=2,
    )
    shares = [one.rate / cap for one in calling]
    if max(shares) > 1:
        raise WorkNotDone("more runs were done than can be")
    report.add_ratios("the same / physical cap", shares, least=0.6, aim=0.85)


def ratios(ours: Sequence[Round], theirs: Sequence[Round]) -> list[float]:
    """Divide the rates round by round."""
    return [one.rate / other.rate for one, other in zip(ours, theirs, strict=True)]
