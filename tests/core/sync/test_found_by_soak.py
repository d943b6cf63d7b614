"""What random sequences found once, kept as the smallest sequence that shows it."""

from __future__ import annotations

import pytest
from tests.core.sync.test_first_contact import adopt
from tests.sync_model import verdict
from tests.sync_world import TENANT, World

from quell.domain.incident import Alert, Severity, Status
from quell.errors import ServerFailure, Throttled
from quell.journal import conflicts, links

pytestmark = pytest.mark.anyio


async def test_what_a_person_adds_to_our_copy_before_we_hear_of_it_is_news(world: World) -> None:
    # given: our copy was made, the answer was lost, and somebody tags it meanwhile
    world.origin.add("7", tags=frozenset({"ours"}))
    failure = ServerFailure(endpoint="model", status=503)
    world.mirror.silences["create"] = [failure]

    def tag(moment: str) -> None:
        if moment == "after create":
            world.mirror.witness = lambda moment: None
            (copy,) = world.mirror.records
            world.mirror.edit(copy, tags=frozenset({"ours", "theirs"}), severity=Severity.HIGH)

    world.mirror.witness = tag

    # when
    await world.settle()

    # then
    assert world.origin.fields_of("7").tags == {"ours", "theirs"}
    assert world.mirror.fields_of(world.copy_of("7")).tags == {"ours", "theirs"}
    assert world.origin.fields_of("7").severity is Severity.HIGH


async def merged(world: World) -> str:
    """Let two incidents be copied and the first be merged into the second; gives its copy."""
    world.origin.add("7")
    world.origin.add("8")
    await world.settle()
    copy = world.copy_of("7")
    world.origin.say("7", "said before")
    await world.settle()
    world.origin.merge("7", "8")
    return copy


async def test_looking_at_a_merged_incident_again_is_no_news(world: World) -> None:
    # given
    await merged(world)
    await world.settle()
    revisions = len(world.revisions("7")), len(world.revisions("8"))

    # when: it is in the list again, and read whole
    world.origin.touch(world.origin.records["7"])
    report = await world.sync.pass_once()

    # then
    assert report.is_quiet
    assert report.revisions == 0
    assert (len(world.revisions("7")), len(world.revisions("8"))) == revisions


async def test_what_is_said_in_a_losers_copy_and_read_after_the_merge_goes_to_the_winner(
    world: World,
) -> None:
    # given
    loser = await merged(world)
    world.mirror.say(loser, "said too late")
    tags = world.mirror.fields_of(loser).tags | {"late"}
    world.mirror.edit(loser, tags=tags)

    # when
    await world.settle()
    await world.settle()

    # then
    kept = world.copy_of("8")
    for texts in (world.origin.texts_of("8"), world.mirror.texts_of(kept)):
        assert sum("said too late" in text for text in texts) == 1
        assert sum("said before" in text for text in texts) == 1
    assert "late" in world.origin.fields_of("8").tags
    assert "late" in world.mirror.fields_of(kept).tags
    assert (await world.sync.pass_once()).applied == 0


async def test_incidents_that_were_told_the_same_in_the_same_words_can_be_merged(
    world: World,
) -> None:
    # given: each had an alert, and lost it as its first change
    for native_id in ("7", "8"):
        record = world.origin.add(native_id)
        record.alerts = [Alert(id="alert-1", title="one")]
        await world.settle()
        record.alerts = []
        world.origin.touch(record)
        await world.settle()
    told = [{one.origin_key for one in world.hub(native_id).comments} for native_id in ("7", "8")]
    assert told[0] & told[1]

    # when
    world.origin.merge("7", "8")
    await world.settle()

    # then
    assert world.hub("7").merged_into == world.hub("8").id
    assert (await world.sync.pass_once()).is_quiet


async def replaced(world: World) -> str:
    """Let the product's own copy take the place of the one that we made; gives ours."""
    world.origin.add("7")
    await world.settle()
    ours = world.copy_of("7")
    adopt(world, "7", "m1")
    await world.settle()
    assert world.copy_of("7") == "m1"
    return ours


async def test_a_tag_that_is_put_on_our_copy_after_another_took_its_place_is_kept(
    world: World,
) -> None:
    # given
    ours = await replaced(world)
    world.mirror.edit(ours, tags=frozenset({"late"}))

    # when
    await world.settle()

    # then
    assert world.origin.fields_of("7").tags == {"late"}
    assert world.mirror.fields_of("m1").tags == {"late"}

    # when: somebody takes it off again where the incident goes on
    world.origin.edit("7", tags=frozenset())
    await world.settle()
    world.mirror.touch(world.mirror.records[ours])
    await world.settle()

    # then: that it still is on the old copy does not bring it back
    assert world.mirror.fields_of("m1").tags == frozenset()


