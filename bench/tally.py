"""What steps leave behind: one line in a shared file for each, from whatever process it ran in."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bench.figure import WorkNotDone

__all__ = ["Tally"]

#: seconds between two looks at the file's size
LOOK_EVERY = 0.02


class Tally:
    """A file that steps append lines of one length to: who they were of, and when they ran."""

    #: run id, blank, seconds of the monotonic clock, line feed
    WIDTH = 32 + 1 + 20 + 1

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, run: str) -> None:
        """Add a line; short appends of several processes do not mix."""
        os.write(self._descriptor, b"%-32.32s %20.9f\n" % (run.encode(), time.monotonic()))

    def count(self) -> int:
        """Count the lines."""
        return os.fstat(self._descriptor).st_size // self.WIDTH

    def wait(self, lines: int, patience: float, is_alive: Callable[[], bool]) -> float:
        """Wait for so many lines; gives the moment of the last. Raises WorkNotDone."""
        deadline = time.monotonic() + patience
        while (found := self.count()) < lines:
            if time.monotonic() > deadline or not is_alive():
                raise WorkNotDone(f"{found} of {lines} steps ran")
            time.sleep(LOOK_EVERY)
        return max(moment for _, moment in self.lines())

    def lines(self) -> list[tuple[str, float]]:
        """List the runs of all steps, each with the moment that it ran at."""
        found = (line.split() for line in self.path.read_text().splitlines())
        return [(run, float(moment)) for run, moment in found]

    def steps_by_run(self) -> Counter[str]:
        """Count the steps of each run."""
        return Counter(run for run, _ in self.lines())

    def first_by_run(self) -> dict[str, float]:
        """Give the moment of each run's first step."""
        first: dict[str, float] = {}
        for run, moment in self.lines():
            first[run] = min(moment, first.get(run, moment))
        return first

    def empty(self) -> None:
        """Forget all lines."""
        os.ftruncate(self._descriptor, 0)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)
