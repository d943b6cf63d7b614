"""quell in one process beside DBOS in one process: the same steps, both on SQLite, both durable."""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figure import Report, WorkNotDone, check, median, spread
from bench.ground import CALL, environment, prepare
from bench.place import DURABILITY
from bench.process import Process, spawn
from bench.rounds import FEWEST, LONG, STEPS
from bench.stub import Stub, stub_server
from bench.submitter import Order, give_order
from bench.tally import Tally

__all__ = ["measure"]

ROUNDS = 3
#: no round begins when so many seconds are over
ENOUGH = 300.0
SLOTS = 200
#: runs before the clock starts
WARM = 60
MOST = 3000


@dataclass(frozen=True, slots=True)
class Peer:
    """A process that is given runs."""

    name: str
    #: what it does: nothing, or a call of the stub
    step: str
    arguments: tuple[str, ...]


def measure() -> Report:
    """Take rounds of every process by turns, until enough were taken or the time is over."""
    report = Report(
        name="peers",
        rounds=0,
        settings=f"quell: {DURABILITY}, events, logs, duties; DBOS: SQLite as it opens it "
        f"(rollback journal, synchronous=FULL); {SLOTS} runs in flight",
    )
    if importlib.util.find_spec("dbos") is None:
        raise WorkNotDone("DBOS is not installed: pip install -c constraints.txt -e '.[bench]'")
    began = time.monotonic()
    rates: dict[str, list[float]] = {}
    while report.rounds < ROUNDS and (not rates or time.monotonic() - began < ENOUGH):
        with _Place.make() as place:
            for peer in place.peers():
                rates.setdefault(peer.name, []).append(_take(place, peer, report))
        report.rounds += 1
    _add(report, rates)
    report.checks = list(dict.fromkeys(report.checks))
    return report


@dataclass(slots=True, kw_only=True)
class _Place:
    """A folder with an empty journal of each kind, and the stub."""

    folder: Path
    stub: Stub
    tally: Tally

    @classmethod
    @contextlib.contextmanager
    def make(cls) -> Generator[_Place, None, None]:
        with (
            tempfile.TemporaryDirectory(prefix="quell-bench-") as name,
            stub_server(CALL) as stub,
        ):
            folder = Path(name)
            tally = Tally(folder / "tally")
            journal = f"sqlite:///{folder / 'quell.sqlite3'}"
            prepare(folder, journal, None, tally=tally.path, url=stub.url)
            try:
                yield cls(folder=folder, stub=stub, tally=tally)
            finally:
                tally.close()

    def peers(self) -> Sequence[Peer]:
        config = str(self.folder / "quell.toml")
        grouped = ("-m", "bench.embedded", config, "grouped")
        alone = ("-m", "bench.embedded", config, "alone")
        dbos = ("-m", "bench.dbos_peer", str(self.folder), str(self.tally.path), self.stub.url)
        return [
            Peer("quell, calls", "fetch", grouped),
            Peer("DBOS, calls", "fetch", dbos),
            Peer("quell, nothing, commit per write", "look", alone),
            Peer("DBOS, nothing", "look", dbos),
            Peer("quell, nothing, groups of writes", "look", grouped),
        ]


def _take(place: _Place, peer: Peer, report: Report) -> float:
    """Start a process, warm it up, give it runs, and hold it to what it did."""
    log = place.folder / "peer.log"
    with spawn(log, peer.arguments, environment(place.folder), talks=True) as process:
        warm = SLOTS if peer.step == "fetch" else WARM
        _run(place, peer, process, warm, report)  # loads what is loaded late
        rate = _run(place, peer, process, warm, report)
        return _run(place, peer, process, min(max(int(LONG * rate), FEWEST), MOST), report)


def _run(place: _Place, peer: Peer, process: Process, runs: int, report: Report) -> float:
    place.tally.empty()
    place.stub.take_count()
    done = give_order(process, Order(runs=runs, step=peer.step))
    by_run, rate = place.tally.steps_by_run(), runs / (done.end - done.begin)
    check(report, f"{peer.name}: steps of each run", set(by_run.values()), {STEPS})
    check(
        report, f"{peer.name}: runs that ran are those begun", set(by_run) == set(done.sent), True
    )
    if peer.step == "fetch":
        if place.stub.take_count() != runs * STEPS:
            raise WorkNotDone(f"{peer.name}: the stub was called more or less often")
        if rate > SLOTS / (STEPS * CALL):
            raise WorkNotDone(f"{peer.name}: {rate:.0f} runs/s is more than can be")
    return rate


def _add(report: Report, rates: dict[str, list[float]]) -> None:
    for name, found in rates.items():
        report.add(f"{name}: runs", median(found), "runs/s", spread(found))
    report.add_ratios(
        f"three calls of {CALL:g} s / DBOS",
        _ratios(rates["quell, calls"], rates["DBOS, calls"]),
        least=4,
        aim=7,
    )
    report.add_ratios(
        "three steps that do nothing, a commit for each write / DBOS",
        _ratios(rates["quell, nothing, commit per write"], rates["DBOS, nothing"]),
        least=5,
        aim=10,
    )


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(ours, theirs, strict=True)]
