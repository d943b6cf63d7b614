"""Driving runs: steps, sets, conditions, bodies, retries, waits, and how runs end."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.engine_world import DEVICE, TENANT, World, failed

from quell.domain.entity import Device, User
from quell.domain.playbook import IncidentEvent
from quell.domain.run import RunState, StepState
from quell.engine import RunRef
from quell.errors import ConnectorError
from quell.journal import playbooks
from quell.journal.tables import commits

pytestmark = pytest.mark.anyio

PC2 = Device(mde_id="e" * 40, dns_name="pc2.example.com", name="pc2")
ANN = User(upn="ann@example.com", name="Ann")
SVC = User(upn="svc-backup@example.com", name="Backup")

NOTE = """\
quell: 1
playbook: note
trigger: {incident: created}
when: incident.severity >= severity.high
steps:
  - id: note
    do: incident.comment
    with: {text: "{{ size(incident.devices) }} devices involved"}
"""
ISOLATE = """\
quell: 1
playbook: contain
trigger: {incident: created}
steps:
  - {id: isolate, do: device.isolate, to: incident.devices}
  - id: note
    do: incident.comment
    after: all.settled
    with: {text: "off {{ names(isolate.done) }} denied {{ names(isolate.denied) }}"}
"""


async def test_a_playbook_starts_and_adds_its_comment(world: World) -> None:
    # when
    ref = await world.run(NOTE, DEVICE, PC2)

    # then
    assert world.row(ref).state is RunState.DONE
    assert list(world.lab.comments.values()) == ["2 devices involved"]
    assert world.woken == [ref]


async def test_every_target_of_a_set_is_acted_on_once_and_later_steps_see_the_results(
    world: World,
) -> None:
    # when
    ref = await world.run(ISOLATE, DEVICE, PC2)

    # then
    assert world.row(ref).state is RunState.DONE
    assert world.lab.accepted[("isolate", "d" * 40)] == 1
    assert world.lab.accepted[("isolate", "e" * 40)] == 1
    assert list(world.lab.comments.values()) == ["off pc1, pc2 denied "]
    assert sorted(row.state.value for row in world.effects(ref)) == ["done", "done", "done"]


async def test_our_key_is_in_what_the_vendor_is_told(world: World) -> None:
    # when
    ref = await world.run(ISOLATE, DEVICE)

    # then
    effect = next(row for row in world.effects(ref) if row.action == "device.isolate")
    assert f"key {effect.key}" in world.lab.notes[0]
    assert world.lab.isolated["d" * 40][1] == (effect.key,)


async def test_what_a_step_found_out_can_be_used_by_the_next(world: World) -> None:
    # given
    text = """\
quell: 1
playbook: accounts
trigger: {incident: created}
steps:
  - {id: facts, do: user.get, to: incident.users}
  - {id: disable, do: user.disable, to: "facts.ok.filter(u, u.is_person)"}
"""

    # when
    ref = await world.run(text, ANN, SVC)

    # then
    assert world.row(ref).state is RunState.DONE
    assert world.lab.disabled == {"ann@example.com"}


async def test_a_condition_that_does_not_hold_skips_the_step(world: World) -> None:
    # given
    text = ISOLATE.replace(
        "to: incident.devices}", 'to: incident.devices, when: "size(incident.users) > 0"}'
    )

    # when
    ref = await world.run(text, DEVICE)

    # then
    assert world.step(ref, "isolate").state is StepState.SKIPPED
    assert world.step(ref, "note").state is StepState.DONE
    assert world.lab.isolated == {}


async def test_steps_follow_the_edges_that_hold_and_no_others(world: World) -> None:
    # given
    text = """\
quell: 1
playbook: edges
trigger: {incident: created}
steps:
  - {id: disable, do: user.disable, to: incident.users}
  - {id: good, do: incident.comment, after: disable.succeeded, with: {text: good}}
  - {id: bad, do: incident.comment, after: disable.failed, with: {text: bad}}
"""
    world.lab.instead["disable"] = [failed("no such account")]

    # when
    ref = await world.run(text, ANN)

    # then
    assert world.row(ref).state is RunState.FAILED
    assert list(world.lab.comments.values()) == ["bad"]
    assert world.step(ref, "good").state is StepState.SKIPPED
    assert "does not hold" in world.step(ref, "good").error


async def test_a_body_runs_once_for_each_item(world: World) -> None:
    # given
    text = """\
quell: 1
playbook: bodies
trigger: {incident: created}
steps:
  - id: each
    for_each: incident.users
    as: one
    steps:
      - {id: off, do: user.disable, to: "[one]"}
      - {id: tell, do: incident.comment, with: {text: "{{ one.upn }}: {{ names(off.done) }}"}}
  - {id: end, do: incident.comment, with: {text: end}}
