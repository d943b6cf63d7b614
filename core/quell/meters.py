"""What this process has counted since it began; whoever wants it asks, and nothing is sent anywhere.

Counted where it happens and after it is on record, so a write that is run again counts once.
Labels are tenants, sources, actions and other names from settings and code: nothing that an
incident could bring in. Should one do so all the same, a meter stops at `MOST_SERIES`.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["COUNTERS", "MOST_SERIES", "SPREADS", "Counter", "Spread", "Spreading"]

#: combinations of labels that one meter keeps apart; whatever comes later is counted as `other`
MOST_SERIES = 2000
OTHER = "other"

Labels = tuple[str, ...]


@dataclass(slots=True)
class Counter:
    """A number that only grows, by labels."""

    name: str
    text: str
    labels: Labels = ()
    _counts: dict[Labels, float] = field(default_factory=dict[Labels, float])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *labels: str, by: float = 1) -> None:
        """Count something, from any thread."""
        with self._lock:
            key = _bounded(labels, len(self._counts), labels in self._counts)
            self._counts[key] = self._counts.get(key, 0) + by

    def read(self) -> dict[Labels, float]:
        """Give the numbers so far."""
        with self._lock:
            return dict(self._counts)


@dataclass(slots=True)
class Spreading:
    """How values of one series have spread: how many came up to each bound, and their sum."""

    counts: list[int]
    total: float = 0.0


@dataclass(slots=True)
class Spread:
    """How values spread over given bounds, by labels."""

    name: str
    text: str
    bounds: Sequence[float]
    labels: Labels = ()
    _series: dict[Labels, Spreading] = field(default_factory=dict[Labels, Spreading])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, value: float, *labels: str) -> None:
        """Take a value in, from any thread."""
        at = bisect_left(self.bounds, value)
        with self._lock:
            key = _bounded(labels, len(self._series), labels in self._series)
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = Spreading([0] * (len(self.bounds) + 1))
            series.counts[at] += 1
            series.total += value

    def read(self) -> dict[Labels, Spreading]:
        """Give how the values have spread so far."""
        with self._lock:
            return {key: Spreading([*one.counts], one.total) for key, one in self._series.items()}


def _bounded(labels: Labels, kept: int, is_known: bool) -> Labels:
    return labels if is_known or kept < MOST_SERIES else (OTHER,) * len(labels)


#: from a wake-up that comes at once to a run that waited for the sweep
WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
#: from a commit on a fast disk to one that waits for a restart of the database
COMMITS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
GROUPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

RUNS_STARTED = Counter("quell_runs_started", "Runs that changes of incidents started.", ("tenant",))
RUNS_ENDED = Counter(
    "quell_runs_ended", "Runs that this process took to their end.", ("tenant", "state")
)
RUN_WAIT = Spread(
    "quell_run_wait_seconds",
    "Seconds from writing a run down to the first claim of it.",
    WAITS,
    ("tenant",),
)
TAKEOVERS = Counter(
    "quell_takeovers",
    "Runs claimed that an earlier worker had left without a further step.",
    ("tenant",),
)
FENCES_LOST = Counter(
    "quell_fences_lost",
    "Runs that this process had to let go, as another had taken them over.",
    ("tenant",),
)
EFFECTS = Counter(
    "quell_effects",
    "Effects settled on record, by what came of them.",
    ("tenant", "action", "outcome"),
)
EFFECT_SECONDS = Spread(
    "quell_effect_seconds",
    "Seconds from the decision on an effect to its outcome.",
    WAITS,
    ("tenant", "action"),
)
GUARDED = Counter(
    "quell_guard_decisions",
    "What the guard decided other than yes, by reason.",
    ("tenant", "action", "decision", "reason"),
)
RETRIES = Counter(
    "quell_effect_retries",
    "Effects that did not happen and are tried again.",
    ("tenant", "action"),
)
INCIDENTS_READ = Counter(
    "quell_incidents_read", "Incidents that polls brought.", ("tenant", "source")
)
REVISIONS = Counter("quell_revisions", "Real changes that polls found.", ("tenant", "source"))
WRITES = Counter(
    "quell_sync_writes",
    "Writes to incidents: confirmed by the product, to be tried again, or parked for a person.",
    ("tenant", "source", "outcome"),
)
DUTY_TURNS = Counter(
    "quell_duty_turns",
    "Turns of duties in this process, by whether they came to their end.",
    ("tenant", "duty", "outcome"),
)
DUTY_SECONDS = Counter(
    "quell_duty_busy_seconds", "Seconds that duties were at work.", ("tenant", "duty")
)
WAKE_UPS = Counter(
    "quell_wake_ups",
    "Wake-ups: sent to the broker, done here instead as it took none, or dropped.",
    ("fate",),
)
COMMIT_SECONDS = Spread(
    "quell_commit_seconds", "Seconds that a group of writes took to be on record.", COMMITS
)
COMMIT_WRITES = Spread("quell_commit_writes", "Writes in one commit.", GROUPS)
WEBHOOKS = Counter(
    "quell_webhooks", "Calls of the web door, by what came of them.", ("source", "outcome")
)
LOG_LINES = Counter(
    "quell_log_lines",
    "Lines of quell's log by event, also those below the level that is written out.",
    ("level", "event"),
)

COUNTERS = (
    RUNS_STARTED,
    RUNS_ENDED,
    TAKEOVERS,
    FENCES_LOST,
    EFFECTS,
    GUARDED,
    RETRIES,
    INCIDENTS_READ,
    REVISIONS,
    WRITES,
    DUTY_TURNS,
    DUTY_SECONDS,
    WAKE_UPS,
    WEBHOOKS,
    LOG_LINES,
)
SPREADS = (RUN_WAIT, EFFECT_SECONDS, COMMIT_SECONDS, COMMIT_WRITES)
