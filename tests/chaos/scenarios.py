"""What is done to a fleet at work: each scenario is one round of trouble, played again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.chaos.proxy import Proxy
from tests.chaos.servers import STOPS, Stop
from tests.chaos.stage import Stage
from tests.chaos.workers import Worker
from tests.fleet_stage import TENANT

from quell.journal import leases, workers

__all__ = ["EVERYTHING", "SCENARIOS", "Scenario", "find"]

#: longer than any lease: whoever was stopped has lost everything when it goes on
PAST_THE_LEASE = 26.0
#: lease, call time-out and settle time of an action, and then some: by then it is sent again
GIVEN_UP = 110.0
#: one death in so many has its time: nothing else goes wrong until its runs are in other hands
ALONE_EVERY = 8
Round = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of trouble. Every round leaves everything healed."""

    name: str
    round: Round
    #: whether calls at the tenant may fail for good, which the journal then says
    may_refuse: bool = False
    #: workers of the released version, beside which today's begin; one that dies is upgraded
    released: int = 0
    #: how often each wake-up is sent
    wake_ups: int = 1
    #: a network that delivers a request after everybody gave it up: what comes of it is measured
    in_window: bool = False
    #: the scenarios that this one plays in turn, if it is made of several
    parts: tuple[str, ...] = ()


async def kill(stage: Stage) -> None:
    """Kill a worker at a random moment; another is started in its place."""
    await stage.nap(0.2, 3)
    is_alone = stage.kills % ALONE_EVERY == 0
    if is_alone:
        await stage.watch.close()
    stage.kill(await stage.pick(leaving=1))
    if is_alone:  # how long does it take when nothing else goes wrong?
        await stage.watch.close()


async def kill_all(stage: Stage) -> None:
    """Kill every worker at once, as a power failure would."""
    await stage.nap(2, 6)
    for worker in stage.workers:
        stage.kill(worker)
    await stage.all_up()


async def stop_and_go_on(stage: Stage) -> None:
    """Stop a worker past its lease, so that others take over, then let it go on."""
    await stage.nap(0.5, 2)
    worker = await stage.pick(leaving=1)
    worker.stop()
    stage.watch.follow(worker.pid, lambda: not worker.is_stopped)
    await asyncio.sleep(PAST_THE_LEASE)
    worker.go_on()
    await stage.nap(1, 3)


async def kill_duty_holder(stage: Stage) -> None:
    """Kill whoever holds the sweep or the timers."""
    await stage.nap(0.5, 2)
    await stage.working(len(stage.workers))
    held = await stage.journal.ask(leases.listed(TENANT))
    owners = [one.owner for one in held if one.name in {"duty/sweep", "duty/tend"}]
    rows = await stage.journal.ask(workers.listed())
    pids = {row.pid for row in rows if row.id in owners}
    for worker in stage.workers:
        if worker.is_alive and worker.pid in pids:
            stage.kill(worker)


async def flush_redis(stage: Stage) -> None:
    """Throw away every wake-up, and all that is known of quotas."""
    await stage.nap(0.5, 2)
    stage.servers.redis.flush()


async def restart_redis(stage: Stage) -> None:
    """Take Redis away for some seconds; it comes back empty."""
    await stage.nap(0.5, 2)
    stage.servers.redis.stop()
    await stage.nap(0.5, 6)
    stage.servers.redis.start()
    await stage.nap(1, 3)


async def freeze_redis(stage: Stage) -> None:
    """Let Redis hang for some seconds."""
    await stage.nap(0.5, 2)
    stage.servers.redis.freeze()
    await stage.nap(2, 12)
    stage.servers.redis.thaw()
    await stage.nap(1, 3)


async def starve_redis(stage: Stage) -> None:
    """Fill Redis up: it refuses what is sent, or throws away what waits."""
    await stage.nap(0.5, 2)
    policy = stage.random.choice(["noeviction", "allkeys-random"])
    await asyncio.to_thread(stage.servers.redis.starve, policy)
    await stage.nap(3, 8)
    await asyncio.to_thread(stage.servers.redis.feed)
    await stage.nap(1, 2)


async def restart_postgres(stage: Stage) -> None:
    """Restart the database in mid-work, in good order or as if power was lost."""
    await stage.nap(1, 3)
    how: Stop = stage.random.choice(STOPS)
    await asyncio.to_thread(stage.servers.postgres.stop, how)
    await stage.nap(0.2, 5)
    await asyncio.to_thread(stage.servers.postgres.start)
    await stage.nap(1, 4)


