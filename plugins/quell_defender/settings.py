"""The settings section `defender`: how the incidents of a tenant are read."""

from __future__ import annotations

from datetime import timedelta

import msgspec

__all__ = ["DefenderSettings"]


class DefenderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How quell reads the incident queue of Microsoft Defender in one tenant."""

    #: whether this tenant's Defender incidents are read
    enabled: bool = True
    #: name of the source, as `quell` shows it and other settings refer to it
    source_id: str = "defender"
    #: minutes that each poll goes back: incidents become visible late
    overlap_minutes: int = 10
    #: days that the first poll goes back
    lookback_days: int = 7
    #: seconds between two polls
    poll_every: float = 30.0
    #: incidents a page; the product takes 50 at most
    page_size: int = 50
    #: hours between two sweeps, which take in what polls missed; 0 is never
    sweep_hours: float = 6.0
    #: days that each sweep goes back
    sweep_days: float = 3.0

    def __post_init__(self) -> None:
        if not 1 <= self.page_size <= 50:
            raise ValueError("page_size must be 1 to 50")
        if self.overlap_minutes < 0 or self.lookback_days < 0 or self.poll_every <= 0:
            raise ValueError("overlap_minutes, lookback_days and poll_every must not be negative")
        if not (self.sweep_hours >= 0 and 0 < self.sweep_days <= 365):
            raise ValueError("sweep_hours must not be negative, and sweep_days at most 365")
        if not self.source_id or "/" in self.source_id:
            raise ValueError("source_id must be a name without a slash")

    @property
    def overlap(self) -> timedelta:
        """Give the overlap as a duration."""
        return timedelta(minutes=self.overlap_minutes)

    @property
    def lookback(self) -> timedelta:
        """Give the look-back window as a duration."""
        return timedelta(days=self.lookback_days)
