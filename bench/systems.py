"""What is measured in a fleet: quell's workers, and those of Celery alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from tests.servers import free_port

from bench.ground import PATIENCE, Ground
from bench.process import Process, spawn

__all__ = ["BareCelery", "QuellFleet", "System"]

CELERY = ("-m", "celery", "-A")
#: bare Celery without the chatter that quell's workers do without, too
QUIET = ("worker", "-n", "raw@%h", "--without-gossip", "--without-mingle", "--without-heartbeat")


class System(Protocol):
    """What is measured: workers, and what gives them runs."""

    @property
    def name(self) -> str:
        """Tell it from the others."""
        ...

    @property
    def slots(self) -> int | None:
        """Give how many runs all workers can have in flight; None where that is no bound."""
        ...

    def workers(self) -> Sequence[AbstractContextManager[Process]]:
        """Give the workers, to be started."""
        ...

    def submitter(self) -> AbstractContextManager[Process]:
        """Give the submitter, to be started."""
        ...

    def settle(self) -> None:
        """Wait until everything that was submitted has ended, by the system's own account."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class QuellFleet:
    """Workers of quell's fleet, started the documented way."""

    ground: Ground
    in_flight: int
    count: int = 1
    name: str = "quell"

    @property
    def slots(self) -> int:
        return self.in_flight * self.count

    def workers(self) -> Sequence[AbstractContextManager[Process]]:
        return [self._worker(f"quell-{number}") for number in range(self.count)]

    def _worker(self, name: str) -> AbstractContextManager[Process]:
        arguments = [*CELERY, "worker", "worker", "-n", f"{name}@%h"]
        settings = {
            "QUELL__WORKER__RUNS_IN_FLIGHT": str(self.in_flight),
            "QUELL__HTTP__PORT": str(free_port()),  # health and metrics are served, as usual
        }
        log = self.ground.folder / f"{name}.log"
        return spawn(log, arguments, self.ground.environment() | settings)

    def submitter(self) -> AbstractContextManager[Process]:
        arguments = ["-m", "bench.submitter", "quell"]
        log = self.ground.folder / "submitter.log"
        return spawn(log, arguments, self.ground.environment(), talks=True)

    def settle(self) -> None:
        self.ground.wait_until_done(PATIENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class BareCelery:
    """A worker of Celery alone, with its own options."""

    ground: Ground
    pool: str
    size: int
    has_results: bool = False
    name: str = "celery"

    @property
    def slots(self) -> int:
        return self.size

    def workers(self) -> Sequence[AbstractContextManager[Process]]:
        worker = spawn(
            self.ground.folder / "celery.log",
            [*CELERY, "bench.raw_celery", *QUIET, "-P", self.pool, "-c", str(self.size)],
            self._environment(),
        )
        return [worker]

    def submitter(self) -> AbstractContextManager[Process]:
        log = self.ground.folder / "submitter.log"
        arguments = ["-m", "bench.submitter", "celery"]
        return spawn(log, arguments, self._environment(), talks=True)

    def settle(self) -> None:
        """Wait for nothing: Celery keeps no account of chains."""

    def _environment(self) -> dict[str, str]:
        found = {
            "BENCH_REDIS": self.ground.redis,
            "BENCH_TALLY": str(self.ground.tally.path),
            "BENCH_STUB": self.ground.stub.url,
        }
        return found | ({"BENCH_RESULTS": self.ground.redis} if self.has_results else {})
