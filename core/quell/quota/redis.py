"""Quota of a fleet, shared through Redis: one script for each question, on the server's clock.

Nothing here is the truth of anything: when Redis is away, each worker goes on with a share of
the limits, and the vendor's own refusals are the backstop.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from quell.domain.ids import TenantId
from quell.domain.ports import Clock, OperationClass, Rate
from quell.errors import Unreachable
from quell.quota.gcra import Bucket, limits_for
from quell.quota.memory import SHORTEST, UNDECLARED, MemoryQuota
from quell.quota.scripts import HERE, PAUSE, TAKE
from quell.quota.state import ClassState, state_of

__all__ = ["RedisQuota"]

logger = structlog.get_logger(__name__)

#: seconds to leave Redis alone after it did not answer
LEAVE_ALONE = 5.0
#: the share of the limits that a worker takes while it does not know how many there are
SHARE_ALONE = 0.25
#: seconds between two signs that this worker is there
SIGN_EVERY = 10.0


class RedisQuota:
    """One tenant's quota, the same for every worker that shares the Redis."""

    def __init__(
        self,
        url: str,
        tenant_id: TenantId,
        rates: Mapping[OperationClass, Rate],
        clock: Clock,
        *,
        scale: float = 1.0,
    ) -> None:
        # the library's own annotation is partial
        connect: Any = Redis.from_url  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
        self._redis: Redis = connect(url, socket_timeout=2.0, socket_connect_timeout=2.0)
        self._take_script = self._redis.register_script(TAKE)
        self._pause_script = self._redis.register_script(PAUSE)
        self._here_script = self._redis.register_script(HERE)
        self._tenant_id = tenant_id
        self._rates = rates
        self._clock = clock
        self._scale = scale
        self._alone = MemoryQuota(rates, clock, scale=scale, share=SHARE_ALONE)
        self._away_until = 0.0
        self._name = uuid.uuid4().hex
        self._next_sign = 0.0
        self._waiting: Counter[OperationClass] = Counter()

    async def acquire(
        self, operation: OperationClass, *, cost: int = 1, for_containment: bool = False
    ) -> None:
        """Wait until a call of that class may be sent, by the fleet's count."""
        self._waiting[operation] += 1
        try:
            while (wait := await self._take(operation, cost, for_containment)) is not None:
                if wait <= 0:
                    return
                await self._clock.sleep(max(wait, SHORTEST))
        finally:
            self._waiting[operation] -= 1
        await self._alone.acquire(operation, cost=cost, for_containment=for_containment)

    async def pause(self, operation: OperationClass, seconds: float) -> None:
        """Let nobody in the fleet call that class for so long."""
        await self._alone.pause(operation, seconds)
        try:
            await self._pause_script(keys=[self._key(operation)], args=[seconds])
        except RedisError:
            self._is_away()

    async def states(self) -> list[ClassState]:
        """Say how every declared class stands, for the whole fleet. Raises Unreachable."""
        try:
            return await self._states()
        except RedisError as error:
            raise Unreachable(endpoint="redis") from error

    async def _states(self) -> list[ClassState]:
        names = sorted(self._rates, key=lambda one: (one.api, one.name))
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()  # pyright: ignore[reportUnknownMemberType] # partly typed
            for operation in names:
                pipe.hmget(self._key(operation), "all", "sync", "pause")
            (seconds, micros), *rows = await pipe.execute()
        now = seconds + micros / 1_000_000
        return [
            self._state(operation, [float(value or 0) for value in row], now)
            for operation, row in zip(names, rows, strict=True)
        ]

    def _state(self, operation: OperationClass, row: list[float], now: float) -> ClassState:
        return state_of(
            operation,
            self._rates[operation],
            Bucket(all_until=row[0], sync_until=row[1], not_before=row[2]),
            now,
            scale=self._scale,
            waiting=self._waiting[operation],
        )

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()

    async def _take(
        self, operation: OperationClass, cost: int, for_containment: bool
    ) -> float | None:
        if self._now() < self._away_until:
            return None
        limits = limits_for(self._rates.get(operation, UNDECLARED), scale=self._scale)
        arguments = [limits.interval, limits.tolerance, cost, int(for_containment), limits.reserve]
        try:
            await self._say_here()
            answer = await self._take_script(keys=[self._key(operation)], args=arguments)
        except RedisError:
            self._is_away()
            return None
        return float(answer)

    async def _say_here(self) -> None:
        """Be counted, so that each knows its share should Redis go away."""
        if (now := self._now()) < self._next_sign:
            return
        self._next_sign = now + SIGN_EVERY
        count = await self._here_script(
            keys=[f"quell:quota:{self._tenant_id}:workers"], args=[self._name]
        )
        self._alone.share = 1.0 / max(int(count), 1)

    def _is_away(self) -> None:
        logger.warning(
            "Redis does not answer; going on with a share of the limits", event_name="quota_alone"
        )
        self._away_until = self._now() + LEAVE_ALONE

    def _key(self, operation: OperationClass) -> str:
        return f"quell:quota:{self._tenant_id}:{operation.api}:{operation.name}"

    def _now(self) -> float:
        return self._clock.now().timestamp()
