"""Passes over two products: what appears or changes on one side is on the other afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sync_model import verdict
from tests.sync_world import TENANT, World

from quell.domain.entity import Device, Evidence, EvidenceRole, EvidenceVerdict
from quell.domain.hub import WriteState
from quell.domain.incident import Alert, Origin, Owner, Severity, Status
from quell.domain.playbook import IncidentEvent
from quell.errors import (
    BadAnswer,
    RequestRefused,
    ServerFailure,
    Throttled,
    Unreachable,
    WriteConflict,
)
from quell.journal import conflicts, cursors, incidents, notices

pytestmark = pytest.mark.anyio

DEVICE = Device(name="ws-1", mde_id="a" * 40, host_name="ws-1")
ALERT = Alert(
    id="alert-1",
    title="Something <b>bad</b>\u202e ran",
    severity=Severity.HIGH,
    product="endpoint",
    evidence=(
        Evidence(
            entity=DEVICE,
            roles=(EvidenceRole.COMPROMISED,),
            verdict=EvidenceVerdict.MALICIOUS,
        ),
    ),
)

CHANGES: list[tuple[str, Any]] = [
    ("title", "another title"),
    ("description", "what happened"),
    ("severity", Severity.HIGH),
    ("status", Status.ACTIVE),
    ("owner", Owner(upn="ada@contoso.example")),
    ("verdict", verdict("true_positive")),
    ("closing_comment", "all clear"),
    ("tags", frozenset({"vip", "ä tag"})),
]


async def test_an_incident_gets_one_copy_with_all_its_fields(world: World) -> None:
    # given
    world.origin.add("7", description="d", severity=Severity.HIGH, tags=frozenset({"a"}))

    # when
    await world.sync.pass_once()

    # then
    assert len(world.mirror.records) == 1
    assert world.mirror.fields_of(world.copy_of("7")).title == "7"
    assert await world.disagreements() == ()


async def test_a_second_pass_writes_nothing(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.say("7", "look at this")
    await world.sync.pass_once()
    world.take_calls()

    # when
    report = await world.sync.pass_once()

    # then
    assert world.take_calls() == []
    assert (report.revisions, report.applied, report.is_quiet) == (0, 0, True)


@pytest.mark.parametrize(("name", "value"), CHANGES)
async def test_a_change_at_the_origin_reaches_the_copy(world: World, name: str, value: Any) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()

    # when
    world.origin.edit("7", **{name: value})
    await world.sync.pass_once()

    # then
    assert getattr(world.mirror.fields_of(world.copy_of("7")), name) == value
    assert await world.disagreements() == ()


@pytest.mark.parametrize(("name", "value"), CHANGES)
async def test_a_change_in_the_copy_reaches_the_origin(world: World, name: str, value: Any) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()

    # when
    world.mirror.edit(world.copy_of("7"), **{name: value})
    await world.sync.pass_once()

    # then
    assert getattr(world.origin.fields_of("7"), name) == value
    assert await world.disagreements() == ()


async def test_what_a_copy_cannot_hold_does_not_come_back(world: World) -> None:
    # given
    world.origin.add("7", verdict=verdict("true_positive", "phishing"), description="x" * 200)
    await world.sync.pass_once()

    # when
    world.mirror.edit(world.copy_of("7"), status=Status.ACTIVE)
    await world.sync.pass_once()

    # then
    fields = world.origin.fields_of("7")
    assert fields.verdict == verdict("true_positive", "phishing")
    assert fields.description == "x" * 200
    assert fields.status is Status.ACTIVE


async def test_a_comment_is_mirrored_once_in_each_direction(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    copy = world.copy_of("7")

    # when
    world.origin.say("7", "from the origin", author="Ada")
    world.mirror.say(copy, "from the copy", author="Bob")
    await world.sync.pass_once()
    await world.sync.pass_once()

    # then
    assert len(world.origin.texts_of("7")) == len(world.mirror.texts_of(copy)) == 2
    there = next(text for text in world.mirror.texts_of(copy) if "from the origin" in text)
    assert "Ada wrote in detector" in there


async def test_a_long_comment_is_mirrored_in_parts(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.say("7", "word " * 500)

    # when
    await world.sync.pass_once()

    # then
    texts = world.mirror.texts_of(world.copy_of("7"))
    assert len(texts) > 1
    assert "".join(texts).count("word") == 500


async def test_quoting_one_of_our_comments_is_a_comment_of_its_own(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.say("7", "original")
    await world.sync.pass_once()
    copy = world.copy_of("7")

    # when
    world.mirror.say(copy, world.mirror.texts_of(copy)[0] + " I agree")
    await world.sync.pass_once()

    # then
    assert any("I agree" in text for text in world.origin.texts_of("7"))


async def test_an_edited_comment_is_told_onward_once(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    copy = world.copy_of("7")
    world.mirror.say(copy, "first")
    await world.sync.pass_once()

    # when
    record = world.mirror.records[copy]
    record.comments[0] = type(record.comments[0])(
        key=record.comments[0].key, text="second", author="Ada"
    )
    world.mirror.touch(record)
    await world.sync.pass_once()
    await world.sync.pass_once()

    # then
    texts = world.origin.texts_of("7")
    assert len(texts) == 2
    assert "first" in texts[0]
    assert "second" in texts[1]


async def test_alerts_and_evidence_are_told_to_our_copy(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.raise_alert("7", ALERT)

    # when
    await world.sync.pass_once()

    # then
    (text,) = world.mirror.texts_of(world.copy_of("7"))
    assert "alert-1" in text
    assert "ws-1" in text
    assert "compromised" in text
    assert "\u202e" not in text
    assert world.origin.texts_of("7") == []


async def test_a_later_alert_is_an_event_and_is_told_once(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.raise_alert("7", ALERT)
    await world.sync.pass_once()

    # when
    world.origin.raise_alert("7", Alert(id="alert-2", title="more"))
    await world.sync.pass_once()

    # then
    assert world.revisions("7")[-1].events == (IncidentEvent.UPDATED, IncidentEvent.ALERTS_ADDED)
    assert [text.count("alert-1") for text in world.mirror.texts_of(world.copy_of("7"))] == [1, 0]
    assert await world.disagreements() == ()


async def test_entities_of_alerts_are_part_of_the_incident(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.raise_alert("7", ALERT)

    # when
    await world.sync.pass_once()

    # then
    view = world.journal.ask_now(incidents.view(TENANT, world.hub("7").id))
    (entity,) = view.entities
    assert (entity.entity, entity.roles, entity.verdict) == (DEVICE, ("compromised",), "malicious")
    assert entity.alerts == ("alert-1",)


async def test_revisions_are_given_for_real_changes_only(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()

    # when
    world.origin.touch(world.origin.records["7"])
    world.mirror.edit(world.copy_of("7"), severity=Severity.HIGH)
    await world.sync.pass_once()

    # then
    first, second = world.revisions("7")
    assert first.events == (IncidentEvent.CREATED,)
    assert first.origin is Origin.BACKFILL
    assert second.events == (IncidentEvent.UPDATED, IncidentEvent.SEVERITY_CHANGED)
    assert second.changes == {"severity": ["low", "high"]}
    assert (second.origin, second.source_id) == (Origin.LIVE, "mirror")


async def test_an_incident_after_the_first_read_is_live(world: World) -> None:
    # given
    await world.sync.pass_once()

    # when
    world.origin.add("7")
    await world.sync.pass_once()

    # then
    assert world.revisions("7")[0].origin is Origin.LIVE


async def test_unmatched_revisions_are_listed_oldest_first(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    world.origin.edit("7", title="new")
    await world.sync.pass_once()

    # when
    waiting = world.journal.ask_now(incidents.unmatched(TENANT, 10))

    # then
    assert [one.revision for one in waiting] == [1, 2]


# -- conflicts -----------------------------------------------------------------------------------


async def test_when_both_sides_changed_the_later_wins_and_it_is_on_record(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    copy = world.copy_of("7")

    # when
    world.origin.edit("7", title="origin's")
    world.mirror.edit(copy, title="copy's")
    await world.sync.pass_once()

    # then
    assert world.origin.fields_of("7").title == world.mirror.fields_of(copy).title == "copy's"
    (conflict,) = world.journal.ask_now(conflicts.listed(TENANT))
    assert (conflict.kind, conflict.field) == ("both_changed", "title")
    assert {side["value"] for side in conflict.body["sides"]} == {"origin's", "copy's"}


async def test_both_sides_changing_alike_is_no_conflict(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    world.take_calls()

    # when
    world.origin.edit("7", status=Status.ACTIVE)
    world.mirror.edit(world.copy_of("7"), status=Status.ACTIVE)
    await world.sync.pass_once()

    # then
    assert world.take_calls() == []
    assert world.journal.ask_now(conflicts.listed(TENANT)) == []


async def test_tags_added_on_both_sides_are_on_both_sides(world: World) -> None:
    # given
    world.origin.add("7", tags=frozenset({"old", "kept"}))
    await world.sync.pass_once()
    copy = world.copy_of("7")

    # when
    world.origin.edit("7", tags=frozenset({"kept", "a"}))
    world.mirror.edit(copy, tags=frozenset({"old", "kept", "b"}))
    await world.sync.pass_once()

    # then
    assert world.origin.fields_of("7").tags == frozenset({"kept", "a", "b"})
    assert world.mirror.fields_of(copy).tags == frozenset({"kept", "a", "b"})


async def test_a_change_between_read_and_write_is_kept_and_marked(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    world.mirror.edit(world.copy_of("7"), title="copy's")

    # when
    world.origin.meanwhile.append(lambda: world.origin.edit("7", severity=Severity.HIGH))
    await world.sync.pass_once()

    # then
    assert world.mirror.fields_of(world.copy_of("7")).severity is Severity.HIGH
    assert world.origin.fields_of("7").title == "copy's"
    (conflict,) = world.journal.ask_now(conflicts.listed(TENANT))
    assert (conflict.kind, conflict.field) == ("possible_overwrite", "severity")


async def test_a_stale_version_is_read_again_and_nobody_loses(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    copy = world.copy_of("7")
    world.origin.edit("7", title="origin's")

    # when
    world.mirror.meanwhile.append(lambda: world.mirror.edit(copy, severity=Severity.HIGH))
    await world.sync.pass_once()

    # then
    assert world.mirror.fields_of(copy).title == "origin's"
    assert world.origin.fields_of("7").severity is Severity.HIGH
    assert world.journal.ask_now(conflicts.listed(TENANT)) == []


async def test_spurious_version_conflicts_are_outlasted(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    world.mirror.refusals["update"] = [WriteConflict(endpoint="PUT", status=409)] * 3

    # when
    world.origin.edit("7", title="new")
    await world.sync.pass_once()

    # then
    assert world.mirror.fields_of(world.copy_of("7")).title == "new"


async def test_the_state_before_our_own_write_does_not_undo_it(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    stale = world.origin.observed("7")
    world.mirror.edit(world.copy_of("7"), title="copy's")
    await world.sync.pass_once()

    # when: a replica that lags answers the next poll
    world.origin.lagging["7"] = stale
    before = len(world.revisions("7"))
    report = await world.sync.poll(world.origin.source_id)
    world.origin.lagging.clear()

    # then
    assert (report.incidents, report.writes) == (1, 0)
    assert len(world.revisions("7")) == before
    await world.sync.pass_once()
    assert world.origin.fields_of("7").title == "copy's"
    assert world.mirror.fields_of(world.copy_of("7")).title == "copy's"


# -- faults --------------------------------------------------------------------------------------


async def test_a_lost_answer_to_a_comment_does_not_double_it(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.say("7", "once")
    world.mirror.silences["comment"] = [Unreachable(endpoint="PUT comment")]

    # when
    await world.settle()

    # then
    assert len(world.mirror.texts_of(world.copy_of("7"))) == 1


async def test_a_comment_is_looked_for_before_it_is_sent_again(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.say("7", "once")
    world.mirror.silences["comment"] = [Unreachable(endpoint="PUT comment")]
    await world.sync.poll(world.origin.source_id)
    await world.sync.poll(world.mirror.source_id)
    await world.sync.apply_writes()

    # when: nobody has polled since
    world.clock.advance(minutes=20)
    await world.sync.apply_writes()

    # then
    assert len(world.mirror.texts_of(world.copy_of("7"))) == 1
    assert WriteState.SENDING not in [write.state for write in world.writes("7")]


async def test_our_own_write_whose_answer_was_lost_is_no_news(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    world.origin.edit("7", title="second")
    world.mirror.silences["update"] = [Unreachable(endpoint="PUT")]
    await world.sync.poll(world.origin.source_id)
    await world.sync.apply_writes()

    # when: the origin goes on before it is known what became of the write
    world.origin.edit("7", title="third")
    await world.sync.poll(world.origin.source_id)
    await world.settle()

    # then
    assert world.mirror.fields_of(world.copy_of("7")).title == "third"
    assert world.origin.fields_of("7").title == "third"
    assert world.journal.ask_now(conflicts.listed(TENANT)) == []


async def test_a_comment_that_did_not_arrive_is_sent_again(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.say("7", "once")
    world.mirror.refusals["comment"] = [ServerFailure(endpoint="PUT comment", status=503)]

    # when
    await world.settle()

    # then
    assert len(world.mirror.texts_of(world.copy_of("7"))) == 1


@pytest.mark.parametrize("call", ["create", "update"])
async def test_a_lost_answer_is_looked_for(world: World, call: str) -> None:
    # given
    world.origin.add("7")
    if call == "update":
        await world.sync.pass_once()
        world.origin.edit("7", title="new")
    world.mirror.silences[call] = [Unreachable(endpoint="PUT")]

    # when
    await world.settle()

    # then
    assert len(world.mirror.records) == 1
    assert await world.disagreements() == ()
    assert len(world.revisions("7")) == (2 if call == "update" else 1)


async def test_a_refused_field_is_parked_and_the_others_are_written(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    world.mirror.refusals["update"] = [RequestRefused(endpoint="PUT", status=400)] * 2

    # when
    world.origin.edit("7", title="new", severity=Severity.HIGH)
    await world.settle()

    # then
    parked = [one for one in world.writes("7") if one.state is WriteState.PARKED]
    assert len(parked) == 1
    fields = world.mirror.fields_of(world.copy_of("7"))
    assert (fields.title == "new") != (fields.severity is Severity.HIGH)
    (notice,) = world.journal.ask_now(notices.listed(TENANT))
    assert notice.notice.kind == "parked"


async def test_a_throttled_write_waits_as_long_as_it_is_asked_to(world: World) -> None:
    # given
    world.origin.add("7")
    world.mirror.refusals["create"] = [Throttled(endpoint="PUT", status=429, retry_after=120.0)]

    # when
    await world.sync.pass_once()
    before = len(world.mirror.records)
    world.clock.advance(seconds=121)
    await world.sync.pass_once()

    # then
    assert (before, len(world.mirror.records)) == (0, 1)


async def test_an_unreadable_incident_is_parked_and_the_others_go_on(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.add("8")
    world.origin.poisoned["7"] = BadAnswer(endpoint="GET", problem="is cut off")

    # when
    report = await world.sync.pass_once()

    # then
    assert len(world.mirror.records) == 1
    assert any("incident 7" in problem for problem in report.problems)
    (item,) = world.journal.ask_now(cursors.listed_items(TENANT))
    assert item.native_id == "7"


async def test_a_parked_incident_is_taken_in_when_it_can_be_read(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.poisoned["7"] = BadAnswer(endpoint="GET", problem="is cut off")
    await world.sync.pass_once()

    # when
    world.origin.poisoned.clear()
    world.clock.advance(minutes=2)
    await world.sync.pass_once()

    # then
    assert len(world.mirror.records) == 1
    assert world.journal.ask_now(cursors.listed_items(TENANT)) == []


async def test_a_failing_source_keeps_its_cursor_and_says_so(world: World) -> None:
    # given
    await world.sync.pass_once()
    world.origin.add("7")
    before = world.journal.ask_now(cursors.get(TENANT, world.origin.source_id))
    world.origin.refusals["fetch"] = [Unreachable(endpoint="GET incident")]

    # when
    with pytest.raises(Unreachable):
        await world.sync.poll(world.origin.source_id)

    # then
    after = world.journal.ask_now(cursors.get(TENANT, world.origin.source_id))
    assert (after.cursor, after.version) == (before.cursor, before.version)
    assert "GET incident" in after.error
    await world.sync.pass_once()
    assert len(world.mirror.records) == 1


async def test_hostile_text_passes_through_and_stays_text(world: World) -> None:
    # given
    title = "a\x00b \ud800 <script>alert(1)</script> {{ incident.title }} \u202e"
    world.origin.add("7", title="x", description="y" * 10_000_000)
    world.origin.records["7"].native["title"] = title.replace("\ud800", "")

    # when
    report = await world.sync.pass_once()

    # then
    assert report.problems == ()
    assert world.mirror.fields_of(world.copy_of("7")).title.startswith("a\ufffdb")  # type: ignore[union-attr] # it has one
    assert (await world.sync.pass_once()).applied == 0


# -- copies --------------------------------------------------------------------------------------


async def test_a_copy_deleted_by_hand_is_not_made_again(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    world.mirror.records.clear()

    # when
    world.origin.edit("7", title="new")
    await world.settle()

    # then
    assert world.mirror.records == {}
    assert any(link.deleted_at for link in world.hub("7").links)


async def test_a_merged_incident_becomes_an_alias_and_its_copy_is_closed(world: World) -> None:
    # given
    world.origin.add("7", tags=frozenset({"from7"}))
    world.origin.raise_alert("7", ALERT)
    world.origin.say("7", "said on the loser")
    world.origin.add("8")
    await world.sync.pass_once()
    lost = world.copy_of("7")

    # when
    world.origin.merge("7", "8")
    await world.settle()

    # then
    winner, loser = world.hub("8"), world.hub("7")
    assert loser.merged_into == winner.id
    assert world.mirror.fields_of(lost).status is Status.CLOSED
    assert any("merged into" in text for text in world.mirror.texts_of(lost))
    kept = world.copy_of("8")
    assert world.mirror.fields_of(kept).tags == frozenset({"from7"})
    assert any("said on the loser" in text for text in world.mirror.texts_of(kept))
    assert any("alert-1" in text for text in world.mirror.texts_of(kept))
    assert any("said on the loser" in text for text in world.origin.texts_of("8"))
    assert world.incident_ids() == [winner.id]
    view = world.journal.ask_now(incidents.view(TENANT, winner.id))
    assert [entity.entity for entity in view.entities] == [DEVICE]


async def test_a_chain_of_merges_ends_at_the_last_winner(world: World) -> None:
    # given
    for native_id in ("7", "8", "9"):
        world.origin.add(native_id)
    await world.sync.pass_once()

    # when
    world.origin.merge("7", "8")
    world.origin.merge("8", "9")
    await world.settle()

    # then
    winner = world.hub("9")
    assert world.incident_ids() == [winner.id]
    resolved = world.journal.ask_now(incidents.resolve(TENANT, world.hub("7").id))
    assert resolved == winner.id


async def test_a_winner_that_was_not_known_is_read_first(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()

    # when
    world.origin.add("8")
    world.origin.merge("7", "8")
    await world.settle()

    # then
    assert world.hub("7").merged_into == world.hub("8").id
    assert await world.disagreements() == ()