async def test_a_tag_that_is_read_together_with_the_copy_that_takes_over_is_kept(
    world: World,
) -> None:
    # given: the product's own copy comes in the same poll, and before ours
    world.origin.add("7")
    await world.settle()
    ours = world.copy_of("7")
    adopt(world, "7", "m1")
    world.clock.advance(seconds=1)
    world.mirror.edit(ours, tags=frozenset({"late"}))

    # when
    await world.settle()

    # then
    assert world.copy_of("7") == "m1"
    assert world.origin.fields_of("7").tags == {"late"}


async def test_a_task_that_is_made_in_our_copy_after_another_took_its_place_is_carried(
    world: World,
) -> None:
    # given
    ours = await replaced(world)
    world.mirror.set_task(ours, "late", "call them back")

    # when
    await world.settle()

    # then
    assert world.mirror.tasks_of("m1") == {"call them back": False}


async def test_a_tag_that_a_losers_last_look_brings_goes_to_the_winner(world: World) -> None:
    # given: it is read for the first time when the incident is merged already
    world.origin.add("7")
    world.origin.add("8")
    await world.settle()
    world.origin.edit("7", tags=frozenset({"last"}))
    world.origin.merge("7", "8")

    # when
    await world.settle()

    # then
    assert "last" in world.origin.fields_of("8").tags
    assert "last" in world.mirror.fields_of(world.copy_of("8")).tags


async def test_a_tag_of_a_losers_copy_that_nobody_has_accepted_goes_to_the_winner(
    world: World,
) -> None:
    # given
    world.origin.add("7")
    world.origin.add("8")
    adopt(world, "7", "m1")
    world.mirror.edit("m1", tags=frozenset({"theirs"}))
    await world.settle()
    assert "theirs" not in world.origin.fields_of("7").tags

    # when
    world.origin.merge("7", "8")
    await world.settle()

    # then
    assert "theirs" in world.hub("8").fields.tags


async def test_a_losers_copy_that_somebody_closed_meanwhile_is_not_closed_again(
    world: World,
) -> None:
    # given: the merge is read first, and then that a person has closed the copy
    loser = await merged(world)
    world.mirror.edit(loser, status=Status.CLOSED)
    world.take_calls()

    # when
    await world.settle()

    # then
    assert world.mirror.fields_of(loser).status is Status.CLOSED
    assert "update" not in world.take_calls()


async def test_a_copy_that_was_put_aside_waits_for_nobody_to_accept_it(world: World) -> None:
    # given: the product has two copies of one incident, and both differ
    world.origin.add("7")
    adopt(world, "7", "m1", severity=Severity.HIGH)
    adopt(world, "7", "m2", title="another")
    await world.settle()
    assert world.journal.ask_now(links.pending(TENANT)) == [world.hub("7").id]

    # when
    accepted = await world.sync.accept(None, "ada")

    # then
    assert accepted == 1
    assert world.journal.ask_now(links.pending(TENANT)) == []
    assert await world.sync.accept(None, "ada") == 0


async def test_what_the_copy_cannot_show_of_a_verdict_is_not_overwritten_without_a_record(
    world: World,
) -> None:
    # given: only the determination changes at the origin, and the copy has no determinations
    world.origin.add("7", verdict=verdict("undetermined"))
    await world.settle()
    world.mirror.edit(world.copy_of("7"), verdict=verdict("false_positive"))
    world.origin.edit("7", verdict=verdict("undetermined", "security_personnel"))

    # when: the origin is read first
    await world.settle()

    # then
    (conflict,) = world.journal.ask_now(conflicts.listed(TENANT))
    assert (conflict.field, conflict.kind) == ("verdict", "both_changed")
    determinations = {side["value"]["determination"] for side in conflict.body["sides"]}
    assert determinations == {"unknown", "security_personnel"}
    assert world.origin.fields_of("7").verdict == verdict("false_positive")


async def test_a_verdict_changed_after_the_copy_was_seen_in_step_is_no_conflict(
    world: World,
) -> None:
    # given: the copy is read again after the determination has changed
    world.origin.add("7", verdict=verdict("undetermined"))
    await world.settle()
    world.origin.edit("7", verdict=verdict("undetermined", "security_personnel"))
    await world.settle()
    world.clock.advance(minutes=20)
    world.mirror.say(world.copy_of("7"), "seen")
    await world.settle()

    # when
    world.mirror.edit(world.copy_of("7"), verdict=verdict("false_positive"))
    await world.settle()

    # then
    assert world.journal.ask_now(conflicts.listed(TENANT)) == []
    assert world.origin.fields_of("7").verdict == verdict("false_positive")


