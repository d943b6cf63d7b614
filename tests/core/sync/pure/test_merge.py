"""Two incidents become one: what the winner gets, and what becomes of the loser's copy."""

from __future__ import annotations

import msgspec
import pytest
from tests.sync_paper import Paper

from quell.domain.hub import Acceptance, Hub, Step, WriteKind, WriteState
from quell.domain.ids import EntityId, IncidentId
from quell.domain.incident import Origin, Severity
from quell.domain.playbook import IncidentEvent
from quell.sync.absorb.absorb import absorb
from quell.sync.absorb.merge import inherit, merge


@pytest.fixture
def paper() -> Paper:
    """Give the winner: an incident with two copies in step."""
    return Paper()


@pytest.fixture
def loser() -> Hub:
    """Give another incident with two copies, and an update of one that is planned."""
    other = Paper()
    other.hub = other.hub.replace(id=IncidentId("l"))
    other.origin.edit("1", tags=frozenset({"losers"}), severity=Severity.HIGH)
    other.see(other.origin, "1")
    assert other.updates()
    links = tuple(
        msgspec.structs.replace(
            link, id=f"l-{link.id}", incident_id=IncidentId("l"), native_id=f"l-{link.native_id}"
        )
        for link in other.hub.links
    )
    return other.hub.replace(links=links)


def test_the_loser_is_an_alias_and_nothing_more_is_written_to_it(paper: Paper, loser: Hub) -> None:
    # given / when
    _, lost = merge(paper.hub, loser, paper.rules, paper.sighting())

    # then
    assert lost.hub.merged_into == "i"
    states = {one.kind: one.state for one in lost.hub.writes if one.kind is WriteKind.UPDATE}
    assert states == {WriteKind.UPDATE: WriteState.SUPERSEDED}
    assert lost.revision is not None
    assert lost.revision.changes == {"merged_into": [None, "i"]}
    assert lost.revision.events == (IncidentEvent.UPDATED, IncidentEvent.MERGED)


def test_what_may_have_been_sent_already_is_left_to_be_found_out(paper: Paper, loser: Hub) -> None:
    # given
    (write,) = [one for one in loser.writes if one.kind is WriteKind.UPDATE]
    on_its_way = msgspec.structs.replace(write, state=WriteState.SENDING)
    hub = loser.with_write(on_its_way)

    # when
    _, lost = merge(paper.hub, hub, paper.rules, paper.sighting())

    # then
    assert on_its_way in lost.hub.writes


def test_our_copy_of_the_loser_is_closed_with_links_to_the_winner(paper: Paper, loser: Hub) -> None:
    # given / when
    _, lost = merge(paper.hub, loser, paper.rules, paper.sighting())

    # then
    (retire,) = [one for one in lost.hub.writes if one.kind is WriteKind.RETIRE]
    ours = next(link for link in loser.links if link.is_ours)
    assert (retire.link_id, retire.intended["status"]) == (ours.id, "closed")
    (word,) = [one for one in lost.hub.comments if one.kind == "note"]
    assert "https://detector.example/1" in word.text
    assert "https://mirror.example/m" in word.text


@pytest.mark.parametrize(
    "changes", [{"is_ours": False}, {"source_id": "elsewhere"}, {"retired_to": "another"}]
)
def test_a_copy_that_is_not_ours_or_not_there_is_left_alone(
    paper: Paper, loser: Hub, changes: dict[str, object]
) -> None:
    # given
    ours = next(link for link in loser.links if link.is_ours)
    hub = loser.with_link(msgspec.structs.replace(ours, **changes))

    # when
    _, lost = merge(paper.hub, hub, paper.rules, paper.sighting())

    # then
    assert [one for one in lost.hub.writes if one.kind is WriteKind.RETIRE] == []


def test_a_copy_where_incidents_begin_is_never_closed_by_us(paper: Paper, loser: Hub) -> None:
    # given
    begun = next(link for link in loser.links if not link.is_ours)
    hub = loser.with_link(msgspec.structs.replace(begun, is_ours=True))

    # when
    _, lost = merge(paper.hub, hub, paper.rules, paper.sighting())

    # then
    retired = [one.link_id for one in lost.hub.writes if one.kind is WriteKind.RETIRE]
    assert begun.id not in retired


def test_a_winner_without_a_page_is_named_as_its_product_does(paper: Paper, loser: Hub) -> None:
    # given
    paper.alter(paper.here, url="")
    paper.alter(paper.there, url="", number="")

    # when
    _, lost = merge(paper.hub, loser, paper.rules, paper.sighting())

    # then
    (word,) = [one for one in lost.hub.comments if one.kind == "note"]
    assert word.text.endswith("detector 1, mirror m")


def test_a_winner_without_copies_is_named_by_its_id(paper: Paper, loser: Hub) -> None:
    # given / when
    _, lost = merge(paper.hub.replace(links=()), loser, paper.rules, paper.sighting())

    # then
    (word,) = [one for one in lost.hub.comments if one.kind == "note"]
    assert word.text.endswith("merged into i")


def test_the_winner_gets_the_losers_tags_and_keeps_its_own_fields(paper: Paper, loser: Hub) -> None:
    # given
    paper.origin.edit("1", tags=frozenset({"winners"}))
    paper.see(paper.origin, "1")
    paper.see(paper.mirror, "m")

    # when
    won, _ = merge(paper.hub, loser, paper.rules, paper.sighting())

    # then
    assert won.hub.fields.tags == {"winners", "losers"}
    assert won.hub.fields.severity is Severity.LOW
    assert won.hub.marks["tags"].vouched == ["losers", "winners"]
    assert {tuple(one.intended) for one in won.hub.writes if one.kind is WriteKind.UPDATE} == {
        ("tags",)
    }
    assert won.revision is not None
    assert won.revision.changes["tags"] == [["winners"], ["losers", "winners"]]
    assert won.revision.changes["merged_from"] == [None, "l"]


