"""What starts, how often, and what is held until a person lets it go."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.engine_world import DEVICE, OPERATOR, TENANT, World

from quell.domain.entity import Device, User
from quell.domain.incident import Origin
from quell.domain.playbook import IncidentEvent
from quell.domain.run import RunState
from quell.engine import RunRef
from quell.errors import NotFoundError
from quell.journal import incidents, playbooks, runs, starts

pytestmark = pytest.mark.anyio

PC2 = Device(mde_id="e" * 40, dns_name="pc2.example.com", name="pc2")
ANN = User(upn="ann@example.com", name="Ann")
BEN = User(upn="ben@example.com", name="Ben")

NOTE = """\
quell: 1
playbook: note
trigger: {incident: [created, alerts_added]}
steps:
  - {id: note, do: incident.comment, with: {text: hello}}
"""
CONTAIN = """\
quell: 1
playbook: contain
trigger: {incident: [created, alerts_added]}
steps:
  - {id: isolate, do: device.isolate, to: incident.devices}
"""
PER_USER = """\
quell: 1
playbook: accounts
trigger: {incident: [created, alerts_added], once_per: user}
select: {suspects: "incident.users.filter(u, role.compromised in u.roles)"}
steps:
  - {id: facts, do: user.get, to: select.suspects}
  - {id: disable, do: user.disable, to: facts.ok}
