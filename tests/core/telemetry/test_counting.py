"""What the engine counts agrees with what it puts on record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.core.engine.conftest import world as world
from tests.engine_world import DEVICE, TENANT, World

from quell.domain.entity import Device
from quell.domain.outcome import Failed
from quell.journal import runs
from quell.meters import (
    COMMIT_WRITES,
    EFFECT_SECONDS,
    EFFECTS,
    GUARDED,
    RETRIES,
    RUN_WAIT,
    RUNS_ENDED,
    TAKEOVERS,
    Counter,
)

pytestmark = pytest.mark.anyio

PLAYBOOK = """\
quell: 1
playbook: contain
trigger: {incident: created}
steps:
  - {id: isolate, do: device.isolate, to: incident.devices, retry: {attempts: 2, wait: 1s}}
"""
Since = Callable[[Counter], dict[tuple[str, ...], float]]


@pytest.fixture
def since() -> Since:
    """Give what a counter has counted since the test began: counters are the process's."""
    counters = (EFFECTS, GUARDED, RETRIES, RUNS_ENDED, TAKEOVERS)
    before = {counter.name: counter.read() for counter in counters}

    def read(counter: Counter) -> dict[tuple[str, ...], float]:
        then = before[counter.name]
        return {
            key: number - then.get(key, 0)
            for key, number in counter.read().items()
            if number != then.get(key, 0)
        }

    return read


async def test_a_retried_effect_counts_as_one_effect_and_one_retry(
    world: World, since: Since
) -> None:
    # given
    world.lab.instead["isolate"] = [Failed(reason="busy", retryable=True)]
    waits = sum(sum(one.counts) for one in RUN_WAIT.read().values())
    spread = sum(sum(one.counts) for one in EFFECT_SECONDS.read().values())

    # when
    await world.run(PLAYBOOK, DEVICE)

    # then
    assert since(EFFECTS) == {(TENANT, "device.isolate", "done"): 1}
    assert since(RETRIES) == {(TENANT, "device.isolate"): 1}
    assert since(RUNS_ENDED) == {(TENANT, "done"): 1}
    assert sum(sum(one.counts) for one in RUN_WAIT.read().values()) == waits + 1
    assert sum(sum(one.counts) for one in EFFECT_SECONDS.read().values()) == spread + 1


async def test_a_halt_counts_as_denied_with_its_reason(world: World, since: Since) -> None:
    # given
    world.halt()

    # when
    await world.run(PLAYBOOK, DEVICE, Device(mde_id="e" * 40, dns_name="pc2.example.com"))

    # then
    assert since(GUARDED)[TENANT, "device.isolate", "denied", "halted"] == 2
    assert since(EFFECTS) == {(TENANT, "device.isolate", "denied"): 2}


async def test_a_takeover_counts_and_a_first_claim_does_not(world: World, since: Since) -> None:
    # given: a worker claims a run and is never heard of again
    ref = await world.start(PLAYBOOK, DEVICE)
    lost = runs.claim(ref, world.engines[0]._shell.worker, timedelta(seconds=20))  # pyright: ignore[reportPrivateUsage] # the dead worker's name
    await world.journal.commit(lost)
    assert since(TAKEOVERS) == {}
    world.clock.pass_by(minutes=1)

    # when
    world.new_engine()
    await world.finish(ref)

    # then
    assert since(TAKEOVERS) == {(TENANT,): 1}


async def test_each_commit_counts_with_its_writes(world: World) -> None:
    # given
    (before,) = COMMIT_WRITES.read().values()

    # when
    world.halt()

    # then
    (after,) = COMMIT_WRITES.read().values()
    assert sum(after.counts) == sum(before.counts) + 1
    assert after.total == before.total + 1
