"""Whose word may set off containment: the product that detects, and those that policy names."""

from __future__ import annotations

import msgspec
import pytest
from tests.engine_world import DEVICE, TENANT, TestClock, World

from quell.domain.entity import Device
from quell.domain.ids import SourceId
from quell.domain.incident import Origin, Severity
from quell.domain.playbook import IncidentEvent
from quell.domain.run import RunState
from quell.domain.view import CopyView
from quell.engine import GuardPolicy, RunRef
from quell.journal import Journal, entities
from quell.journal.tables import incident_entities
from quell.journal.writer import Write

pytestmark = pytest.mark.anyio

CONTAIN = """\
quell: 1
playbook: contain
trigger: {incident: [created, severity_changed, alerts_added]}
when: incident.severity >= severity.high
steps:
  - {id: isolate, do: device.isolate, to: incident.devices}
"""
NOTE = """\
quell: 1
playbook: note
trigger: {incident: [created, severity_changed]}
when: incident.severity >= severity.high
steps:
  - {id: note, do: incident.comment, with: {text: hello}}
"""
TWO_STEPS = """\
quell: 1
playbook: two_steps
trigger: {incident: created}
steps:
  - {id: one, do: device.isolate, to: "incident.devices.filter(d, d.name == 'pc1')"}
  - {id: two, do: device.isolate, to: "incident.devices.filter(d, d.name == 'pc2')"}
"""
STEP = """\
quell: 1
playbook: careful
trigger: {incident: created}
steps:
  - {id: note, do: incident.comment, with: {text: "{{ incident.severity }}"}}
  - id: isolate
    do: device.isolate
    to: incident.devices
    when: incident.severity >= severity.high
"""


async def test_a_severity_that_nobody_vouched_for_starts_remarks_and_no_containment(
    world: World,
) -> None:
    # given
    world.activate(CONTAIN)
    world.activate(NOTE)
    incident_id = world.add_incident(DEVICE, vouched=Severity.LOW)

    # when
    begun = await world.match(incident_id, IncidentEvent.SEVERITY_CHANGED)

    # then
    assert [world.row(RunRef(TENANT, one)).playbook_id for one in begun] == ["note"]


async def test_why_says_that_the_value_was_not_the_detecting_products(world: World) -> None:
    # given
    world.activate(CONTAIN)
    incident_id = world.add_incident(DEVICE, vouched=Severity.LOW)
    revision = world.revise(incident_id, IncidentEvent.SEVERITY_CHANGED)

    # when
    answers = await world.engine.explain(revision, world.view(incident_id))

    # then
    assert "sync.authority" in getattr(answers["contain"], "reason", "")


async def test_an_incident_that_nobody_who_is_believed_spoke_of_starts_no_containment(
    world: World,
) -> None:
    # given
    world.activate(CONTAIN.replace("when: incident.severity >= severity.high\n", ""))
    incident_id = world.add_incident(DEVICE, vouched=None)

    # when
    begun = await world.match(incident_id, source_id="mirror")

    # then
    assert begun == []


@pytest.mark.parametrize(("named", "count"), [(frozenset[str](), 0), (frozenset({"mirror"}), 1)])
async def test_a_change_in_a_mirror_is_no_trigger_unless_policy_names_it(
    named: frozenset[str], count: int
) -> None:
    # given: severity is high by the product that detects, and a mirror's user touched it
    clock = TestClock()
    journal = Journal.open("sqlite://", clock=clock)
    policy = GuardPolicy(auto=frozenset({"device.isolate"}), authority=named | {"origin"})
    world = World(journal, clock, policy=policy)
    world.arm()
    world.activate(CONTAIN)
    incident_id = world.add_incident(DEVICE)
    revision = world.revise(incident_id, IncidentEvent.SEVERITY_CHANGED, source_id="mirror")
    copy = CopyView(source_id=SourceId("origin"), system="detector", native_id="7")
    view = msgspec.structs.replace(world.view(incident_id), copies=(copy,))

    # when
    begun = await world.engine.match(revision, view)

    # then
    assert len(begun) == count
    world.close()
    journal.close()


@pytest.mark.parametrize(("source_id", "count"), [("mirror", 0), ("origin", 1)])
async def test_a_runs_change_has_the_authority_of_what_had_started_the_run(
    source_id: str, count: int
) -> None:
    # given: a comment starts a remark, and remarks start containment
    clock = TestClock()
    journal = Journal.open("sqlite://", clock=clock)
    policy = GuardPolicy(auto=frozenset({"device.isolate"}), authority=frozenset({"origin"}))
    world = World(journal, clock, policy=policy)
    world.arm()
    world.activate(NOTE.replace("created, severity_changed", "comment_added"))
    incident_id = world.add_incident(DEVICE)
    copy = CopyView(source_id=SourceId("origin"), system="detector", native_id="7")
    view = msgspec.structs.replace(world.view(incident_id), copies=(copy,))
    said = world.revise(incident_id, IncidentEvent.COMMENT_ADDED, source_id=source_id)
    (run_id,) = await world.engine.match(said, view)
    world.activate(CONTAIN.replace("created, severity_changed, alerts_added", "comment_added"))

    # when
    echo = world.revise(incident_id, IncidentEvent.COMMENT_ADDED, caused_by=run_id, depth=1)
    begun = await world.engine.match(echo, view)

    # then
    assert len(begun) == count
    world.close()
    journal.close()


async def test_a_steps_condition_reads_what_was_vouched_for_and_its_text_what_is_shown(
    world: World,
) -> None:
    # given
    world.activate(STEP)
    incident_id = world.add_incident(DEVICE, vouched=Severity.LOW)

    # when
    (run_id,) = await world.match(incident_id)
    await world.finish(RunRef(TENANT, run_id))

    # then
    assert world.lab.isolated == {}
    assert list(world.lab.comments.values()) == ["high"]


async def test_a_run_that_a_person_let_go_reads_what_is_shown(world: World) -> None:
    # given
    world.activate(STEP)
    incident_id = world.add_incident(DEVICE, vouched=Severity.LOW)
    await world.match(incident_id, origin=Origin.BACKFILL)

    # when
    run_id = await world.engine.release_start("careful", incident_id, by="ann")
    assert run_id is not None
    state = await world.finish(RunRef(TENANT, run_id))

    # then
    assert state is RunState.DONE
    assert len(world.lab.isolated) == 1


async def test_a_target_that_left_the_incident_before_the_effect_is_asked_about(
    world: World,
) -> None:
    # given
    other = Device(mde_id="e" * 40, dns_name="pc2.example.com", name="pc2")
    ref = await world.start(TWO_STEPS, DEVICE, other)
    pc2 = world.journal.commit_now(entities.observe(TENANT, other))
    leave = incident_entities.delete().where(incident_entities.c.entity_id == pc2)

    # when: its alert moves away while the first step is at work
    def go(moment: str) -> None:
        if moment == "isolate after":
            world.journal.commit_now(Write(lambda tx: tx.changed(leave)))

    world.lab.at_await = go
    await world.finish(ref)

    # then
    assert list(world.lab.isolated) == [DEVICE.mde_id]
    (approval,) = world.snapshot(ref).approvals
    assert {reason.code for target in approval.question.targets for reason in target.reasons} == {
        "no_evidence"
    }