"""


async def test_a_playbook_starts_once_for_an_incident(world: World) -> None:
    # given
    world.activate(CONTAIN)
    incident_id = world.add_incident(DEVICE)

    # when
    first = await world.match(incident_id)
    second = await world.match(incident_id, IncidentEvent.ALERTS_ADDED)

    # then
    assert (len(first), second) == (1, [])
    assert world.journal.ask_now(incidents.unmatched(TENANT)) == []


async def test_matching_the_same_revision_again_starts_nothing(world: World) -> None:
    # given
    world.activate(CONTAIN)
    incident_id = world.add_incident(DEVICE)
    revision = world.revise(incident_id, IncidentEvent.CREATED)
    view = world.view(incident_id)

    # when
    begun = [await world.engine.match(revision, view) for _ in range(3)]

    # then
    assert [len(one) for one in begun] == [1, 0, 0]


async def test_it_starts_at_the_first_revision_where_trigger_and_condition_hold(
    world: World,
) -> None:
    # given
    world.activate(CONTAIN.replace("steps:", 'when: "size(incident.devices) > 1"\nsteps:'))
    incident_id = world.add_incident(DEVICE)

    # when
    first = await world.match(incident_id)
    other = await world.match(incident_id, IncidentEvent.STATUS_CHANGED)
    world.add_entities(incident_id, PC2)
    second = await world.match(incident_id, IncidentEvent.ALERTS_ADDED)

    # then
    assert (first, other, len(second)) == ([], [], 1)


async def test_only_activated_content_runs(world: World) -> None:
    # given
    world.activate(CONTAIN)
    write = playbooks.deactivate(TENANT, "contain", by="ann", chain=OPERATOR)
    world.journal.commit_now(write)

    # when
    begun = await world.match(world.add_incident(DEVICE))

    # then
    assert begun == []


async def test_later_revisions_act_only_on_entities_that_nobody_acted_on(world: World) -> None:
    # given
    world.activate(PER_USER)
    incident_id = world.add_incident(ANN)
    (first,) = await world.match(incident_id)
    await world.finish(RunRef(TENANT, first))

    # when: an alert names another account, and one that is not suspected
    world.add_entities(incident_id, BEN)
    world.add_entities(incident_id, User(upn="eve@example.com"), roles=["contextual"])
    (second,) = await world.match(incident_id, IncidentEvent.ALERTS_ADDED)
    await world.finish(RunRef(TENANT, second))
    third = await world.match(incident_id, IncidentEvent.ALERTS_ADDED)

    # then
    assert third == []
    assert world.lab.disabled == {"ann@example.com", "ben@example.com"}
    assert world.lab.repeated() == {}
    results = world.results(RunRef(TENANT, second), "facts")
    assert {name: len(ids) for name, ids in results.items()} == {"done": 1, "skipped": 1}


async def test_changes_that_its_own_run_made_start_nothing(world: World) -> None:
    # given
    world.activate(PER_USER)
    incident_id = world.add_incident(ANN)
    (first,) = await world.match(incident_id)
    world.add_entities(incident_id, BEN)

    # when
    own = await world.match(incident_id, IncidentEvent.ALERTS_ADDED, caused_by=first, depth=1)
    other = await world.match(incident_id, IncidentEvent.ALERTS_ADDED, caused_by="else", depth=1)

    # then
    assert (own, len(other)) == ([], 1)


async def test_a_chain_of_causes_comes_to_an_end(world: World) -> None:
    # given
    world.activate(CONTAIN)
    incident_id = world.add_incident(DEVICE)

    # when
    deep = await world.match(incident_id, caused_by="x", depth=3)
    shallow = await world.match(incident_id, caused_by="x", depth=2)

    # then
    assert (deep, len(shallow)) == ([], 1)
    assert world.row(RunRef(TENANT, shallow[0])).depth == 2


@pytest.mark.parametrize(
    "how", [{"origin": Origin.BACKFILL}, {"origin": Origin.ADOPTION}, {"age": timedelta(hours=3)}]
)
async def test_what_is_not_live_or_too_old_is_held_and_remarks_are_not(
    world: World, how: dict[str, object]
) -> None:
    # given
    world.activate(CONTAIN)
    world.activate(NOTE)
    incident_id = world.add_incident(DEVICE)

    # when
    begun = await world.match(incident_id, **how)

    # then
    (held,) = world.journal.ask_now(starts.held(TENANT))
    assert held.playbook_id == "contain"
    assert held.reason
    assert [world.row(RunRef(TENANT, one)).playbook_id for one in begun] == ["note"]


async def test_a_held_start_is_let_go_by_command_and_then_acts(world: World) -> None:
    # given
    world.activate(CONTAIN)
    incident_id = world.add_incident(DEVICE)
    await world.match(incident_id, origin=Origin.BACKFILL)

    # when
    run_id = await world.engine.release_start("contain", incident_id, by="ann")

    # then
    assert run_id is not None
    assert await world.finish(RunRef(TENANT, run_id)) is RunState.DONE
    assert len(world.lab.isolated) == 1
    assert world.journal.ask_now(starts.held(TENANT)) == []
    with pytest.raises(NotFoundError):
        await world.engine.release_start("contain", incident_id, by="ann")


async def test_a_condition_without_an_answer_is_held_and_somebody_is_told(world: World) -> None:
    # given
    text = CONTAIN.replace("steps:", "when: incident.devices[5].os == 'x'\nsteps:")
    world.activate(text)

    # when
    begun = await world.match(world.add_incident(DEVICE))

    # then
    assert begun == []
    assert len(world.journal.ask_now(starts.held(TENANT))) == 1
    assert [notice.kind for notice in world.notices()] == ["page"]


async def test_a_merged_incident_starts_nothing(world: World) -> None:
    # given
    world.activate(CONTAIN)
    loser, winner = world.add_incident(DEVICE), world.add_incident(name="inc2")
    world.merge(loser, winner)

    # when / then
    assert await world.match(loser) == []


async def test_every_playbook_says_why_it_does_not_start(world: World) -> None:
    # given
    world.activate(CONTAIN)
    world.activate(NOTE)
    incident_id = world.add_incident(DEVICE)
    revision = world.revise(incident_id, IncidentEvent.OWNER_CHANGED)

    # when
    reasons = await world.engine.explain(revision, world.view(incident_id))

    # then
    assert set(reasons) == {"contain", "note"}
    assert all("owner_changed" in getattr(one, "reason", "") for one in reasons.values())
    assert world.journal.ask_now(runs.listed(TENANT)) == []