"""

    # when
    ref = await world.run(text, ANN, SVC)

    # then
    assert world.row(ref).state is RunState.DONE
    assert world.step(ref, "each[1].tell").state is StepState.DONE
    texts = list(world.lab.comments.values())
    assert sorted(texts[:2]) == [
        "ann@example.com: Ann",
        "svc-backup@example.com: Backup",
    ]
    assert texts[2:] == ["end"]


async def test_a_failure_that_may_pass_is_tried_again_and_counted(world: World) -> None:
    # given
    world.lab.instead["isolate"] = [failed("busy", retryable=True, retry_after=30.0)]
    ref = await world.start(ISOLATE, DEVICE)

    # when
    state = await world.engine.drive(ref)

    # then: nothing is held while it waits
    row = world.row(ref)
    assert state is RunState.WAITING
    assert row.owner is None
    assert row.wake_at == world.clock.now() + timedelta(seconds=30)

    # when
    assert await world.finish(ref) is RunState.DONE

    # then
    assert world.lab.accepted[("isolate", "d" * 40)] == 1
    assert len(world.lab.calls) == 3


async def test_a_failure_that_lasts_ends_after_the_declared_attempts(world: World) -> None:
    # given
    text = NOTE.replace("do: incident.comment", "do: lab.look").replace(
        '    with: {text: "{{ size(incident.devices) }} devices involved"}\n',
        "    retry: {attempts: 2, wait: 1s}\n",
    )
    world.lab.instead["look"] = [failed("busy", retryable=True) for _ in range(5)]

    # when
    ref = await world.run(text, DEVICE)

    # then
    assert world.row(ref).state is RunState.FAILED
    assert len(world.lab.calls) == 2
    assert world.step(ref, "note").attempt == 2


async def test_a_wait_holds_nothing_and_outlives_the_process(world: World) -> None:
    # given
    text = NOTE.replace("steps:\n", "steps:\n  - {id: later, wait: 15m}\n")
    ref = await world.start(text, DEVICE)

    # when
    assert await world.engine.drive(ref) is RunState.WAITING
    world.new_engine()
    world.clock.pass_by(minutes=14)

    # then
    assert await world.engine.drive(ref) is RunState.WAITING
    world.clock.pass_by(minutes=2)
    assert await world.engine.drive(ref) is RunState.DONE


async def test_an_expression_without_an_answer_parks_the_run_and_is_never_false(
    world: World,
) -> None:
    # given
    text = ISOLATE.replace(
        "to: incident.devices}", "to: incident.devices, when: \"incident.devices[7].os == 'x'\"}"
    )

    # when
    ref = await world.run(text, DEVICE)

    # then
    row = world.row(ref)
    assert row.state is RunState.PARKED
    assert row.error
    assert [notice.kind for notice in world.notices()] == ["parked"]
    assert world.lab.calls == []


async def test_a_run_keeps_the_version_that_it_started_with(world: World) -> None:
    # given
    ref = await world.start(ISOLATE, DEVICE)

    # when
    world.activate(ISOLATE.replace("device.isolate", "device.release"))
    await world.finish(ref)

    # then
    assert {row.action for row in world.effects(ref)} == {"device.isolate", "incident.comment"}
    listed = world.journal.ask_now(playbooks.listed(TENANT))
    assert sorted(one.is_active for one in listed) == [False, True]


async def test_a_connector_that_refuses_is_a_failure_and_one_that_broke_is_unclear(
    world: World,
) -> None:
    # given
    text = """\
quell: 1
playbook: two
trigger: {incident: created}
steps:
  - {id: revoke, do: user.revoke, to: incident.users}
"""
    world.lab.instead["revoke"] = [
        ConnectorError(endpoint="POST /revoke", status=400),
        ValueError("a bug in the plugin"),
    ]

    # when
    ref = await world.run(text, ANN, SVC)

    # then
    assert sorted(world.results(ref, "revoke")) == ["failed", "unknown"]
    assert "a bug in the plugin" not in str(world.effects(ref))
    assert [notice.kind for notice in world.notices()] == ["page"]


async def test_driving_twice_at_once_does_everything_once(world: World) -> None:
    # given
    ref = await world.start(ISOLATE, DEVICE)

    # when
    await asyncio.gather(*(world.engine.drive(ref) for _ in range(5)))
    await world.finish(ref)

    # then
    assert world.row(ref).state is RunState.DONE
    assert world.lab.repeated() == {}


async def test_a_run_of_three_reading_steps_takes_five_commits(world: World) -> None:
    # given
    text = """\
quell: 1
playbook: reads
trigger: {incident: created}
steps:
  - {id: one, do: lab.look}
  - {id: two, do: lab.look}
  - {id: three, do: lab.look}
"""

    count = sa.select(sa.func.count()).select_from(commits)
    world.activate(text)
    incident_id = world.add_incident(DEVICE)
    revision = world.revise(incident_id, IncidentEvent.CREATED)
    before = world.journal.ask_now(lambda tx: tx.execute(count).scalar_one())

    # when
    (run_id,) = await world.engine.match(revision, world.view(incident_id))
    assert await world.engine.drive(RunRef(TENANT, run_id)) is RunState.DONE

    # then
    after = world.journal.ask_now(lambda tx: tx.execute(count).scalar_one())
    assert after - before == 5
