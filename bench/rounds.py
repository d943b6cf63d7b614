"""One round of a fleet: workers are started, warmed up, given runs, and held to what they did."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bench.figure import Report, WorkNotDone, check
from bench.ground import CALL, PATIENCE, Ground
from bench.process import Process
from bench.submitter import Done, Order, give_order
from bench.systems import System

__all__ = ["STEPS", "Load", "Round", "take_round"]

STEPS = 3
#: how long a round should take, in seconds and in runs
LONG, FEWEST, MOST = 6.0, 100, 4000
#: seconds between two looks at the workers' memory
LOOK_EVERY = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one round runs."""

    #: `look` and `note` do nothing, `fetch` calls the stub
    step: str
    #: 0 for as many as take some seconds
    runs: int = 0
    #: runs before the clock starts: connections are open and code is warm then, the rate known
    warm: int = 100
    #: runs a second that are submitted; 0 for as fast as it goes
    rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round took."""

    runs: int
    seconds: float
    #: seconds until all was submitted
    submitting: float
    #: seconds of processor that the workers used
    processor: float
    #: resident and proportional memory of all workers under load, in megabytes
    resident: float
    proportional: float
    #: for each run the seconds from its wake-up to its first step
    waits: Sequence[float] = field(repr=False)

    @property
    def rate(self) -> float:
        """Give the runs per second, from the first submission to the end of the last run."""
        return self.runs / self.seconds


def take_round(ground: Ground, system: System, load: Load, report: Report) -> Round:
    """Start a system, give it the load, and hold it to what it did. Raises WorkNotDone."""
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(worker) for worker in system.workers()]
        submitter = stack.enter_context(system.submitter())
        everybody = [*processes, submitter]
        warm = replace(load, runs=load.warm * len(processes), rate=0.0)
        _submit(ground, system, everybody, warm)  # loads what is loaded late
        _, seconds = _submit(ground, system, everybody, warm)
        if not load.runs:
            runs = min(max(int(LONG * warm.runs / seconds), FEWEST), MOST)
            load = replace(load, runs=runs)
        before = sum(one.processor() for one in processes)
        with _Memory(processes) as memory:
            done, seconds = _submit(ground, system, everybody, load)
        used = sum(one.processor() for one in processes) - before
    _check(ground, system, load, report, done, seconds)
    first = ground.tally.first_by_run()
    return Round(
        runs=load.runs,
        seconds=seconds,
        submitting=done.end - done.begin,
        processor=used,
        resident=memory.resident,
        proportional=memory.proportional,
        waits=[first[run] - sent for run, sent in done.sent.items()],
    )


def _submit(
    ground: Ground, system: System, everybody: Sequence[Process], load: Load
) -> tuple[Done, float]:
    ground.tally.empty()
    ground.stub.take_count()
    done = give_order(everybody[-1], Order(runs=load.runs, step=load.step, rate=load.rate))
    ended = ground.tally.wait(
        load.runs * STEPS, PATIENCE, lambda: all(one.is_alive() for one in everybody)
    )
    system.settle()
    return done, ended - done.begin


def _check(
    ground: Ground, system: System, load: Load, report: Report, done: Done, seconds: float
) -> None:
    what = f"{system.name}, {load.runs} runs of {load.step}"
    by_run = ground.tally.steps_by_run()
    check(report, f"{what}: runs that had each of their steps once", set(by_run.values()), {STEPS})
    check(report, f"{what}: runs that ran are those submitted", set(by_run) == set(done.sent), True)
    if load.step != "fetch":
        return
    check(report, f"{what}: calls at the stub", ground.stub.take_count(), load.runs * STEPS)
    if system.slots is not None and load.runs / seconds > system.slots / (STEPS * CALL):
        raise WorkNotDone(f"{what}: {load.runs / seconds:.0f} runs/s is more than can be")


class _Memory:
    """Looks at the memory of processes now and then, and keeps the most."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes = processes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.resident = self.proportional = 0.0

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            looks = [process.memory() for process in self._processes]
            self.resident = max(self.resident, sum(resident for resident, _ in looks))
            self.proportional = max(self.proportional, sum(shared for _, shared in looks))
