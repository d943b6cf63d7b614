"""Two real worker processes on a real Redis: everything is done, each effect exactly once."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.fleet_stage import (
    TENANT,
    Fleet,
    Monitor,
    check_every_effect_is_there_once,
    connect_redis,
    open_runs,
    until,
    workers_that_worked,
)

from quell.domain.run import EffectState, RunState
from quell.journal import effects, runs
from quell.runtime import Runtime


async def check_every_run_has_ended(runtime: Runtime) -> None:
    """See that nothing is left, or unclear; what failed is what the story's tenant refuses."""
    listed = await runtime.journal.ask(runs.listed(TENANT, limit=1000))
    unsettled = [state for state in EffectState if not state.is_settled]
    unclear = [*unsettled, EffectState.UNKNOWN]
    failed = await runtime.journal.ask(effects.listed(TENANT, states=[EffectState.FAILED]))

    assert listed
    assert {run.state for run in listed} <= {RunState.DONE, RunState.FAILED}
    assert await runtime.journal.ask(effects.listed(TENANT, states=unclear)) == []
    # a user above the identity, a device too old, a mailbox outside of the tenant
    refused = {"user.disable", "device.isolate", "mail.purge"}
    assert {row.action for row in failed} <= refused


def ids_in(message: str) -> tuple[list[Any], dict[str, Any]]:
    """Take apart `LPUSH key envelope`, the envelope being what Celery made of a wake-up."""
    envelope = json.loads(message.split(" ", 2)[2].replace("\\\\", "\\"))
    arguments, named, _ = json.loads(base64.b64decode(envelope["body"]))
    return arguments, named


def test_two_workers_finish_everything_and_do_each_effect_exactly_once(
    fleet: Fleet, own_redis: str
) -> None:
    # given
    with fleet.opened() as (runtime, control), Monitor(own_redis) as monitor:
        fleet.start_worker("one")
        fleet.start_worker("two")

        # when
        async def play() -> None:
            await fleet.release(runtime, control, "arrive")
            await fleet.release(runtime, control, "arrive_more")
            await control.play("online")
            await fleet.finish(runtime, control)

        runtime.run(play())
        codes = [fleet.stop_worker(name) for name in ("one", "two")]

        # then
        runtime.run(check_every_run_has_ended(runtime))
        runtime.run(check_every_effect_is_there_once(runtime, control))
        assert len(workers_that_worked(runtime)) == 2
        assert codes == [0, 0]
        known = {run.id for run in runtime.run(open_or_ended(runtime))}
    sent = [ids_in(message) for message in monitor.pushed if "quell.look_at" in message]
    assert sent
    assert {arguments[0] for arguments, _ in sent} == {TENANT}
    assert {arguments[1] for arguments, _ in sent} <= known
    assert all(len(arguments) == 2 and not named for arguments, named in sent)


async def open_or_ended(runtime: Runtime) -> list[runs.RunRow]:
    return await runtime.journal.ask(runs.listed(TENANT, limit=1000))


def test_a_killed_worker_and_a_flushed_redis_cost_time_and_nothing_else(
    fleet: Fleet, own_redis: str
) -> None:
    # given
    with fleet.opened() as (runtime, control):
        fleet.start_worker("one")
        fleet.start_worker("two")

        # when
        async def begin() -> None:
            await fleet.release(runtime, control, "arrive")
            await fleet.release(runtime, control, "arrive_more", wait=False)

            async def is_busy() -> bool:
                return any(run.state is RunState.RUNNING for run in await open_runs(runtime))

            await until(is_busy, "runs are under way")

        runtime.run(begin())
        fleet.kill_worker("one")
        with connect_redis(own_redis) as broker:
            broker.flushall()
        fleet.start_worker("three")

        async def end() -> None:
            await control.play("online")
            await fleet.finish(runtime, control)

        runtime.run(end())

        # then
        runtime.run(check_every_run_has_ended(runtime))
        runtime.run(check_every_effect_is_there_once(runtime, control, was_killed=True))
