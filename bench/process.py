"""Processes under measurement: started from the checkout, asked over a pipe, ended with the block."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figure import WorkNotDone

__all__ = ["ROOT", "Process", "spawn"]

ROOT = Path(__file__).parents[1]
#: seconds for an answer, and for an end in good order
PATIENCE, GRACE = 120.0, 20.0
#: what a process said last is shown when it fails
TAIL = 2000


@dataclass(slots=True)
class Process:
    """A process and whatever it started."""

    inner: subprocess.Popen[str]

    def is_alive(self) -> bool:
        """Tell whether it runs."""
        return self.inner.poll() is None

    def memory(self) -> tuple[float, float]:
        """Give the resident and the proportional memory of the whole group, in megabytes."""
        kinds = {"Rss": 0, "Pss": 0}
        for roll in self._files("smaps_rollup"):
            for line in roll.splitlines():
                name, _, rest = line.partition(":")
                if name in kinds:
                    kinds[name] += int(rest.split()[0])
        return kinds["Rss"] / 1000, kinds["Pss"] / 1000

    def processor(self) -> float:
        """Give the seconds of processor that the whole group has used."""
        # after the name, which may hold anything: user and system time are fields 14 and 15
        fields = [text.rpartition(")")[2].split() for text in self._files("stat")]
        return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")

    def _files(self, name: str) -> Iterator[str]:
        for entry in Path("/proc").iterdir():
            # a process may end while it is looked at
            with contextlib.suppress(OSError, ValueError):
                if os.getpgid(int(entry.name)) == self.inner.pid:
                    yield (entry / name).read_text()

    def ask(self, line: str) -> str:
        """Write a line to the process and read its answer. Raises WorkNotDone."""
        assert self.inner.stdin is not None
        try:
            self.inner.stdin.write(line + "\n")
            self.inner.stdin.flush()
        except OSError as error:
            raise WorkNotDone("a process of the measurement has ended") from error
        return self.read()

    def read(self) -> str:
        """Read a line. Raises WorkNotDone when the process has ended or says nothing for long."""
        assert self.inner.stdout is not None
        if not select.select([self.inner.stdout], [], [], PATIENCE)[0]:
            raise WorkNotDone("a process of the measurement does not answer")
        if not (answer := self.inner.stdout.readline()):
            raise WorkNotDone("a process of the measurement has ended")
        return answer

    def end(self) -> None:
        """Ask it to stop, then end it and whatever it started."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.inner.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.inner.wait(GRACE)
        for pipe in (self.inner.stdin, self.inner.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def spawn(
    log: Path, arguments: Sequence[str], more: Mapping[str, str], *, talks: bool = False
) -> Generator[Process, None, None]:
    """Run Python from the checkout until the block ends; one that `talks` can be asked."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("QUELL_")}
    with log.open("ab") as file:
        inner = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
            stdout=subprocess.PIPE if talks else file,
            stderr=file,
            start_new_session=True,
            cwd=ROOT,
            env={**own, **more},
            text=True,
        )
    process = Process(inner)
    try:
        if talks:
            process.read()  # that it is ready
        yield process
    except WorkNotDone as error:
        tail = log.read_text(encoding="utf-8", errors="replace")[-TAIL:]
        raise WorkNotDone(f"{error}\n{log.name}: {tail}") from error
    finally:
        process.end()
