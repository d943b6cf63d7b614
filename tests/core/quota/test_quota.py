"""Quota: never more than documented, something always left for containment, pauses for all."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.domain.ids import TenantId
from quell.domain.ports import OperationClass, Rate
from quell.quota import Bucket, MemoryQuota
from quell.quota.gcra import free, limits_for, take
from quell.quota.redis import RedisQuota

WRITES = OperationClass("arm", "write")
READS = OperationClass("arm", "read")


class SteppingClock:
    """A clock whose sleepers wake at once, with the time moved on."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)
        await asyncio.sleep(0)


class Forward:
    """A door before a Redis that can be closed."""

    def __init__(self, url: str) -> None:
        self._there = urlsplit(url)
        self._open: list[asyncio.StreamWriter] = []

    async def open(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    async def close(self) -> None:
        self._server.close()
        for writer in self._open:
            writer.close()
        await asyncio.gather(*(one.wait_closed() for one in self._open), return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, there = await asyncio.open_connection(self._there.hostname, self._there.port)
        self._open += [writer, there]
        await asyncio.gather(self._carry(reader, there), self._carry(answers, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        writer.close()


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@given(
    rate=st.builds(Rate, st.integers(1, 500), st.floats(1, 3600)),
    asks=st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=300),
)
def test_no_window_ever_holds_more_calls_than_documented(
    rate: Rate, asks: list[tuple[float, bool]]
) -> None:
    # given
    bucket, now, granted = Bucket(), 1_000_000.0, list[float]()
    limits = limits_for(rate)

    # when
    for pause, for_containment in asks:
        now += pause
        if take(bucket, limits, now, for_containment=for_containment) <= 0:
            granted.append(now)

    # then
    for start in granted:
        in_window = sum(start <= moment < start + rate.seconds * 0.999 for moment in granted)
        assert in_window <= max(rate.calls, 2)


@given(
    rate=st.builds(Rate, st.integers(20, 200), st.floats(1, 3600), st.sampled_from([0.0, 0.2])),
    patience=st.floats(0.0, 0.5),
)
def test_sync_that_always_has_more_to_do_uses_what_it_may(rate: Rate, patience: float) -> None:
    # given
    bucket, limits, begin = Bucket(), limits_for(rate), 1_000_000.0
    now, granted = begin, 0
    end = begin + 5 * rate.seconds

    # when: whoever was told to wait comes back a little late
    while now < end:
        wait = take(bucket, limits, now)
        granted += wait <= 0
        now += wait + patience * limits.interval if wait > 0 else 0.0

    # then
    share = 5 * rate.seconds / limits.for_sync.interval
    assert granted >= 0.95 * share
    assert granted <= 5 * rate.calls * (1 - rate.reserve) + rate.calls


@given(taken=st.integers(0, 120), for_containment=st.booleans(), later=st.floats(0, 400))
def test_what_is_said_to_be_free_can_be_taken_and_no_more(
    taken: int, for_containment: bool, later: float
) -> None:
    # given
    bucket, limits, now = Bucket(), limits_for(Rate(100, 300)), 1_000_000.0
    for _ in range(taken):
        take(bucket, limits, now, for_containment=for_containment)
    now += later

    # when
    said = free(bucket, limits, now, for_containment=for_containment)

    # then
    for _ in range(said):
        assert take(bucket, limits, now, for_containment=for_containment) <= 1e-6
    assert take(bucket, limits, now, for_containment=for_containment) > 0


@given(st.integers(8, 500))
def test_containment_finds_leave_after_sync_took_all_it_could(calls: int) -> None:
    # given
    bucket, limits = Bucket(), limits_for(Rate(calls * 4, 300))
    while take(bucket, limits, 1_000_000.0) <= 0:
        pass

    # when
    wait = take(bucket, limits, 1_000_000.0, for_containment=True)

    # then
    assert wait <= 0


@given(st.floats(0, 100), st.integers(1, 100))
def test_who_waits_as_long_as_told_gets_leave(elapsed: float, taken: int) -> None:
    # given
    bucket, limits = Bucket(), limits_for(Rate(75, 300))
    for _ in range(taken):
        take(bucket, limits, 1_000_000.0)
    now = 1_000_000.0 + elapsed

    # when
    wait = take(bucket, limits, now)

    # then
    assert wait <= 0 or take(bucket, limits, now + wait + 1e-6) <= 0


@pytest.mark.anyio
async def test_a_pause_holds_back_its_class_and_no_other() -> None:
    # given
    clock = SteppingClock()
    quota = MemoryQuota({WRITES: Rate(75, 300), READS: Rate(100, 300)}, clock)
    start = clock.now()

    # when
    await quota.pause(WRITES, 30)
    await quota.acquire(READS, for_containment=True)
    after_read = clock.now()
    await quota.acquire(WRITES, for_containment=True)

    # then
    assert after_read == start
    assert clock.now() - start >= timedelta(seconds=30)


@pytest.mark.anyio
async def test_workers_on_one_redis_share_one_limit(redis_url: str) -> None:
    # given
    rates = {WRITES: Rate(8, 2)}
    workers = [RedisQuota(redis_url, TenantId("shared"), rates, RealClock()) for _ in range(3)]
    granted = 0

    async def take_turns(quota: RedisQuota) -> None:
        nonlocal granted
        while True:
            await quota.acquire(WRITES, for_containment=True)
            granted += 1

    # when
    with pytest.raises(TimeoutError):  # the whole loop is what runs out of time
        async with asyncio.timeout(1.9):
            await asyncio.gather(*(take_turns(quota) for quota in workers))
    for quota in workers:
        await quota.aclose()

    # then
    assert 2 <= granted <= 8


@pytest.mark.anyio
async def test_a_pause_reaches_every_worker(redis_url: str) -> None:
    # given
    one, two = (
        RedisQuota(redis_url, TenantId("paused"), {WRITES: Rate(1000, 1)}, RealClock())
        for _ in range(2)
    )
    await one.pause(WRITES, 30)

    # when / then
    with pytest.raises(TimeoutError):  # the whole loop is what runs out of time
        async with asyncio.timeout(0.5):
            await two.acquire(WRITES, for_containment=True)
    for quota in (one, two):
        await quota.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("for_containment", [True, False])
async def test_the_script_and_the_arithmetic_agree(redis_url: str, for_containment: bool) -> None:
    # given
    rate = Rate(40, 3600)
    quota = RedisQuota(redis_url, TenantId(f"same{for_containment}"), {WRITES: rate}, RealClock())
    bucket, limits, now = Bucket(), limits_for(rate), 1_000_000.0
    expected = 0
    while take(bucket, limits, now, for_containment=for_containment) <= 0:
        expected += 1

    # when
    granted = 0
    with pytest.raises(TimeoutError):  # noqa: PT012 # the whole loop is what runs out of time
        async with asyncio.timeout(1):
            while True:
                await quota.acquire(WRITES, for_containment=for_containment)
                granted += 1
    await quota.aclose()

    # then
    assert granted == expected


@pytest.mark.anyio
async def test_without_redis_a_worker_goes_on_with_a_share() -> None:
    # given
    quota = RedisQuota("redis://127.0.0.1:1/0", TenantId("t"), {WRITES: Rate(400, 60)}, RealClock())

    # when
    async with asyncio.timeout(5):
        for _ in range(5):
            await quota.acquire(WRITES, for_containment=True)

    # then
    with pytest.raises(TimeoutError):  # noqa: PT012 # the whole loop is what runs out of time
        async with asyncio.timeout(0.5):
            for _ in range(400):
                await quota.acquire(WRITES, for_containment=True)
    await quota.aclose()


@pytest.mark.anyio
async def test_an_isolate_goes_through_while_sync_waits_for_leave() -> None:
    # given
    clock = SteppingClock()
    quota = MemoryQuota({WRITES: Rate(75, 300)}, clock)
    begin = clock.now()

    async def sync() -> None:
        while True:
            await quota.acquire(WRITES)

    busy = [asyncio.create_task(sync()) for _ in range(20)]
    for _ in range(20_000):
        await asyncio.sleep(0)
        if clock.now() - begin > timedelta(seconds=600):
            break

    # when
    asked = clock.now()
    states = {state.name: state for state in await quota.states()}
    await quota.acquire(WRITES, for_containment=True)

    # then
    assert clock.now() == asked
    assert states["write"].waiting == 20
    assert states["write"].left_for_sync <= 1
    assert states["write"].left_for_containment >= 1
    for one in busy:
        one.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    assert [state.waiting for state in await quota.states()] == [0]


@pytest.mark.anyio
async def test_an_isolate_goes_through_a_fleet_whose_sync_waits_for_leave(redis_url: str) -> None:
    # given
    rates = {WRITES: Rate(100, 3600)}
    one, two = (RedisQuota(redis_url, TenantId("busy"), rates, RealClock()) for _ in range(2))
    busy = [asyncio.create_task(one.acquire(WRITES)) for _ in range(40)]
    for _ in range(500):
        await asyncio.sleep(0.01)
        if any(state.waiting for state in await one.states()):
            break

    # when
    async with asyncio.timeout(5):
        await two.acquire(WRITES, for_containment=True)
    [state] = await two.states()

    # then
    assert state.left_for_sync == 0
    assert (state.calls, state.seconds) == (100, 3600)
    for waiting in busy:
        waiting.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    await asyncio.gather(one.aclose(), two.aclose())


@pytest.mark.anyio
async def test_workers_that_lose_redis_go_on_with_their_share_of_it(redis_url: str) -> None:
    # given
    rates = {WRITES: Rate(1000, 3600)}
    clock = SteppingClock()
    door = Forward(redis_url)
    url = await door.open()
    workers = [RedisQuota(url, TenantId("shares"), rates, clock) for _ in range(5)]
    for _ in range(2):
        for worker in workers:
            await worker.acquire(WRITES)
        clock.moment += timedelta(seconds=11)
    for worker in workers:
        await worker.aclose()
    await door.close()
    lost = workers[0]

    # when: as many as come at once without a wait
    begin, granted = clock.now(), 0
    while clock.now() == begin:
        await lost.acquire(WRITES)
        granted += 1
    await lost.aclose()

    # then: a fifth of what may come at once, less what is kept for containment
    assert 24 <= granted <= 28