async def test_a_value_that_was_emptied_before_the_first_contact_is_on_record(
    world: World,
) -> None:
    # given: a copy is read before where the incident began, and there somebody empties a text
    await world.sync.accept(None, "ada")
    world.clock.advance(minutes=1)
    adopt(world, "7", "m1", description="as it was")
    await world.sync.pass_once()
    world.origin.add("7", title="7", description="")

    # when
    await world.settle()

    # then: what was said wins, the emptying is known, and nobody has to decide anything
    assert world.origin.fields_of("7").description == "as it was"
    (conflict,) = [
        one for one in world.journal.ask_now(conflicts.listed(TENANT)) if one.field == "description"
    ]
    assert {side["value"] for side in conflict.body["sides"]} == {"", "as it was"}
    assert conflict.settled_by == "policy"


async def test_a_value_that_went_and_came_back_behind_a_copys_back_is_not_lost_silently(
    world: World,
) -> None:
    # given: the origin's status goes and comes back before anything was written to the copy
    world.origin.add("7", status=Status.NEW)
    await world.settle()
    for status in (Status.CLOSED, Status.NEW):
        world.origin.edit("7", status=status)
        await world.sync.poll(world.origin.source_id)
    world.mirror.edit(world.copy_of("7"), status=Status.ACTIVE)

    # when
    await world.settle()

    # then: the copy's change was made without knowing of it
    (conflict,) = world.journal.ask_now(conflicts.listed(TENANT))
    assert (conflict.field, conflict.kind) == ("status", "both_changed")
    assert {side["value"] for side in conflict.body["sides"]} == {"new", "active"}
    assert world.origin.fields_of("7").status is Status.ACTIVE


async def test_a_change_on_top_of_what_we_have_just_written_is_no_conflict(world: World) -> None:
    # given: the copy was told of the origin's status a moment ago
    world.origin.add("7", status=Status.NEW)
    await world.settle()
    world.origin.edit("7", status=Status.CLOSED)
    await world.sync.poll(world.origin.source_id)
    await world.sync.apply_writes()

    # when
    world.mirror.edit(world.copy_of("7"), status=Status.ACTIVE)
    await world.settle()

    # then
    assert world.journal.ask_now(conflicts.listed(TENANT)) == []
    assert world.origin.fields_of("7").status is Status.ACTIVE


async def test_what_is_written_into_a_copy_that_waits_goes_over_nothing_silently(
    world: World,
) -> None:
    # given: a copy waits because of its title; nobody has told it what the origin says since
    world.origin.add("7")
    adopt(world, "7", "m1", title="another")
    await world.settle()
    world.origin.edit("7", closing_comment="the origin's")
    await world.settle()

    # when
    world.mirror.edit("m1", closing_comment="the copy's")
    await world.settle()
    await world.sync.accept(None, "ada")
    await world.settle()

    # then
    found = [
        {side["value"] for side in one.body["sides"]}
        for one in world.journal.ask_now(conflicts.listed(TENANT))
        if one.field == "closing_comment"
    ]
    assert found == [{"the origin's", "the copy's"}]
    assert world.origin.fields_of("7").closing_comment == "the copy's"


async def test_a_copy_that_another_took_the_place_of_is_closed_although_its_incident_is_merged(
    world: World,
) -> None:
    # given: the product's own copy has come, and ours is not closed yet
    world.origin.add("7")
    world.origin.add("8")
    await world.settle()
    ours = world.copy_of("7")
    adopt(world, "7", "m1")
    await world.sync.poll(world.mirror.source_id)
    assert world.copy_of("7") == "m1"

    # when
    world.origin.merge("7", "8")
    await world.sync.poll(world.origin.source_id)
    await world.settle()

    # then
    assert world.mirror.fields_of(ours).status is Status.CLOSED


async def test_a_tag_that_comes_with_the_answer_to_closing_a_losers_copy_goes_to_the_winner(
    world: World,
) -> None:
    # given: somebody tags the copy after we have closed it, and before that is answered
    loser = await merged(world)

    def tag(moment: str) -> None:
        if moment == "after update":
            world.mirror.witness = lambda moment: None
            world.mirror.edit(loser, tags=frozenset({"late"}))

    world.mirror.witness = tag

    # when
    await world.settle()

    # then
    assert world.mirror.fields_of(loser).status is Status.CLOSED
    assert "late" in world.origin.fields_of("8").tags


async def test_a_tag_that_is_taken_off_our_copy_before_another_takes_its_place_stays_off(
    world: World,
) -> None:
    # given
    world.origin.add("7", tags=frozenset({"early"}))
    await world.settle()
    ours = world.copy_of("7")
    adopt(world, "7", "m1", tags=frozenset({"early"}))
    world.clock.advance(seconds=1)
    world.mirror.edit(ours, tags=frozenset())

    # when
    await world.settle()

    # then
    assert world.copy_of("7") == "m1"
    assert world.origin.fields_of("7").tags == frozenset()
    assert world.mirror.fields_of("m1").tags == frozenset()


