"""Plays sequence after sequence, for as long as asked: `python -m tests.soak --seconds 600`.

It prints the seed and the numbers of the sequences that went wrong; `--seed S --only N` plays
one of them again and shortens it.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

import structlog
from tests.soak.play import Result, drawn, play, play_numbered, shortened

#: what is told of, in this order
TOLD = ("edits", "passes", "crashes", "faults", "conflicts", "exempt losses")
PROCESSES = 2


def main() -> int:
    """Play as asked; 1 when anything went wrong."""
    asked = _asked()
    _be_quiet()
    print(f"seed {asked.seed}", flush=True)
    if asked.over == "https":
        from tests.soak.over_https import soak

        return soak(seed=asked.seed, edits=asked.edits or 300)
    if asked.only is not None:
        return _play_one(asked.seed, asked.only, asked.length)
    return _play_many(asked)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, help="how long; 60 where nothing else is said")
    parser.add_argument("--edits", type=int, help="end after so many edits")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--length", type=int, default=120, help="edits of one sequence")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="play one sequence, shortened")
    parser.add_argument("--over", choices=["memory", "https"], default="memory")
    asked = parser.parse_args()
    if asked.seconds is None and asked.edits is None:
        asked.seconds = 60.0
    return asked


def _be_quiet() -> None:
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet)


def _play_many(asked: argparse.Namespace) -> int:
    counts: Counter[str] = Counter()
    failed: list[int] = []
    began = time.monotonic()
    for number, result in _results(asked, counts, began):
        counts += result.counts
        counts["sequences"] += 1
        if result.wrongs:
            failed.append(number)
            print(f"sequence {number} went wrong:", *result.wrongs[:3], sep="\n  ", flush=True)
    seconds = time.monotonic() - began
    told = ", ".join(f"{counts[name]} {name}" for name in ("sequences", *TOLD))
    print(f"{told}; {len(failed)} failures; {seconds:.0f} s; seed {asked.seed}")
    for number in failed:
        print(
            f"  again: python -m tests.soak --seed {asked.seed} --length {asked.length} --only {number}"
        )
    return 1 if failed else 0


def _results(
    asked: argparse.Namespace, counts: Counter[str], began: float
) -> Iterator[tuple[int, Result]]:
    """Give the results as they come, until there are enough."""
    numbers = itertools.count()
    told = began
    with ProcessPoolExecutor(asked.processes, initializer=_be_quiet) as pool:
        running: dict[Future[Result], int] = {}
        while True:
            is_enough = _is_enough(asked, counts, time.monotonic() - began)
            while not is_enough and len(running) < asked.processes + 1:
                number = next(numbers)
                running[pool.submit(play_numbered, asked.seed, number, asked.length)] = number
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()
            if time.monotonic() - told > 60:
                told = time.monotonic()
                print(f"  {counts['edits']} edits so far", flush=True)


def _is_enough(asked: argparse.Namespace, counts: Counter[str], seconds: float) -> bool:
    if asked.edits is not None and counts["edits"] >= asked.edits:
        return True
    return asked.seconds is not None and seconds >= asked.seconds


def _play_one(seed: int, number: int, length: int) -> int:
    scene, script = drawn(seed, number, length)
    wrongs = play(scene, script, number=number).wrongs
    print(scene, *wrongs, sep="\n")
    if not wrongs:
        return 0
    left = shortened(script, lambda acts: bool(play(scene, acts, number=number).wrongs))
    print("the shortest that still goes wrong:", *left, sep="\n  ")
    print(*play(scene, left, number=number).wrongs, sep="\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
