"""The generic cell rate algorithm, as pure arithmetic on seconds.

A bucket remembers only when it would be empty again. Two run side by side for each class of
operation: one for everything, and a smaller one that sync has to pass as well, so that
containment always finds a part of the vendor's limit unused.
"""

from __future__ import annotations

from dataclasses import dataclass

from quell.domain.ports import Rate

__all__ = ["BURST", "Bucket", "Limits", "free", "limits_for", "take"]

#: the part of a window's calls that may come at once; the rest is spread over the window, so
#: that no window ever holds more than the vendor documents
BURST = 0.2


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast one bucket empties, how much it holds, and what of both sync may not have."""

    #: seconds that one call takes up
    interval: float
    #: seconds by which calls may run ahead
    tolerance: float
    #: the part that is kept for containment
    reserve: float = 0.2

    @property
    def for_sync(self) -> Limits:
        """Give what sync has to keep to: its calls count as dearer, and fewer may come at once."""
        share = 1.0 - self.reserve
        return Limits(self.interval / share, self.tolerance * share, 0.0)


@dataclass(slots=True)
class Bucket:
    """What is remembered of one class: when each bucket is empty again, and a pause."""

    all_until: float = 0.0
    sync_until: float = 0.0
    not_before: float = 0.0


def limits_for(rate: Rate, *, scale: float = 1.0, share: float = 1.0) -> Limits:
    """Turn a documented rate into limits; `scale` is how much faster the vendor really allows."""
    calls = rate.calls * share
    burst = max(1.0, calls * BURST)
    sustained = max(calls - burst, calls * BURST) * scale / rate.seconds
    interval = 1.0 / sustained
    return Limits(interval, interval * (burst - 1.0), rate.reserve)


def take(
    bucket: Bucket, limits: Limits, now: float, *, cost: int = 1, for_containment: bool = False
) -> float:
    """Take leave for `cost` calls, or say how many seconds to wait; then nothing was taken."""
    wait = max(bucket.not_before - now, bucket.all_until - limits.tolerance - now)
    of_sync = limits.for_sync
    if not for_containment:
        wait = max(wait, bucket.sync_until - of_sync.tolerance - now)
    if wait > 0:
        return wait
    bucket.all_until = max(bucket.all_until, now) + limits.interval * cost
    if not for_containment:
        bucket.sync_until = max(bucket.sync_until, now) + of_sync.interval * cost
    return 0.0


def free(bucket: Bucket, limits: Limits, now: float, *, for_containment: bool = False) -> int:
    """Count the calls that could be sent right now."""
    if bucket.not_before > now:
        return 0
    left = _left(bucket.all_until, limits, now)
    return left if for_containment else min(left, _left(bucket.sync_until, limits.for_sync, now))


def _left(until: float, limits: Limits, now: float) -> int:
    ahead = limits.tolerance - max(until - now, 0.0)
    return max(0, int(ahead / limits.interval + 1e-9) + 1) if ahead >= 0 else 0
