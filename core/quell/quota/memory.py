"""Quota of one process, in memory: the embedded default, and what a fleet falls back to."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from quell.domain.ports import Clock, OperationClass, Rate
from quell.quota.gcra import Bucket, limits_for, take

__all__ = ["MemoryQuota"]

#: for classes that no plugin declared a rate for
UNDECLARED = Rate(calls=60, seconds=60)


class MemoryQuota:
    """One tenant's quota in this process. May be used from several threads."""

    def __init__(
        self,
        rates: Mapping[OperationClass, Rate],
        clock: Clock,
        *,
        scale: float = 1.0,
        share: float = 1.0,
    ) -> None:
        self._rates = rates
        self._clock = clock
        self._scale = scale
        #: the part of the limits that is this process's, where several cannot agree
        self.share = share
        self._buckets: dict[OperationClass, Bucket] = {}
        self._turn = threading.Lock()

    async def acquire(
        self, operation: OperationClass, *, cost: int = 1, for_containment: bool = False
    ) -> None:
        """Wait until a call of that class may be sent."""
        while (wait := self._take(operation, cost, for_containment)) > 0:
            await self._clock.sleep(wait)

    async def pause(self, operation: OperationClass, seconds: float) -> None:
        """Let nobody call that class for so long."""
        with self._turn:
            bucket = self._bucket(operation)
            bucket.not_before = max(bucket.not_before, self._now() + seconds)

    def _take(self, operation: OperationClass, cost: int, for_containment: bool) -> float:
        rate = self._rates.get(operation, UNDECLARED)
        limits = limits_for(rate, scale=self._scale, share=self.share)
        with self._turn:
            bucket = self._bucket(operation)
            return take(bucket, limits, self._now(), cost=cost, for_containment=for_containment)

    def _bucket(self, operation: OperationClass) -> Bucket:
        return self._buckets.setdefault(operation, Bucket())

    def _now(self) -> float:
        return self._clock.now().timestamp()
