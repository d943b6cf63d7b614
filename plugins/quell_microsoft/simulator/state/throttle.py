"""The documented rate limits, counted in windows of tenant time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from .clock import SimulatedClock


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many calls in so many tenant seconds, counted per name and caller."""

    name: str
    calls: int
    seconds: float


class Throttle:
    """Counts calls in fixed windows; a denied call counts like any other."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, str], tuple[datetime, int]] = {}

    def take(self, limit: Limit, caller: str, scale: float) -> float | None:
        """Count one call; the real seconds to wait when it is one too many, else None."""
        if scale <= 0:
            return None
        start, used = self._window(limit, caller)
        self._windows[limit.name, caller] = (start, used + 1)
        if used < max(1, int(limit.calls * scale)):
            return None
        left = (start + timedelta(seconds=limit.seconds) - self._clock.now()).total_seconds()
        return self._clock.real_seconds(max(left, 0.0))

    def remaining(self, limit: Limit, caller: str, scale: float) -> int:
        """Tell how many calls the present window still allows; all of them while it is off."""
        allowed = max(1, int(limit.calls * scale)) if scale > 0 else limit.calls
        return max(0, allowed - self._window(limit, caller)[1])

    def _window(self, limit: Limit, caller: str) -> tuple[datetime, int]:
        now = self._clock.now()
        start, used = self._windows.get((limit.name, caller), (now, 0))
        if now - start >= timedelta(seconds=limit.seconds):
            return now, 0
        return start, used


GRAPH_SECURITY = Limit(name="graph security", calls=150, seconds=60)
GRAPH_USERS = Limit(name="graph users", calls=3500, seconds=10)
GRAPH_USER_WRITES = Limit(name="graph user writes", calls=3000, seconds=150)
HUNTING = Limit(name="hunting", calls=45, seconds=60)
ENDPOINT_MINUTE = (
    Limit(name="endpoint minute", calls=100, seconds=60),
    Limit(name="endpoint hour", calls=1500, seconds=3600),
)
PACKAGE_MINUTE = (
    Limit(name="package minute", calls=2, seconds=60),
    Limit(name="package hour", calls=120, seconds=3600),
)
ARM_READS = Limit(name="arm reads", calls=250, seconds=10)
ARM_WRITES = Limit(name="arm writes", calls=200, seconds=20)
ARM_DELETES = Limit(name="arm deletes", calls=200, seconds=20)
INGESTION = Limit(name="ingestion", calls=12_000, seconds=60)
LOG_QUERIES = Limit(name="log queries", calls=200, seconds=30)


def sentinel_reads(endpoint: str) -> Limit:
    """Give the documented minimum for reading one kind of incident sub-resource."""
    return Limit(name=f"sentinel read {endpoint}", calls=100, seconds=300)


def sentinel_writes(endpoint: str) -> Limit:
    """Give the documented minimum for writing one kind of incident resource."""
    return Limit(name=f"sentinel write {endpoint}", calls=75, seconds=300)
