"""The whole path on every database engine, in real time, and with two workers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.engine_world import DEVICE, TENANT, JournalClock, World

from quell.domain.entity import Device, User
from quell.domain.run import RunState
from quell.engine import Caps, Engine, GuardPolicy, RunRef
from quell.journal import Journal, effects

pytestmark = pytest.mark.anyio

PLAYBOOK = """\
quell: 1
playbook: contain
trigger: {incident: created}
steps:
  - {id: facts, do: user.get, to: incident.users}
  - {id: isolate, do: device.isolate, to: incident.devices}
  - {id: note, do: incident.comment, with: {text: "{{ names(isolate.done) }}"}}
"""


@pytest.fixture
def real(journal: Journal) -> World:
    world = World(journal, JournalClock(journal))
    world.arm()
    return world


async def test_a_run_goes_the_whole_way(real: World) -> None:
    # given
    ref = await real.start(PLAYBOOK, DEVICE, User(upn="ann@example.com"))

    # when
    state = await real.engine.drive(ref)

    # then
    assert state is RunState.DONE
    assert len(real.lab.isolated) == 1
    assert list(real.lab.comments.values()) == ["pc1"]
    real.close()


async def test_two_workers_and_tripled_wake_ups_do_everything_once(
    open_journal: Callable[[], Journal],
) -> None:
    # given
    journal = open_journal()
    world = World(journal, JournalClock(journal))
    world.policy = GuardPolicy(
        auto=frozenset({"device.isolate"}), caps=Caps(per_run=99, per_hour=10, in_flight=99)
    )
    world.arm()
    world.activate(PLAYBOOK)
    refs: list[RunRef] = []
    for number in range(14):
        device = Device(mde_id=f"{number:040}", name=f"pc{number}")
        incident_id = world.add_incident(device, name=f"inc{number}")
        refs += [RunRef(TENANT, run_id) for run_id in await world.match(incident_id)]
    workers: list[Engine] = [world.new_engine(open_journal()) for _ in range(2)]

    # when
    turns = [worker.drive(ref) for _ in range(3) for ref in refs for worker in workers]
    await asyncio.gather(*turns)

    # then: ten are done, four are asked about, none twice
    assert world.lab.repeated() == {}
    assert len(world.lab.isolated) == 10
    rows = journal.ask_now(effects.listed(TENANT))
    assert [row.state.value for row in rows if row.action == "device.isolate"] == ["done"] * 10
    states = sorted(world.row(ref).state.value for ref in refs)
    assert states == ["done"] * 10 + ["waiting"] * 4
    world.close()
