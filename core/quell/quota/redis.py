"""Quota of a fleet, shared through Redis: one script for each question, on the server's clock.

Nothing here is the truth of anything: when Redis is away, each worker goes on with a share of
the limits, and the vendor's own refusals are the backstop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from quell.domain.ids import TenantId
from quell.domain.ports import Clock, OperationClass, Rate
from quell.quota.gcra import RESERVE, limits_for
from quell.quota.memory import UNDECLARED, MemoryQuota

__all__ = ["RedisQuota"]

logger = structlog.get_logger(__name__)

#: seconds to leave Redis alone after it did not answer
LEAVE_ALONE = 5.0
#: the share of the limits that a worker takes when it cannot ask the others
SHARE_ALONE = 0.25

#: the arithmetic of `gcra.take`; a test holds the two against each other
TAKE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local cost, containment, reserve = tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5])
local state = redis.call('HMGET', KEYS[1], 'all', 'sync', 'pause')
local all, sync = tonumber(state[1] or 0), tonumber(state[2] or 0)
local wait = math.max(tonumber(state[3] or 0) - now, all - tolerance - now)
if not containment then
  wait = math.max(wait, sync - tolerance * (1 - reserve) - now)
end
if wait > 0 then return tostring(wait) end
all = math.max(all, now) + interval * cost
redis.call('HSET', KEYS[1], 'all', string.format('%.6f', all))
if not containment then
  sync = math.max(sync, now) + interval / (1 - reserve) * cost
  redis.call('HSET', KEYS[1], 'sync', string.format('%.6f', sync))
end
redis.call('EXPIRE', KEYS[1], 86400)
return '0'
"""

PAUSE = """
local time = redis.call('TIME')
local until_ = tonumber(time[1]) + tonumber(time[2]) / 1000000 + tonumber(ARGV[1])
local present = tonumber(redis.call('HGET', KEYS[1], 'pause') or 0)
if until_ > present then
  redis.call('HSET', KEYS[1], 'pause', string.format('%.6f', until_))
end
redis.call('EXPIRE', KEYS[1], 86400)
return 1
"""


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
        self._tenant_id = tenant_id
        self._rates = rates
        self._clock = clock
        self._scale = scale
        self._alone = MemoryQuota(rates, clock, scale=scale, share=SHARE_ALONE)
        self._away_until = 0.0

    async def acquire(
        self, operation: OperationClass, *, cost: int = 1, for_containment: bool = False
    ) -> None:
        """Wait until a call of that class may be sent, by the fleet's count."""
        while True:
            wait = await self._take(operation, cost, for_containment)
            if wait is None:
                await self._alone.acquire(operation, cost=cost, for_containment=for_containment)
                return
            if wait <= 0:
                return
            await self._clock.sleep(wait)

    async def pause(self, operation: OperationClass, seconds: float) -> None:
        """Let nobody in the fleet call that class for so long."""
        await self._alone.pause(operation, seconds)
        try:
            await self._pause_script(keys=[self._key(operation)], args=[seconds])
        except RedisError:
            self._is_away()

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()

    async def _take(
        self, operation: OperationClass, cost: int, for_containment: bool
    ) -> float | None:
        if self._now() < self._away_until:
            return None
        limits = limits_for(self._rates.get(operation, UNDECLARED), scale=self._scale)
        arguments = [limits.interval, limits.tolerance, cost, int(for_containment), RESERVE]
        try:
            answer = await self._take_script(keys=[self._key(operation)], args=arguments)
        except RedisError:
            self._is_away()
            return None
        return float(answer)

    def _is_away(self) -> None:
        logger.warning(
            "Redis does not answer; going on with a share of the limits", event_name="quota_alone"
        )
        self._away_until = self._now() + LEAVE_ALONE

    def _key(self, operation: OperationClass) -> str:
        return f"quell:quota:{self._tenant_id}:{operation.api}:{operation.name}"

    def _now(self) -> float:
        return self._clock.now().timestamp()
