"""The picture of a journal: what waits is in it with its age, what has ended is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.engine_world import DEVICE, TENANT, JournalClock, World

from quell.domain.entity import Device, User
from quell.domain.ids import IncidentId, SourceId, WorkerId
from quell.domain.outcome import Unknown
from quell.domain.playbook import IncidentEvent
from quell.engine import GuardPolicy
from quell.journal import Journal, cursors, leases, workers
from quell.journal.gauges import NEVER, Picture, picture

pytestmark = pytest.mark.anyio

ASKING = """\
quell: 1
playbook: contain
trigger: {incident: created}
when: size(incident.devices) > 0
steps:
  - {id: isolate, do: device.isolate, to: incident.devices}
"""
REVOKING = """\
quell: 1
playbook: revoke
trigger: {incident: created}
when: size(incident.users) > 0
steps:
  - {id: revoke, do: user.revoke, to: incident.users}
"""
ELSEWHERE = "fabrikam"
ME = WorkerId("host/1/a")


@pytest.fixture
def world(journal: Journal) -> World:
    """Give an armed tenant in which everything is asked about first."""
    return World(journal, JournalClock(journal), policy=GuardPolicy())


def taken(world: World) -> Picture:
    return world.journal.ask_now(picture([TENANT, ELSEWHERE]))


async def test_runs_and_questions_are_counted_while_they_are_open(world: World) -> None:
    # given: one run that asks, one that nobody has claimed
    world.arm()
    asking = await world.start(ASKING, DEVICE)
    await world.engine.drive(asking)
    world.add_incident(Device(mde_id="e" * 40), name="inc2")
    await world.match(IncidentId("inc2"))
    world.revise(IncidentId("inc2"), IncidentEvent.UPDATED)

    # when
    seen = taken(world)

    # then
    assert seen.runs == {(TENANT, "waiting"): 1, (TENANT, "queued"): 1}
    assert seen.approvals == {(TENANT,): 1}
    assert 0 < seen.approval_age[TENANT,] < 60
    assert 0 < seen.due_age[TENANT,] < 60
    assert seen.due_age[ELSEWHERE,] == 0
    assert seen.unmatched == {(TENANT,): 1}
    assert 0 < seen.unmatched_age[TENANT,] < 60
    assert seen.switches == {
        (TENANT, "armed"): 1,
        (TENANT, "halted"): 0,
        (ELSEWHERE, "armed"): 0,
        (ELSEWHERE, "halted"): 0,
    }
    world.close()


async def test_what_has_ended_is_not_in_it_and_what_is_unclear_is(world: World) -> None:
    # given: two runs that end, one of them with an effect that nobody can look at
    world.policy = GuardPolicy(auto=frozenset({"device.isolate", "user.revoke"}))
    world.new_engine()
    world.arm()
    await world.engine.drive(await world.start(ASKING, DEVICE))
    world.lab.instead["revoke"] = [Unknown(reason="no answer")]
    await world.engine.drive(await world.start(REVOKING, User(upn="a@b.c"), name="inc2"))

    # when
    seen = taken(world)

    # then
    assert seen.runs == {}
    assert seen.effects == {(TENANT, "unknown"): 1}
    assert seen.due_age[TENANT,] == 0
    world.close()


async def test_a_source_that_was_never_read_to_its_end_lags_without_end(journal: Journal) -> None:
    # given
    source, other = SourceId("defender"), SourceId("sentinel")
    await journal.commit(cursors.finished(TENANT, source))
    await journal.commit(cursors.failed(TENANT, other, "refused"))

    # when
    seen = await journal.ask(picture([TENANT]))

    # then
    assert 0 <= seen.poll_age[TENANT, source] < 60
    assert seen.poll_age[TENANT, other] == NEVER


async def test_duties_are_told_with_their_holder_and_other_leases_are_not(
    journal: Journal,
) -> None:
    # given
    for name in ("duty/poll/defender", "incident/1", "dutz"):
        await journal.commit(leases.claim(TENANT, name, ME, timedelta(minutes=1)))
    await journal.commit(workers.register(ME, host="h", pid=1, version="1.0"))

    # when
    seen = await journal.ask(picture([TENANT]))

    # then
    assert [*seen.duties] == [(TENANT, "poll/defender", ME)]
    assert 0 < seen.duties[TENANT, "poll/defender", ME] <= 60
    assert seen.workers == {("1.0", "live"): 1}
