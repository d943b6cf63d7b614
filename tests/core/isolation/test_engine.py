"""What the engine makes of isolated actions: which run so, and what follows from a lost one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.core.isolation.stage import Plugin, Stage, make_stage
from tests.engine_world import OPERATOR, TENANT, TestClock, World

from quell.domain.entity import Device
from quell.domain.outcome import Failed, Observed, Operation, Succeeded
from quell.domain.run import EffectState
from quell.engine import GuardPolicy, RunRef
from quell.engine.calls import Calls
from quell.isolation.isolation import ChildProcesses, Isolation
from quell.journal import Journal, Write, playbooks
from quell.journal.tables import runs
from quell.playbooks import Catalogue, digest_of, load_playbook
from quell.runtime.clock import SystemClock
from quell.settings import IsolationSettings
from quell.testing import make_target

PC = Device(mde_id="d" * 40, host_name="pc-1", name="pc-1")
CUT_OFF = """\
quell: 1
playbook: contain
trigger: {incident: created}
steps:
  - {id: cut, do: device.cut_off, to: incident.devices}
"""


@pytest.fixture
def world(stage: Stage) -> Iterator[World]:
    """Give an armed tenant whose engine has the stage's plugin and child processes."""
    clock = TestClock()
    journal = Journal.open("sqlite://", clock=clock)
    made = World(journal, clock)
    made.arm()
    made.new_engine(
        registry=stage.calls.registry,
        isolation=stage.isolation_at(clock),
        policy=GuardPolicy(auto=frozenset({"device.cut_off"})),
    )
    yield made
    made.close()
    journal.close()


async def start(world: World, stage: Stage, text: str) -> RunRef:
    """Activate a playbook of the stage's actions, and let an incident start it."""
    catalogue = Catalogue(stage.plugin.registry.actions)
    playbook, digest = load_playbook(text, name="test.yml", catalogue=catalogue), digest_of(text)
    store = playbooks.store(TENANT, playbook.id, digest, text, name="test.yml")
    world.journal.commit_now(store)
    activate = playbooks.activate(TENANT, playbook.id, digest, by="ann", chain=OPERATOR)
    world.journal.commit_now(activate)
    (run_id,) = await world.match(world.add_incident(PC))
    return RunRef(TENANT, run_id)


@pytest.mark.anyio
async def test_an_effect_whose_process_died_is_looked_for_and_not_sent_again(
    stage: Stage, world: World
) -> None:
    # given
    ref = await start(world, stage, CUT_OFF)

    # when
    await world.finish(ref)

    # then
    switch = stage.connectors.get(stage.plugin.module.Switch, "device")
    (effect,) = world.effects(ref)
    assert switch.blocked == [("pc-1", os.getpid())]
    assert effect.state is EffectState.DONE
    assert switch.keys["pc-1"] == effect.vendor_key


async def where(calls: Calls, stage: Stage, name: str) -> Any:
    """Call an action, and tell the number of the process that it ran in."""
    action, call = stage.call(name)
    (outcome,) = await calls.act(action, call, timedelta(seconds=10))
    assert isinstance(outcome, Succeeded)
    return outcome.data["here"]


@pytest.mark.anyio
async def test_an_action_that_asks_for_nothing_runs_in_the_worker(stage: Stage) -> None:
    # then
    assert await where(stage.calls, stage, "device.greet") == os.getpid()


@pytest.mark.anyio
async def test_for_a_suspect_run_every_action_runs_isolated(stage: Stage) -> None:
    # then
    assert await where(stage.calls.isolating_all(), stage, "device.greet") != os.getpid()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "settings",
    [IsolationSettings(actions=("device.greet",)), IsolationSettings(plugins=("switch",))],
    ids=["action", "plugin"],
)
async def test_an_operator_can_have_more_isolated(
    plugin: Plugin, settings: IsolationSettings
) -> None:
    # given
    processes = ChildProcesses(settings, plugin.lock_path)
    stage = make_stage(plugin, processes)

    # when
    number = await where(stage.calls, stage, "device.greet")
    await processes.close()

    # then
    assert number != os.getpid()


@pytest.mark.anyio
async def test_a_plugins_look_ups_are_isolated_with_it(plugin: Plugin, stage: Stage) -> None:
    # given
    resolver = stage.calls.registry.resolver(Device)
    processes = ChildProcesses(IsolationSettings(plugins=("switch",)), plugin.lock_path)
    whole = make_stage(plugin, processes)

    # then
    assert resolver is not None
    assert whole.calls.isolation is not None
    assert whole.calls.isolation.wants_look_up(resolver)
    assert stage.calls.isolation is not None
    assert not stage.calls.isolation.wants_look_up(resolver)


@pytest.mark.anyio
async def test_without_child_processes_an_isolated_action_is_not_called_at_all(
    stage: Stage,
) -> None:
    # given
    calls = Calls(stage.calls.registry, TENANT)
    action, call = stage.call("device.block_port")

    # when
    (outcome,) = await calls.act(action, call, timedelta(seconds=10))
    observation = await calls.observe(action, make_target(PC))
    polled = await calls.poll(action, Operation(id="7"))
    cancelled = await calls.cancel(action, Operation(id="7"))

    # then
    assert isinstance(outcome, Failed)
    assert "only runs in a child process" in outcome.reason
    assert observation is not None
    assert observation.state is Observed.CANNOT_TELL
    assert polled is None
    assert not cancelled
    assert stage.connectors.get(stage.plugin.module.Switch, "device").blocked == []


@pytest.mark.anyio
async def test_what_the_core_itself_does_stays_in_the_worker(stage: Stage) -> None:
    # given an action that no plugin offers
    _, call = stage.call("device.greet")
    own = replace(stage.plugin.action("device.greet"), name="device.wave")

    # when
    (outcome,) = await stage.calls.isolating_all().act(own, call, timedelta(seconds=10))

    # then
    assert isinstance(outcome, Succeeded)
    assert outcome.data["here"] == os.getpid()


@pytest.mark.anyio
@pytest.mark.parametrize("is_stateless", [False, True])
async def test_what_would_forget_with_its_process_is_not_isolated_unasked(
    stage: Stage, is_stateless: bool
) -> None:
    # given actions with a connector that is built wherever it is used, and with a bridged one
    registry = stage.plugin.registry
    built_anew = {
        kind: replace(spec, is_stateless=is_stateless) for kind, spec in registry.connectors.items()
    }
    isolation = Isolation(
        stage.processes,
        replace(registry, connectors=built_anew),
        stage.connectors,
        TENANT,
        SystemClock(),
    )

    # then
    assert isolation.can(stage.plugin.action("device.ask_as_another")) is is_stateless
    assert isolation.can(stage.plugin.action("device.cut_off"))


@pytest.mark.anyio
@pytest.mark.parametrize(("takeovers", "is_isolated"), [(1, False), (2, True)])
async def test_a_run_that_two_workers_died_with_calls_its_actions_in_child_processes(
    stage: Stage, world: World, takeovers: int, is_isolated: bool
) -> None:
    # given
    ref = await start(world, stage, CUT_OFF.replace("device.cut_off", "device.greet"))
    mine = sa.and_(runs.c.tenant_id == TENANT, runs.c.id == ref.run_id)
    counted = sa.update(runs).where(mine).values(takeovers=takeovers)
    world.journal.commit_now(Write(lambda tx: tx.changed(counted)))
    stage.plugin.module.GREETED.clear()

    # when
    await world.finish(ref)

    # then
    (effect,) = world.effects(ref)
    assert effect.state is EffectState.DONE
    assert (effect.vendor_key not in stage.plugin.module.GREETED) is is_isolated
