"""What follows when two entities, or two incidents, turn out to be one."""

from __future__ import annotations

import pytest
from tests.engine_world import TENANT, World

from quell.domain.entity import User
from quell.domain.ids import IncidentId
from quell.domain.incident import Origin
from quell.domain.playbook import IncidentEvent
from quell.domain.run import RunState
from quell.engine import RunRef
from quell.journal import Write, entities, holds, ledger, starts
from quell.journal.entity_rows import move_entities

pytestmark = pytest.mark.anyio

OBJECT = "11111111-2222-4333-8444-555555555555"
ANN = User(upn="ann@example.com", name="Ann")
BEN = User(upn="ben@example.com", name="Ben")
#: the same account under a name that the incident did not have
ANN_BY_OBJECT = User(object_id=OBJECT, name="Ann by object")
ANN_WHOLE = User(object_id=OBJECT, upn="ann@example.com", name="Ann")
PER_USER = """\
quell: 1
playbook: accounts
trigger: {incident: [created, alerts_added], once_per: user}
select: {suspects: "incident.users.filter(u, role.compromised in u.roles)"}
steps:
  - {id: disable, do: user.disable, to: select.suspects}
"""


def observe(world: World, user: User) -> str:
    return world.journal.commit_now(entities.observe(TENANT, user))


async def test_holds_and_ledger_follow_an_account_that_turns_out_to_be_an_older_one(
    world: World,
) -> None:
    # given: an account known by its object alone, and one by its sign-in name that was disabled
    older = observe(world, ANN_BY_OBJECT)
    world.activate(PER_USER)
    incident_id = world.add_incident(ANN)
    (run_id,) = await world.match(incident_id)
    await world.finish(RunRef(TENANT, run_id))
    (hold,) = world.journal.ask_now(holds.listed(TENANT))

    # when: sync sees both names together
    joined = observe(world, ANN_WHOLE)

    # then
    assert joined == older != hold.entity_id
    (moved,) = world.journal.ask_now(holds.listed(TENANT))
    assert (moved.entity_id, moved.owner_id) == (older, hold.owner_id)
    assert await world.match(incident_id, IncidentEvent.ALERTS_ADDED) == []
    assert sum(world.lab.accepted.values()) == 1


async def test_a_run_under_way_still_acts_on_what_it_took_on_under_another_name(
    world: World,
) -> None:
    # given
    observe(world, ANN_BY_OBJECT)
    world.activate(PER_USER)
    incident_id = world.add_incident(ANN)
    (run_id,) = await world.match(incident_id)

    # when
    observe(world, ANN_WHOLE)
    state = await world.finish(RunRef(TENANT, run_id))

    # then
    assert state is RunState.DONE
    assert world.lab.disabled == {"ann@example.com"}


async def test_a_merged_incidents_ledger_counts_for_the_winner(world: World) -> None:
    # given: the loser's playbook has disabled Ann, and only taken Ben on
    world.activate(PER_USER)
    loser, winner = world.add_incident(ANN), world.add_incident(name="inc2")
    (first,) = await world.match(loser)
    await world.finish(RunRef(TENANT, first))
    world.add_entities(loser, BEN)
    (second,) = await world.match(loser, IncidentEvent.ALERTS_ADDED)

    # when
    merge(world, loser, winner)
    begun = await world.match(winner, IncidentEvent.ALERTS_ADDED)

    # then: the winner's run is for Ben alone
    await world.finish(RunRef(TENANT, second))
    assert world.lab.disabled == {"ann@example.com"}
    (third,) = begun
    await world.finish(RunRef(TENANT, third))
    assert world.lab.disabled == {"ann@example.com", "ben@example.com"}
    assert world.lab.repeated() == {}


async def test_a_ledger_follows_an_account_that_was_joined_before_the_merge(world: World) -> None:
    # given
    older = observe(world, ANN_BY_OBJECT)
    world.activate(PER_USER)
    loser, winner = world.add_incident(ANN), world.add_incident(name="inc2")
    (first,) = await world.match(loser)
    await world.finish(RunRef(TENANT, first))
    assert observe(world, ANN_WHOLE) == older

    # when
    merge(world, loser, winner)

    # then
    assert [one.id for one in world.view(winner).entities] == [older]
    assert await world.match(winner, IncidentEvent.ALERTS_ADDED) == []


async def test_a_held_start_waits_on_the_winner_and_is_let_go_there(world: World) -> None:
    # given
    world.activate(PER_USER)
    loser, winner = world.add_incident(ANN), world.add_incident(name="inc2")
    await world.match(loser, origin=Origin.BACKFILL)

    # when
    merge(world, loser, winner)

    # then
    (held,) = world.journal.ask_now(starts.held(TENANT))
    assert held.incident_id == winner
    run_id = await world.engine.release_start("accounts", winner, by="ann")
    assert run_id is not None
    await world.finish(RunRef(TENANT, run_id))
    assert world.lab.disabled == {"ann@example.com"}


def merge(world: World, loser: IncidentId, winner: IncidentId) -> None:
    world.merge(loser, winner)
    world.journal.commit_now(Write(lambda tx: move_entities(tx, TENANT, loser, winner)))
    world.journal.commit_now(Write(lambda tx: ledger.move(tx, TENANT, loser, winner)))
    world.journal.commit_now(Write(lambda tx: ledger.move_held(tx, TENANT, loser, winner)))