def test_tags_that_nobody_vouched_for_are_not_vouched_for_by_a_merge(
    paper: Paper, loser: Hub
) -> None:
    # given
    silent = {
        **loser.marks,
        "tags": msgspec.structs.replace(loser.marks["tags"], vouched=msgspec.UNSET),
    }

    # when
    won, _ = merge(paper.hub, loser.replace(marks=silent), paper.rules, paper.sighting())
    unmarked, _ = merge(paper.hub, loser.replace(marks={}), paper.rules, paper.sighting())
    blank, _ = merge(paper.hub.replace(marks={}), loser, paper.rules, paper.sighting())

    # then
    assert won.hub.marks == unmarked.hub.marks == paper.hub.marks
    assert blank.hub.marks == {}


def test_a_loser_vouches_for_its_tags_where_the_winner_did_not(paper: Paper, loser: Hub) -> None:
    # given
    own = msgspec.structs.replace(paper.mark("tags"), vouched=msgspec.UNSET)
    hub = paper.hub.replace(marks={**paper.hub.marks, "tags": own})

    # when
    won, _ = merge(hub, loser, paper.rules, paper.sighting())

    # then
    assert won.hub.marks["tags"].vouched == ["losers"]


def test_the_winner_is_told_what_it_has_now(paper: Paper, loser: Hub) -> None:
    # given
    context = paper.sighting(
        new_alerts=("a1",), new_entities=(EntityId("e1"),), origin=Origin.BACKFILL
    )

    # when
    won, lost = merge(paper.hub, loser, paper.rules, context)

    # then
    assert won.revision is not None
    assert lost.revision is not None
    assert won.revision.changes["alerts"] == [[], ["a1"]]
    assert won.revision.changes["entities"] == [[], ["e1"]]
    assert IncidentEvent.ALERTS_ADDED in won.revision.events
    assert (won.revision.origin, lost.revision.origin) == (Origin.BACKFILL, Origin.BACKFILL)
    assert won.revision.happened_at == lost.revision.happened_at == context.now


def test_a_winner_that_gains_no_alerts_is_not_told_of_any(paper: Paper, loser: Hub) -> None:
    # given / when
    won, _ = merge(paper.hub, loser, paper.rules, paper.sighting())

    # then
    assert won.revision is not None
    assert {"alerts", "entities", "tasks"} & set(won.revision.changes) == set()
    assert won.revision.events[0] is IncidentEvent.UPDATED
    assert IncidentEvent.CREATED not in won.revision.events


def test_a_waiting_copy_that_now_agrees_need_not_wait(paper: Paper, loser: Hub) -> None:
    # given
    paper.mirror.edit("m", tags=frozenset({"losers"}))
    paper.read(paper.mirror, "m")
    paper.wait_for_a_person(paper.there)

    # when
    won, _ = merge(paper.hub, loser, paper.rules, paper.sighting())

    # then
    found = won.hub.link(paper.there.id)
    assert found is not None
    assert found.acceptance is Acceptance.ACCEPTED


# -- what is said in a copy of the loser later ---------------------------------------------------


def late(paper: Paper, loser: Hub, **changes: object) -> tuple[Step, Hub]:
    """Let the loser's copy be looked at after the merge; gives the winner's step."""
    lost = loser.replace(merged_into=paper.hub.id)
    seen = msgspec.structs.replace(paper.mirror.observed("m"), native_id="l-m", **changes)
    after = absorb(lost, seen, paper.rules, paper.sighting()).hub
    return inherit(paper.hub, lost, after, seen, paper.rules, paper.sighting()), after


def test_what_is_said_in_a_losers_copy_later_is_the_winners(paper: Paper, loser: Hub) -> None:
    # given
    paper.mirror.say("m", "too late")
    paper.mirror.records["m"].by = "bob"

    # when
    step, after = late(paper, loser)

    # then
    assert [one.text for one in step.hub.comments] == ["too late"]
    assert after.comments == loser.comments
    assert step.revision is not None
    assert step.revision.changes == {"comments": [[], [step.hub.comments[0].id]]}
    assert step.revision.events == (IncidentEvent.UPDATED, IncidentEvent.COMMENT_ADDED)
    assert (step.revision.source_id, step.revision.actor) == ("mirror", "bob")
    assert {one.kind for one in step.hub.writes if one.is_open} == {WriteKind.COMMENT}


def test_a_tag_that_is_put_on_a_losers_copy_later_is_the_winners(paper: Paper, loser: Hub) -> None:
    # given
    paper.mirror.edit("m", tags=frozenset({"late"}))

    # when
    step, _ = late(paper, loser)

    # then
    assert step.hub.fields.tags == {"late"}
    assert step.revision is not None
    assert step.revision.changes == {"tags": [[], ["late"]]}


def test_a_task_that_is_made_in_a_losers_copy_later_is_the_winners(
    paper: Paper, loser: Hub
) -> None:
    # given
    paper.mirror.set_task("m", "k", "do it")

    # when
    step, after = late(paper, loser)

    # then
    assert [task.title for task in step.hub.tasks] == ["do it"]
    assert [task.title for task in after.tasks] == ["do it"]
    assert step.revision is not None
    assert set(step.revision.changes) == {"tasks"}


def test_a_look_at_a_loser_that_says_nothing_new_changes_nothing(paper: Paper, loser: Hub) -> None:
    # given / when
    step, _ = late(paper, loser)

    # then
    assert step.hub == paper.hub
    assert step.revision is None
