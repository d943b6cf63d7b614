"""How a fleet grows: two workers beside one, and a worker's memory beside Celery's processes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.figure import Report, median, spread
from bench.fleet import ratios
from bench.ground import CALL, PERSISTENT, Ground, ground
from bench.rounds import Load, Round, take_round
from bench.systems import BareCelery, QuellFleet, System

__all__ = ["measure"]

ROUNDS = 3
#: no round begins when so many seconds are over
ENOUGH = 330.0
#: runs in flight in one of the workers that are compared: few enough for one machine to carry two
FEW = 40
#: runs in flight where memory is looked at, and processes of Celery
MANY, PROCESSES = 200, 8


def measure() -> Report:
    """Take rounds of every system by turns, until enough were taken or the time is over."""
    report = Report(
        name="scale",
        rounds=0,
        settings=f"{PERSISTENT}; three calls of {CALL:g} s in a row; {FEW} runs in flight in each "
        f"of the workers that are compared, {MANY} where memory is looked at",
    )
    began = time.monotonic()
    taken: dict[str, list[Round]] = {}
    with ground() as here:
        while report.rounds < ROUNDS and (not taken or time.monotonic() - began < ENOUGH):
            for system in _systems(here):
                load = Load(step="fetch", warm=min(system.slots or FEW, MANY))
                taken.setdefault(system.name, []).append(take_round(here, system, load, report))
            report.rounds += 1
    _add(report, taken)
    report.checks = list(dict.fromkeys(report.checks))
    return report


def _systems(here: Ground) -> Sequence[System]:
    return [
        QuellFleet(ground=here, in_flight=FEW, name="one worker"),
        QuellFleet(ground=here, in_flight=FEW, count=2, name="two workers"),
        QuellFleet(ground=here, in_flight=MANY, name=f"one worker, {MANY} in flight"),
        BareCelery(ground=here, pool="prefork", size=PROCESSES, name=f"prefork {PROCESSES}"),
    ]


def _add(report: Report, taken: dict[str, list[Round]]) -> None:
    for name, rounds in taken.items():
        rates = [one.rate for one in rounds]
        report.add(f"{name}: runs", median(rates), "runs/s", spread(rates))
        resident = [one.resident for one in rounds]
        report.add(f"{name}: resident under load", median(resident), "MB", spread(resident))
        shared = [one.proportional for one in rounds]
        report.add(f"{name}: with shared pages by share", median(shared), "MB", spread(shared))
    report.add_ratios(
        "two workers / one", ratios(taken["two workers"], taken["one worker"]), least=1.7, aim=1.95
    )
    pairs = zip(taken[f"one worker, {MANY} in flight"], taken[f"prefork {PROCESSES}"], strict=True)
    report.add_shares(
        f"resident, one worker with {MANY} in flight / Celery prefork {PROCESSES}",
        [ours.resident / theirs.resident for ours, theirs in pairs],
        most=0.35,
        aim=0.2,
    )
