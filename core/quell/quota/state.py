"""What is left of a tenant's quota, class by class, for people to look at."""

from __future__ import annotations

from typing import Protocol

import msgspec

from quell.domain.ports import OperationClass, Quota, Rate
from quell.quota.gcra import Bucket, free, limits_for

__all__ = ["ClassState", "WatchedQuota", "state_of"]


class ClassState(msgspec.Struct, frozen=True, kw_only=True):
    """How one class of operations stands."""

    api: str
    name: str
    #: what the vendor documents: so many calls in so many seconds
    calls: int
    seconds: float
    #: how many times faster it is configured to be
    scale: float = 1.0
    #: calls that could be sent at this moment
    left_for_sync: int
    left_for_containment: int
    #: seconds for which the vendor asked us not to call
    paused_for: float = 0.0
    #: whether calls of the present window count, or the class is paused
    is_used: bool = False
    #: who waits for leave in the process that was asked
    waiting: int = 0


class WatchedQuota(Quota, Protocol):
    """A quota that can be looked at."""

    async def states(self) -> list[ClassState]:
        """Say how every class stands."""
        ...

    async def aclose(self) -> None:
        """Let go of what it holds."""
        ...


def state_of(
    operation: OperationClass,
    rate: Rate,
    bucket: Bucket,
    now: float,
    *,
    scale: float = 1.0,
    share: float = 1.0,
    waiting: int = 0,
) -> ClassState:
    """Say how one class stands at a moment. Pure."""
    limits = limits_for(rate, scale=scale, share=share)
    return ClassState(
        api=operation.api,
        name=operation.name,
        calls=rate.calls,
        seconds=rate.seconds,
        scale=scale,
        left_for_sync=free(bucket, limits, now),
        left_for_containment=free(bucket, limits, now, for_containment=True),
        is_used=max(bucket.all_until, bucket.not_before) > now,
        paused_for=max(bucket.not_before - now, 0.0),
        waiting=waiting,
    )
