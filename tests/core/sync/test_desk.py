"""The desk: what actions write to incidents goes through the journal to every copy, once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.sync_model import verdict
from tests.sync_world import TENANT, World

from quell.domain.action import Call, Target
from quell.domain.ids import RunId, WorkerId
from quell.domain.incident import Severity, Status
from quell.domain.outcome import Failed, Observed, Pending, Succeeded
from quell.domain.playbook import IncidentEvent
from quell.errors import RequestRefused, Unreachable
from quell.journal import incident_writes, leases
from quell.sync import actions

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pair(world: World) -> World:
    """Give a world with one incident and its copy."""
    world.origin.add("7", tags=frozenset({"old"}))
    await world.sync.pass_once()
    return world


def call_of(world: World, params: Any, key: str = "k1") -> Call[Any]:
    hub = world.hub("7")
    return Call(
        params=params,
        targets=(Target(id=hub.id, kind="incident"),),
        key=key,
        note=f"note {key}",
        deadline=world.clock.now() + timedelta(minutes=1),
        tenant_id=TENANT,
        incident_id=hub.id,
        run_id=RunId("run-1"),
    )


async def test_a_comment_is_on_every_copy_once(pair: World) -> None:
    # given
    incident = pair.hub("7").id

    # when
    first = await pair.sync.desk.comment(incident, "<b>hello</b>", key="k", run_id="r")
    again = await pair.sync.desk.comment(incident, "<b>hello</b>", key="k", run_id="r")
    await pair.settle()

    # then
    assert isinstance(first, Succeeded)
    assert isinstance(again, Succeeded)
    assert len(pair.origin.texts_of("7")) == len(pair.mirror.texts_of(pair.copy_of("7"))) == 1
    assert await pair.sync.desk.has_comment(incident, "k")
    assert not await pair.sync.desk.has_comment(incident, "other")


async def test_a_change_is_on_every_copy_and_names_its_run(pair: World) -> None:
    # given
    incident = pair.hub("7").id

    # when
    outcome = await pair.sync.desk.update(incident, {"severity": "high"}, key="k", run_id="r")

    # then
    assert isinstance(outcome, Succeeded)
    assert pair.origin.fields_of("7").severity is Severity.HIGH
    assert pair.mirror.fields_of(pair.copy_of("7")).severity is Severity.HIGH
    revision = pair.revisions("7")[-1]
    assert (revision.caused_by, revision.depth) == ("r", 1)
    assert IncidentEvent.SEVERITY_CHANGED in revision.events
    await pair.settle()
    assert pair.revisions("7")[-1].revision == revision.revision


async def test_the_same_key_does_not_change_back_what_a_person_changed_since(pair: World) -> None:
    # given
    incident = pair.hub("7").id
    await pair.sync.desk.update(incident, {"severity": "high"}, key="k", run_id="r")
    pair.origin.edit("7", severity=Severity.LOW)
    await pair.settle()

    # when
    await pair.sync.desk.update(incident, {"severity": "high"}, key="k", run_id="r")
    await pair.settle()

    # then
    assert pair.origin.fields_of("7").severity is Severity.LOW


async def test_a_value_that_is_none_of_the_fields_is_refused(pair: World) -> None:
    # given
    incident = pair.hub("7").id

    # when
    outcomes = [
        await pair.sync.desk.update(incident, {"severity": "awful"}, key="k", run_id=None),
        await pair.sync.desk.update(incident, {"colour": "red"}, key="k2", run_id=None),
    ]

    # then
    assert all(isinstance(outcome, Failed) for outcome in outcomes)
    assert len(pair.revisions("7")) == 1


async def test_a_refusal_is_a_failure_with_the_products_reason(pair: World) -> None:
    # given
    pair.mirror.refusals["comment"] = [RequestRefused(endpoint="PUT", problem="too many")]

    # when
    outcome = await pair.sync.desk.comment(pair.hub("7").id, "x", key="k", run_id=None)

    # then
    assert isinstance(outcome, Failed)
    assert "too many" in outcome.reason


async def test_what_is_not_known_yet_is_pending_and_settles_later(pair: World) -> None:
    # given
    incident = pair.hub("7").id
    pair.mirror.silences["comment"] = [Unreachable(endpoint="PUT")]

    # when
    first = await pair.sync.desk.comment(incident, "x", key="k", run_id=None)
    await pair.settle()

    # then
    assert isinstance(first, Pending)
    assert isinstance(await pair.sync.desk.outcome(incident, "k"), Succeeded)
    assert len(pair.mirror.texts_of(pair.copy_of("7"))) == 1


async def test_a_merged_incident_is_written_to_by_its_winner(pair: World) -> None:
    # given
    old = pair.hub("7").id
    pair.origin.add("8")
    pair.origin.merge("7", "8")
    await pair.settle()

    # when
    await pair.sync.desk.comment(old, "to the winner", key="k", run_id=None)

    # then
    assert any("to the winner" in text for text in pair.origin.texts_of("8"))
    assert not any("to the winner" in text for text in pair.origin.texts_of("7"))


async def test_nobody_writes_while_another_worker_holds_the_incident(pair: World) -> None:
    # given
    incident = pair.hub("7").id
    held = leases.claim(TENANT, f"incident/{incident}", WorkerId("other"), timedelta(minutes=5))
    await pair.journal.commit(held)
    pair.origin.edit("7", title="new")

    # when
    await pair.sync.pass_once()
    before = pair.mirror.fields_of(pair.copy_of("7")).title
    pair.clock.advance(minutes=6)
    await pair.sync.pass_once()

    # then
    assert before == "7"
    assert pair.mirror.fields_of(pair.copy_of("7")).title == "new"


async def test_the_comment_action_tells_what_it_has_done(pair: World) -> None:
    # given
    call = call_of(pair, actions.CommentParams(text="hello"))
    target = Target(id=pair.hub("7").id, kind="incident", facts={"key": "k1"})
    assert actions.comment.observe_function is not None

    # when
    before = await actions.comment.observe_function(target, pair.sync.desk)
    outcome = await actions.comment.call(call, pair.sync.desk)
    after = await actions.comment.observe_function(target, pair.sync.desk)

    # then
    assert isinstance(outcome, Succeeded)
    assert (before.state, after.state) == (Observed.NOT_SO, Observed.SO)
    assert after.keys == ("k1",)


async def test_the_update_action_changes_fields_and_tags(pair: World) -> None:
    # given
    params = actions.UpdateParams(
        status=Status.CLOSED,
        classification=verdict("false_positive").classification,
        owner="ada@contoso.example",
        add_tags=["new"],
        remove_tags=["old"],
    )
    call = call_of(pair, params)

    # when
    outcome = await actions.update.call(call, pair.sync.desk)

    # then
    assert isinstance(outcome, Succeeded)
    fields = pair.mirror.fields_of(pair.copy_of("7"))
    assert (fields.status, fields.tags) == (Status.CLOSED, frozenset({"new"}))
    assert fields.owner is not None
    assert fields.owner.upn == "ada@contoso.example"


async def test_an_update_of_nothing_fails(pair: World) -> None:
    # given
    call = call_of(pair, actions.UpdateParams())

    # when
    outcome = await actions.update.call(call, pair.sync.desk)

    # then
    assert isinstance(outcome, Failed)


async def test_a_pending_action_is_polled_to_its_end(pair: World) -> None:
    # given
    pair.mirror.silences["comment"] = [Unreachable(endpoint="PUT")]
    pending = await actions.comment.call(
        call_of(pair, actions.CommentParams(text="x")), pair.sync.desk
    )
    assert isinstance(pending, Pending)
    assert actions.comment.poll_function is not None

    # when
    still = await actions.comment.poll_function(pending.operation, pair.sync.desk)
    await pair.settle()
    done = await actions.comment.poll_function(pending.operation, pair.sync.desk)

    # then
    assert isinstance(still, Pending)
    assert still.operation.id == pending.operation.id
    assert isinstance(done, Succeeded)


async def test_differing_copies_are_not_written_to_for_actions_either(world: World) -> None:
    # given
    world.origin.add("7", title="origin's")
    record = world.mirror.add("m1", title="copy's")
    record.counterpart, record.proofs = ("detector", "7"), frozenset({"detector:7"})
    await world.sync.pass_once()

    # when
    outcome = await world.sync.desk.comment(world.hub("7").id, "x", key="k", run_id=None)

    # then
    assert isinstance(outcome, Failed)
    assert "accept" in outcome.remedy
    assert world.take_calls() == []
    assert not await world.journal.ask(incident_writes.has_open(TENANT))