async def test_a_replaced_copy_that_is_deleted_takes_no_tags_with_it(world: World) -> None:
    # given
    world.origin.add("7", tags=frozenset({"kept"}))
    await world.settle()
    ours = world.copy_of("7")
    adopt(world, "7", "m1", tags=frozenset({"kept"}))
    await world.settle()

    # when
    del world.mirror.records[ours]
    await world.sync.sweep(world.mirror.source_id)
    await world.settle()

    # then
    assert world.origin.fields_of("7").tags == {"kept"}


async def test_a_comment_that_arrived_although_the_answer_said_too_early_is_not_doubled(
    world: World,
) -> None:
    # given: an attempt arrives unanswered, and the next one is told to wait
    world.origin.add("7")
    await world.settle()
    world.mirror.say(world.copy_of("7"), "said once")
    world.origin.silences["comment"] = [Throttled(endpoint="model", status=429, retry_after=30.0)]
    await world.sync.poll(world.mirror.source_id)
    await world.sync.apply_writes()

    # when
    world.clock.advance(minutes=1)
    await world.sync.apply_writes()
    await world.settle()

    # then
    assert sum("said once" in text for text in world.origin.texts_of("7")) == 1


async def test_a_copy_that_is_made_while_its_incident_is_merged_is_closed(world: World) -> None:
    # given: it is made, the answer is lost, and the merge is read before it is looked for
    world.origin.add("7")
    world.origin.add("8")
    world.mirror.silences["create"] = [ServerFailure(endpoint="model", status=503)] * 2
    await world.sync.poll(world.origin.source_id)
    await world.sync.apply_writes()
    world.origin.merge("7", "8")
    await world.sync.poll(world.origin.source_id)

    # when
    await world.settle()

    # then
    lost = [link for link in world.hub("7").links if link.source_id == world.mirror.source_id]
    assert [world.mirror.fields_of(link.native_id).status for link in lost] == [Status.CLOSED]
    texts = world.mirror.texts_of(lost[0].native_id)
    assert any("merged into detector 8" in text for text in texts)


async def test_a_text_that_is_emptied_while_a_task_without_a_text_is_on_its_way_stays_empty(
    world: World,
) -> None:
    # given: a task's fields are named like an incident's, and whether it arrived is not known
    world.origin.add("7", description="as it was")
    world.origin.set_task("7", "t", "call them back")
    failure = ServerFailure(endpoint="model", status=503)
    world.mirror.silences["put_task"] = [failure]
    await world.sync.pass_once()
    await world.sync.pass_once()

    # when
    world.mirror.edit(world.copy_of("7"), description="")
    await world.settle()

    # then
    assert world.origin.fields_of("7").description == ""
    assert world.mirror.fields_of(world.copy_of("7")).description == ""


LATE: list[tuple[str, object, object]] = [
    ("title", "ours", "theirs"),
    ("title", "ours", ""),
    ("tags", frozenset({"a"}), frozenset({"a", "b"})),
    ("severity", Severity.LOW, Severity.HIGH),
    ("status", Status.ACTIVE, Status.CLOSED),
]


@pytest.mark.parametrize("is_mirrors", [False, True], ids=["origin", "mirror"])
@pytest.mark.parametrize(("name", "ours", "theirs"), LATE)
async def test_what_a_person_makes_of_our_write_before_it_is_answered_is_news(
    world: World, is_mirrors: bool, name: str, ours: object, theirs: object
) -> None:
    # given: the answer to our write shows what a person has made of it already
    world.origin.add("7", severity=Severity.MEDIUM)
    await world.settle()
    places = [(world.origin, "7"), (world.mirror, world.copy_of("7"))]
    (written, there), (edited, here) = reversed(places) if is_mirrors else places

    def interrupt(moment: str) -> None:
        if moment == "after update":
            written.witness = lambda moment: None
            written.edit(there, **{name: theirs})

    written.witness = interrupt
    edited.edit(here, **{name: ours})

    # when
    await world.settle()

    # then
    assert getattr(written.fields_of(there), name) == theirs
    assert getattr(edited.fields_of(here), name) == theirs


async def test_a_title_that_a_product_cuts_is_not_taken_for_somebodys_change(world: World) -> None:
    # given
    world.origin.add("7")
    await world.settle()
    copy = world.copy_of("7")

    def cut(moment: str) -> None:
        if moment == "after update":
            record = world.mirror.records[copy]
            record.native["title"] = record.native["title"][:10] + "…"

    world.mirror.witness = cut

    # when
    world.origin.edit("7", title="much longer than that")
    await world.settle()

    # then
    assert world.mirror.fields_of(copy).title == "much longe…"
    assert world.origin.fields_of("7").title == "much longer than that"
    assert (await world.sync.pass_once()).is_quiet