async def storm_postgres(stage: Stage) -> None:
    """Break sessions off, and take every connection that is free."""
    await stage.nap(0.5, 2)
    postgres = stage.servers.postgres
    await asyncio.to_thread(postgres.end_sessions, stage.database)
    taken = await asyncio.to_thread(postgres.take_connections)
    await stage.nap(1, 6)
    for conn in taken:
        conn.close()
    await stage.nap(1, 2)


async def slow_postgres(stage: Stage) -> None:
    """Let the database answer slowly, for some of the workers."""
    slowed = stage.random.sample(stage.workers, stage.random.randint(1, len(stage.workers)))
    for worker in slowed:
        worker.lines.postgres.slow(stage.random.uniform(0.01, 0.3))
    await stage.nap(3, 8)
    for worker in slowed:
        worker.lines.postgres.heal()
    await stage.nap(1, 3)


async def fill_disk(stage: Stage) -> None:
    """Let the database find no room for new rows."""
    await stage.nap(1, 2)
    await asyncio.to_thread(stage.servers.postgres.fill_disk)
    await stage.nap(2, 5)
    await asyncio.to_thread(stage.servers.postgres.free_disk)
    await stage.nap(1, 3)


async def wake_thrice(stage: Stage) -> None:
    """Send every wake-up again, also for what has ended long ago."""
    await stage.nap(1, 3)
    await stage.load.wake_again(1)


async def deliver_late(stage: Stage) -> None:
    """Hold a worker's requests back until others have given them up for lost, and kill it."""
    await stage.nap(0.5, 2)
    worker = await stage.pick(leaving=1)
    worker.lines.tenant.freeze()
    await stage.nap(1, 2)
    stage.kill(worker)
    await asyncio.sleep(GIVEN_UP)
    worker.lines.tenant.heal()
    await stage.nap(1, 3)


def split(line_of: Callable[[Worker], Proxy]) -> Round:
    """Give a scenario that cuts one worker off from one thing, and from that alone."""

    async def play(stage: Stage) -> None:
        await stage.nap(0.5, 2)
        line = line_of(await stage.pick())
        if stage.random.random() < 0.5:
            line.cut()
        else:
            line.freeze()
        await stage.nap(3, 28)
        line.heal()
        await stage.nap(1, 3)

    return play


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(name="kill", round=kill),
    Scenario(name="kill-all", round=kill_all),
    Scenario(name="stop", round=stop_and_go_on),
    Scenario(name="duties", round=kill_duty_holder),
    Scenario(name="redis-flush", round=flush_redis),
    Scenario(name="redis-restart", round=restart_redis),
    Scenario(name="redis-freeze", round=freeze_redis),
    Scenario(name="redis-starve", round=starve_redis),
    Scenario(name="postgres-restart", round=restart_postgres),
    Scenario(name="postgres-storm", round=storm_postgres),
    Scenario(name="postgres-slow", round=slow_postgres),
    Scenario(name="disk-full", round=fill_disk),
    Scenario(name="wake-ups", round=wake_thrice, wake_ups=3),
    Scenario(name="versions", round=kill, released=2),
    Scenario(name="split-redis", round=split(lambda one: one.lines.redis)),
    Scenario(name="split-postgres", round=split(lambda one: one.lines.postgres)),
    Scenario(name="split-tenant", round=split(lambda one: one.lines.tenant), may_refuse=True),
    Scenario(name="late-network", round=deliver_late, may_refuse=True, in_window=True),
)


def find(name: str) -> Scenario:
    """Give a scenario by its name."""
    return next(one for one in SCENARIOS if one.name == name)


#: what the short form plays: all that differs for one fleet, the rarest first
PARTS = (
    "stop",
    "duties",
    "kill",
    "redis-flush",
    "redis-restart",
    "redis-freeze",
    "redis-starve",
    "postgres-restart",
    "postgres-storm",
    "postgres-slow",
    "disk-full",
    "wake-ups",
    "split-redis",
    "split-postgres",
    "split-tenant",
)


async def everything(stage: Stage) -> None:
    """Play the next part."""
    await find(PARTS[stage.faults % len(PARTS)]).round(stage)


EVERYTHING = Scenario(name="everything", round=everything, parts=PARTS, wake_ups=3, may_refuse=True)
