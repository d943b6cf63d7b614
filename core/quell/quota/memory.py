"""Quota of one process, in memory: the embedded default, and what a fleet falls back to."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from quell.domain.ports import Clock, OperationClass, Rate
from quell.quota.gcra import Bucket, limits_for, take
from quell.quota.state import ClassState, state_of

__all__ = ["SHORTEST", "UNDECLARED", "MemoryQuota"]

#: for classes that no plugin declared a rate for
UNDECLARED = Rate(calls=60, seconds=60)
#: shortest wait in seconds: a shorter one may round to none, and come round again and again
SHORTEST = 0.001


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
        self._waiting: Counter[OperationClass] = Counter()
        self._turn = threading.Lock()

    async def acquire(
        self, operation: OperationClass, *, cost: int = 1, for_containment: bool = False
    ) -> None:
        """Wait until a call of that class may be sent."""
        wait = self._take(operation, cost, for_containment)
        if wait <= 0:
            return
        self._waiting[operation] += 1
        try:
            while wait > 0:
                await self._clock.sleep(max(wait, SHORTEST))
                wait = self._take(operation, cost, for_containment)
        finally:
            self._waiting[operation] -= 1

    async def pause(self, operation: OperationClass, seconds: float) -> None:
        """Let nobody call that class for so long."""
        with self._turn:
            bucket = self._bucket(operation)
            bucket.not_before = max(bucket.not_before, self._now() + seconds)

    async def states(self) -> list[ClassState]:
        """Say how every class stands that has a rate or was asked for."""
        with self._turn:
            names = sorted({*self._rates, *self._buckets}, key=lambda one: (one.api, one.name))
            return [self._state(operation) for operation in names]

    async def aclose(self) -> None:
        """Let go of nothing: a process's own quota holds no connection."""

    def _state(self, operation: OperationClass) -> ClassState:
        return state_of(
            operation,
            self._rates.get(operation, UNDECLARED),
            self._buckets.get(operation, Bucket()),
            self._now(),
            scale=self._scale,
            share=self.share,
            waiting=self._waiting[operation],
        )

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
