"""One look at a copy: what it says of the copy, and what revision follows from it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.sync_model import verdict
from tests.sync_paper import Paper

from quell.domain.hub import Acceptance, IncidentWrite, Shadow, WriteKind, WriteState
from quell.domain.ids import EntityId
from quell.domain.incident import Alert, Origin, Owner, Severity, Status
from quell.domain.playbook import IncidentEvent
from quell.sync.absorb.absorb import SEEN_EVERY, absorb, events_of, is_stale, revision_of
from quell.sync.plan import new_write


@pytest.fixture
def paper() -> Paper:
    """Give an incident with two copies in step."""
    return Paper()


def look(paper: Paper, **changes: Any) -> Any:
    """Give what the product that detects says now, some of it otherwise."""
    return msgspec.structs.replace(paper.origin.observed("1"), **changes)


def take_in(paper: Paper, seen: Any, **context: Any) -> Any:
    """Take in an observation; gives the step."""
    step = absorb(paper.hub, seen, paper.rules, paper.sighting(**context))
    paper.hub = step.hub
    return step


# -- what a look says of the copy ----------------------------------------------------------------


def test_a_look_leaves_everything_that_it_says_on_record(paper: Paper) -> None:
    # given
    later = paper.clock.now() + timedelta(hours=1)
    seen = look(
        paper,
        etag="e",
        stamp="s",
        changed_at=later,
        url="u",
        number="n",
        alert_count=3,
        comment_count=4,
        counterpart_system="mirror",
        counterpart_id="m",
        proofs=frozenset({"p"}),
        alerts=None,
        comments=None,
    )

    # when
    take_in(paper, seen)

    # then
    link = paper.here
    assert (link.etag, link.stamp, link.changed_at, link.url, link.number) == (
        "e",
        "s",
        later,
        "u",
        "n",
    )
    assert (link.alert_count, link.comment_count) == (3, 4)
    assert (link.counterpart_system, link.counterpart_id) == ("mirror", "m")
    assert link.proofs == {"p", "detector:1"}


def test_what_a_look_does_not_say_stays_as_it_was(paper: Paper) -> None:
    # given
    full = {"etag": "e", "stamp": "s", "url": "u", "number": "n", "alert_count": 3}
    full |= {"comment_count": 4, "counterpart_system": "mirror", "counterpart_id": "m"}
    take_in(paper, look(paper, **full, alerts=None, comments=None))
    before = paper.here
    empty = dict.fromkeys(full) | {"etag": "", "stamp": "", "url": "", "number": ""}

    # when
    take_in(paper, look(paper, **empty, changed_at=None, proofs=frozenset()))

    # then
    after = paper.here
    for name in (*full, "changed_at", "proofs"):
        assert getattr(after, name) == getattr(before, name)


def test_a_count_of_nothing_is_a_count(paper: Paper) -> None:
    # given
    take_in(paper, look(paper, alert_count=3, comment_count=4))

    # when
    take_in(paper, look(paper, alert_count=0, comment_count=0))

    # then
    assert (paper.here.alert_count, paper.here.comment_count) == (0, 0)


def test_a_copy_that_is_gone_takes_no_part_until_it_is_seen_again(paper: Paper) -> None:
    # given
    gone = msgspec.structs.replace(paper.mirror.observed("m"), is_deleted=True)

    # when
    take_in(paper, gone)
    deleted_at = paper.there.deleted_at
    paper.see(paper.mirror, "m")

    # then
    assert deleted_at is not None
    assert paper.there.deleted_at is None


def test_bounds_tell_when_a_field_was_last_seen_otherwise(paper: Paper) -> None:
    # given
    before = paper.here
    paper.origin.edit("1", title="two")

    # when
    paper.see(paper.origin, "1")

    # then
    changed = paper.here.bounds["title"]
    assert (changed.after, changed.by) == (before.seen_at, "somebody")
    assert changed.since > before.seen_at
    assert paper.here.bounds["severity"] == before.bounds["severity"]


def test_a_stale_look_says_nothing_about_fields(paper: Paper) -> None:
    # given
    old = look(paper, proofs=frozenset({"p"}))
    paper.origin.edit("1", title="two")
    paper.see(paper.origin, "1")

    # when
    step = take_in(paper, old)

    # then
    assert is_stale(paper.here, old)
    assert paper.hub.fields.title == "two"
    assert paper.here.observed.native["title"] == "two"
    assert "p" in paper.here.proofs
    assert (step.revision, step.conflicts) == (None, ())


def test_a_look_at_the_same_state_is_not_stale(paper: Paper) -> None:
    # given / when / then
    assert not is_stale(paper.here, look(paper))
    assert not is_stale(paper.here, look(paper, changed_at=None))


def test_seeing_the_same_again_is_noted_now_and_then_only(paper: Paper) -> None:
    # given
    before = paper.here
    seen = look(paper)

    # when
    absorbed = absorb(
        paper.hub, seen, paper.rules, paper.sighting(now=before.seen_at + SEEN_EVERY / 2)
    )
    noted = absorb(paper.hub, seen, paper.rules, paper.sighting(now=before.seen_at + SEEN_EVERY))

    # then
    assert absorbed.hub == paper.hub
    assert noted.hub.links[0].seen_at == before.seen_at + SEEN_EVERY


def test_seeing_something_else_is_noted_at_once(paper: Paper) -> None:
    # given
    before = paper.here.seen_at
    paper.origin.edit("1", title="two")

    # when
    paper.see(paper.origin, "1")

    # then
    assert paper.here.seen_at > before


# -- what we are just sending --------------------------------------------------------------------


def sending(paper: Paper, wanted: dict[str, Any], **changes: Any) -> IncidentWrite:
    """Let a write to the copy in which the incident began be on its way."""
    write = new_write(
        paper.hub,
        link=paper.here,
        source_id=paper.origin.source_id,
        kind=WriteKind.UPDATE,
        key="update/x",
        intended=wanted,
        now=paper.clock.now(),
    )
    changed = msgspec.structs.replace(write, **{"state": WriteState.SENDING, **changes})
    paper.hub = paper.hub.with_write(changed)
    return changed


def ours(paper: Paper) -> None:
    """Let a playbook have changed the title to `two`, in the middle of being written."""
    paper.hub = paper.hub.replace(fields=paper.hub.fields.replace({"title": "two"}))
    paper.origin.edit("1", title="two")


def test_what_we_are_sending_is_confirmed_where_the_copy_shows_it(paper: Paper) -> None:
    # given
    ours(paper)
    sending(paper, {"title": "two", "host": "x"})
    paper.hub = paper.hub.replace(fields=paper.hub.fields.replace({"title": "three"}))

    # when
    paper.see(paper.origin, "1")

    # then: it is no news that another value has to give way to
    assert paper.hub.fields.title == "three"
    assert paper.here.shadow.native["title"] == "two"


@pytest.mark.parametrize(
    "changes", [{"state": WriteState.PLANNED}, {"link_id": "another"}, {"intended": {"title": "x"}}]
)
def test_what_we_are_not_sending_is_news(paper: Paper, changes: dict[str, Any]) -> None:
    # given
    ours(paper)
    sending(paper, {"title": "two"}, **changes)
    paper.hub = paper.hub.replace(fields=paper.hub.fields.replace({"title": "three"}))

    # when
    paper.see(paper.origin, "1")

    # then
    assert paper.hub.fields.title == "two"


def test_a_task_on_its_way_confirms_no_field_of_the_same_name(paper: Paper) -> None:
    # given: a task has a description, too
    paper.hub = paper.hub.replace(fields=paper.hub.fields.replace({"description": "ours"}))
    sending(paper, {"description": "emptied"}, kind=WriteKind.TASK)
    paper.origin.edit("1", description="emptied")

    # when
    paper.see(paper.origin, "1")

    # then
    assert paper.hub.fields.description == "emptied"


def test_a_merged_incident_takes_over_no_fields(paper: Paper) -> None:
    # given
    paper.hub = paper.hub.replace(merged_into=paper.hub.id)
    paper.origin.edit("1", title="two")

    # when
    paper.see(paper.origin, "1")

    # then
    assert paper.hub.fields.title == "one"
    assert paper.here.observed.native["title"] == "two"


# -- the first look ------------------------------------------------------------------------------


def test_the_first_copy_says_what_the_incident_is() -> None:
    # given / when
    paper = Paper(is_paired=False)

    # then
    assert paper.hub.fields.title == "one"
    assert (paper.hub.origin_source_id, paper.hub.origin_native_id) == ("origin", "1")
    mark = paper.mark("severity")
    assert (mark.system, mark.link_id, mark.vouched) == ("detector", paper.here.id, "low")
    assert mark.bounds == paper.here.bounds["severity"]
    assert paper.here.acceptance is Acceptance.ACCEPTED
    assert paper.here.incident_id == paper.hub.id
    assert set(paper.here.bounds) == set(paper.hub.marks)


def creating(paper: Paper, **changes: Any) -> IncidentWrite:
    """Let our copy be on its way, as the incident is now."""
    write = new_write(
        paper.hub,
        link=None,
        source_id=paper.mirror.source_id,
        kind=WriteKind.CREATE,
        key="create/x",
        intended={"native_id": "m"},
        now=paper.clock.now(),
    )
    base = msgspec.to_builtins(paper.hub.fields)
    others = [one for one in paper.hub.writes if one.kind is not WriteKind.CREATE]
    made = msgspec.structs.replace(write, **{"state": WriteState.SENDING, "base": base, **changes})
    paper.hub = paper.hub.replace(writes=(*others, made))
    return made


def test_our_copy_is_ours_from_the_first_look_and_its_write_is_done() -> None:
    # given
    paper = Paper(is_paired=False)
    write = creating(paper)
    paper.mirror.add("m", title="one").created_for = "t/origin/1"

    # when
    paper.see(paper.mirror, "m")

    # then
    assert paper.there.is_ours
    assert paper.there.shadow == paper.there.observed
    (done,) = [one for one in paper.hub.writes if one.id == write.id]
    assert done.state is WriteState.APPLIED


def test_what_a_person_changed_in_our_copy_before_the_first_look_is_news() -> None:
    # given
    paper = Paper(is_paired=False)
    paper.origin.edit("1", title="one", severity=Severity.HIGH, tags=frozenset({"a"}))
    paper.see(paper.origin, "1")
    creating(paper)
    record = paper.mirror.add("m", title="one", severity=Severity.HIGH, tags=frozenset({"a"}))
    record.created_for = "t/origin/1"
    paper.mirror.edit("m", severity=Severity.MEDIUM, tags=frozenset({"b"}))

    # when
    step = paper.see(paper.mirror, "m")

    # then
    assert paper.hub.fields.severity is Severity.MEDIUM
    assert paper.hub.fields.tags == {"b"}
    assert step.revision is not None
    assert set(step.revision.changes) == {"severity", "tags"}


def test_what_our_copy_cannot_hold_is_no_news_at_the_first_look() -> None:
    # given
    paper = Paper(is_paired=False)
    paper.origin.edit("1", description="x" * 80, verdict=verdict("true_positive", "phishing"))
    paper.see(paper.origin, "1")
    creating(paper)
    paper.mirror.add("m", title="one", description="x" * 80, verdict=verdict("true_positive"))
    paper.mirror.records["m"].created_for = "t/origin/1"
    paper.mirror.edit("m", status=Status.ACTIVE)

    # when
    paper.see(paper.mirror, "m")

    # then
    assert paper.hub.fields.verdict == verdict("true_positive", "phishing")
    assert paper.hub.fields.description == "x" * 80
    assert paper.hub.fields.status is Status.ACTIVE


def test_what_our_copy_does_not_let_us_write_is_no_news_at_the_first_look() -> None:
    # given
    paper = Paper(is_paired=False)
    paper.mirror.writable = frozenset({"title", "severity"})
    creating(paper)
    paper.mirror.add("m", title="one", owner=Owner(upn="ada")).created_for = "t/origin/1"
    paper.mirror.edit("m", severity=Severity.HIGH)

    # when
    paper.see(paper.mirror, "m")

    # then
    assert paper.hub.fields.owner is None
    assert paper.hub.fields.severity is Severity.HIGH


@pytest.mark.parametrize(
    "changes",
    [
        {"state": WriteState.PLANNED},
        {"source_id": "elsewhere"},
        {"kind": WriteKind.UPDATE},
        {"intended": {"native_id": "another"}},
    ],
)
def test_a_copy_that_we_are_not_making_is_met_as_anybodys(changes: dict[str, Any]) -> None:
    # given
    paper = Paper(is_paired=False)
    creating(paper, **changes)
    paper.mirror.add("m", title="one", severity=Severity.HIGH)

    # when
    paper.see(paper.mirror, "m")

    # then
    assert not paper.there.is_ours
    assert paper.there.acceptance is Acceptance.PENDING


def test_our_copy_of_a_journal_that_was_lost_is_ours_and_its_differences_wait() -> None:
    # given
    paper = Paper(is_paired=False)
    paper.mirror.add("m", severity=Severity.HIGH).created_for = "t/origin/1"

    # when
    paper.see(paper.mirror, "m")

    # then
    assert paper.there.is_ours
    assert paper.there.acceptance is Acceptance.PENDING


def test_the_products_own_copy_takes_the_place_of_ours(paper: Paper) -> None:
    # given
    record = paper.mirror.add("theirs", title="one")
    record.counterpart = ("detector", "1")

    # when
    paper.see(paper.mirror, "theirs")

    # then
    assert paper.there.retired_to == paper.link(paper.mirror, "theirs").id
    retire = [one for one in paper.hub.writes if one.kind is WriteKind.RETIRE]
    assert [one.intended["status"] for one in retire] == ["closed"]
    (word,) = [one for one in paper.hub.comments if one.kind == "note"]
    assert "https://mirror.example/theirs" in word.text


def test_the_products_own_copy_takes_over_although_the_incident_is_gone_where_it_began(
    paper: Paper,
) -> None:
    # given
    gone = msgspec.structs.replace(paper.here, deleted_at=paper.clock.now())
    paper.hub = paper.hub.with_link(gone)
    record = paper.mirror.add("theirs", title="one")
    record.counterpart = ("detector", "1")

    # when
    paper.see(paper.mirror, "theirs")

    # then
    assert paper.there.retired_to == paper.link(paper.mirror, "theirs").id


def test_the_products_own_copy_takes_over_although_the_incident_is_merged_away(
    paper: Paper,
) -> None:
    # given
    paper.hub = paper.hub.replace(merged_into=paper.hub.id)
    record = paper.mirror.add("theirs", title="one")
    record.counterpart = ("detector", "1")

    # when
    paper.see(paper.mirror, "theirs")

    # then
    assert paper.there.retired_to == paper.link(paper.mirror, "theirs").id


def merged_away(paper: Paper) -> None:
    """Let the incident have been merged into another, as the product says that detects."""
    paper.hub = paper.hub.replace(merged_into=paper.hub.id)
    paper.alter(paper.here, merged_into_native_id="9")


def retires(paper: Paper) -> list[str | None]:
    return [one.link_id for one in paper.hub.writes if one.kind is WriteKind.RETIRE]


def test_our_copy_that_is_heard_of_after_its_incident_was_merged_away_is_closed() -> None:
    # given
    paper = Paper(is_paired=False)
    creating(paper)
    paper.mirror.add("m", title="one").created_for = "t/origin/1"
    merged_away(paper)

    # when
    paper.see(paper.mirror, "m")

    # then
    assert retires(paper) == [paper.there.id]
    (word,) = [one for one in paper.hub.comments if one.kind == "note"]
    assert word.text == "This incident was merged into detector 9"


def test_somebodys_copy_that_is_heard_of_after_a_merge_is_left_alone(paper: Paper) -> None:
    # given
    paper.alter(paper.there, deleted_at=paper.clock.now())
    merged_away(paper)
    record = paper.mirror.add("theirs", title="one")
    record.counterpart = ("detector", "1")

    # when
    paper.see(paper.mirror, "theirs")

    # then
    assert retires(paper) == []


def test_our_copy_that_is_gone_when_it_is_heard_of_after_a_merge_is_not_closed() -> None:
    # given
    paper = Paper(is_paired=False)
    creating(paper)
    paper.mirror.add("m", title="one").created_for = "t/origin/1"
    merged_away(paper)
    gone = msgspec.structs.replace(paper.mirror.observed("m"), is_deleted=True)

    # when
    take_in(paper, gone)

    # then
    assert retires(paper) == []


def test_the_products_own_copy_spares_us_nothing_elsewhere() -> None:
    # given: what is on its way is for another mirror
    paper = Paper(is_paired=False)
    write = creating(paper, state=WriteState.PLANNED, source_id="second")
    record = paper.mirror.add("theirs", title="one")
    record.counterpart = ("detector", "1")

    # when
    paper.see(paper.mirror, "theirs")

    # then
    (made,) = [one for one in paper.hub.writes if one.id == write.id]
    assert made.state is WriteState.PLANNED


def after_its_copy(paper: Paper) -> None:
    """Let the incident be known by a copy alone."""
    links = tuple(one for one in paper.hub.links if one.source_id == paper.mirror.source_id)
    paper.hub = paper.hub.replace(links=links)


def test_an_incident_whose_copy_was_heard_of_first_begins_with_the_original(paper: Paper) -> None:
    # given
    after_its_copy(paper)

    # when
    step = take_in(paper, look(paper))

    # then
    assert step.revision is not None
    assert step.revision.events == (IncidentEvent.CREATED,)


def test_another_copy_of_a_mirror_begins_nothing(paper: Paper) -> None:
    # given
    after_its_copy(paper)
    paper.mirror.add("n", title="one").counterpart = ("detector", "1")

    # when
    step = take_in(paper, paper.mirror.observed("n"))

    # then
    assert step.revision is None or IncidentEvent.CREATED not in step.revision.events


def test_an_original_of_a_merged_incident_begins_nothing(paper: Paper) -> None:
    # given
    after_its_copy(paper)
    paper.hub = paper.hub.replace(merged_into=paper.hub.id)

    # when
    step = take_in(paper, look(paper))

    # then
    assert step.revision is None or IncidentEvent.CREATED not in step.revision.events


def test_a_second_original_begins_nothing(paper: Paper) -> None:
    # given
    paper.origin.add("2", title="one")

    # when
    step = take_in(paper, paper.origin.observed("2"))

    # then
    assert step.revision is None or IncidentEvent.CREATED not in step.revision.events


def test_the_products_own_copy_spares_us_the_making_of_one() -> None:
    # given
    paper = Paper(is_paired=False)
    write = creating(paper, state=WriteState.PLANNED)
    record = paper.mirror.add("theirs", title="one")
    record.counterpart = ("detector", "1")

    # when
    paper.see(paper.mirror, "theirs")

    # then
    (made,) = [one for one in paper.hub.writes if one.id == write.id]
    assert made.state is WriteState.SUPERSEDED


def test_a_copy_that_is_left_when_all_were_deleted_is_taken_as_it_is(paper: Paper) -> None:
    # given
    for link in paper.hub.links:
        paper.alter(link, deleted_at=paper.clock.now())
    paper.origin.add("2", title="another", severity=Severity.HIGH)

    # when
    paper.see(paper.origin, "2")

    # then
    assert paper.hub.fields.severity is Severity.HIGH
    assert paper.mark("severity").vouched == "high"
    assert paper.link(paper.origin, "2").acceptance is Acceptance.ACCEPTED
    assert paper.hub.origin_native_id == "1"


# -- revisions -----------------------------------------------------------------------------------


def test_the_first_look_is_a_revision_and_one_without_news_is_none(paper: Paper) -> None:
    # given
    fresh = Paper(is_paired=False)
    fresh.hub = fresh.hub.replace(revision=0, links=())

    # when
    first = fresh.see(fresh.origin, "1").revision
    second = fresh.see(fresh.origin, "1").revision

    # then
    assert first is not None
    assert first.events == (IncidentEvent.CREATED,)
    assert first.happened_at == fresh.origin.records["1"].created
    assert second is None


def test_a_revision_tells_what_changed_when_where_and_by_whom(paper: Paper) -> None:
    # given
    paper.origin.edit("1", severity=Severity.HIGH, tags=frozenset({"a"}))

    # when
    draft = paper.see(paper.origin, "1").revision

    # then
    assert draft is not None
    assert draft.changes == {"severity": ["low", "high"], "tags": [[], ["a"]]}
    assert draft.events == (
        IncidentEvent.UPDATED,
        IncidentEvent.SEVERITY_CHANGED,
        IncidentEvent.TAGS_CHANGED,
    )
    assert (draft.source_id, draft.link_id, draft.actor) == ("origin", paper.here.id, "somebody")
    assert draft.happened_at == paper.origin.records["1"].changed
    assert draft.stamp == paper.origin.records["1"].changed.isoformat()
    assert draft.origin is Origin.LIVE


def test_nothing_has_happened_later_than_now(paper: Paper) -> None:
    # given
    paper.origin.edit("1", title="two")
    ahead = look(paper, changed_at=paper.clock.now() + timedelta(hours=1))
    now = paper.clock.now()

    # when
    draft = take_in(paper, ahead, now=now).revision

    # then
    assert draft.happened_at == now


def test_what_has_no_stamp_happened_now(paper: Paper) -> None:
    # given
    paper.origin.edit("1", title="two")
    now = paper.clock.now()

    # when
    draft = take_in(paper, look(paper, changed_at=None), now=now).revision

    # then
    assert draft.happened_at == now


def test_alerts_comments_entities_and_losses_are_news(paper: Paper) -> None:
    # given
    paper.origin.say("1", "hello")
    alert = Alert(id="a1", title="x")

    # when
    draft = paper.see(
        paper.origin,
        "1",
        new_alerts=("a1",),
        changed_alerts=(alert,),
        new_entities=(EntityId("e1"),),
        gone_alerts=(Alert(id="a0"),),
        gone_entities=(EntityId("e0"),),
    ).revision

    # then
    assert draft is not None
    assert draft.changes["alerts"] == [["a0"], ["a1"]]
    assert draft.changes["entities"] == [["e0"], ["e1"]]
    assert len(draft.changes["comments"][1]) == 1
    assert set(draft.events) == {
        IncidentEvent.UPDATED,
        IncidentEvent.COMMENT_ADDED,
        IncidentEvent.ALERTS_ADDED,
        IncidentEvent.ALERTS_MOVED,
    }


def test_alerts_that_only_went_are_not_added_and_the_other_way_round() -> None:
    # given / when / then
    assert IncidentEvent.ALERTS_ADDED not in events_of({"alerts": [["a"], []]}, is_first=False)
    assert IncidentEvent.ALERTS_MOVED not in events_of({"alerts": [[], ["a"]]}, is_first=False)
    assert events_of({}, is_first=False) == (IncidentEvent.UPDATED,)
    assert events_of({"title": ["a", "b"]}, is_first=True) == (IncidentEvent.CREATED,)


def test_meeting_another_copy_is_no_live_change() -> None:
    # given
    paper = Paper(is_paired=False)
    paper.mirror.add("m", severity=Severity.HIGH)

    # when
    draft = paper.see(paper.mirror, "m", is_accepted=True).revision

    # then
    assert draft is not None
    assert draft.origin is Origin.ADOPTION
    assert draft.link_id == paper.there.id


def test_without_changes_there_is_no_revision_but_the_first(paper: Paper) -> None:
    # given
    seen = look(paper)

    # when / then
    assert revision_of(paper.hub, {}, seen, paper.sighting()) is None
    first = revision_of(paper.hub.replace(revision=0), {}, seen, paper.sighting())
    assert first is not None
    assert first.changes == {}


def test_a_shadow_follows_what_was_taken_over(paper: Paper) -> None:
    # given
    paper.mirror.edit("m", title="two")

    # when
    paper.see(paper.mirror, "m")

    # then
    native = paper.mirror.observed("m").native
    assert paper.there.shadow == Shadow(native=native, fields=paper.mirror.fields_of("m"))


# -- what else goes with a step ------------------------------------------------------------------


def test_a_copy_says_for_good_where_it_was_merged_to(paper: Paper) -> None:
    # given
    take_in(paper, look(paper, merged_into="2"))
    first = paper.here.merged_into_native_id

    # when
    take_in(paper, look(paper, merged_into=None))

    # then
    assert (first, paper.here.merged_into_native_id) == ("2", "2")
    assert not paper.here.is_live


def test_a_conflict_is_part_of_the_step(paper: Paper) -> None:
    # given
    paper.origin.edit("1", title="origins")
    paper.mirror.edit("m", title="mirrors")
    paper.see(paper.origin, "1")

    # when
    step = paper.see(paper.mirror, "m")

    # then
    assert [(one.field, one.kind) for one in step.conflicts] == [("title", "both_changed")]


def test_what_is_settled_at_first_sight_is_put_on_record(paper: Paper) -> None:
    # given
    fresh = Paper(is_paired=False)
    record = fresh.mirror.add("m", title="one", severity=Severity.HIGH)
    record.counterpart = ("detector", "1")

    # when
    step = fresh.see(fresh.mirror, "m", is_accepted=True)

    # then
    assert [(one.field, one.kind) for one in step.conflicts] == [("severity", "first_contact")]


def test_what_waits_for_a_person_is_not_on_record_yet() -> None:
    # given
    paper = Paper(is_paired=False)
    paper.mirror.add("m", title="one", severity=Severity.HIGH).counterpart = ("detector", "1")

    # when
    step = paper.see(paper.mirror, "m")

    # then
    assert step.conflicts == ()


def test_who_opened_an_incident_is_its_marks_author() -> None:
    # given
    paper = Paper(is_paired=False)
    paper.hub = paper.hub.replace(revision=0, links=(), marks={})
    paper.origin.records["1"].by = "ada"

    # when
    paper.see(paper.origin, "1")

    # then
    assert paper.mark("title").by == "ada"


def test_confirming_what_we_send_leaves_the_rest_of_the_shadow(paper: Paper) -> None:
    # given: of two fields that we send, one has arrived
    want = {"title": "two", "severity": Severity.HIGH}
    paper.hub = paper.hub.replace(fields=paper.hub.fields.replace(want))
    sending(paper, {"title": "two", "severity": "high"})
    paper.origin.edit("1", title="two")

    # when
    paper.see(paper.origin, "1")

    # then
    assert (paper.hub.fields.title, paper.hub.fields.severity) == ("two", Severity.HIGH)
    assert paper.here.shadow.native["severity"] == "low"


def test_what_is_confirmed_moves_the_shadow_before_fields_are_compared(paper: Paper) -> None:
    # given: what the copy shows is our own doing, and the incident went on since
    ours(paper)
    sending(paper, {"title": "two", "severity": "high", "host": "x"})
    went_on = {"title": "three", "severity": Severity.MEDIUM}
    paper.hub = paper.hub.replace(fields=paper.hub.fields.replace(went_on))

    # when
    step = paper.see(paper.origin, "1")

    # then: no value of ours is given up, and no conflict is made of an echo
    assert step.conflicts == ()
    assert paper.hub.fields.title == "three"


def test_a_copy_without_stamps_may_have_been_changed_before_we_saw_it() -> None:
    # given
    paper = Paper(is_paired=False)
    creating(paper)
    record = paper.mirror.add("m", title="one", severity=Severity.HIGH)
    record.created_for = "t/origin/1"
    seen = msgspec.structs.replace(paper.mirror.observed("m"), created_at=None, changed_at=None)

    # when
    take_in(paper, seen)

    # then
    assert paper.hub.fields.severity is Severity.HIGH


def test_what_a_product_makes_of_our_copy_at_once_is_no_persons_change() -> None:
    # given: untouched since it was made, and yet not as it was sent
    paper = Paper(is_paired=False)
    creating(paper)
    paper.mirror.add("m", title="one", severity=Severity.HIGH).created_for = "t/origin/1"

    # when
    paper.see(paper.mirror, "m")

    # then
    assert paper.hub.fields.severity is Severity.LOW
    assert paper.there.shadow == paper.there.observed


def test_the_comments_of_a_merged_incident_are_left_to_its_winner(paper: Paper) -> None:
    # given
    paper.hub = paper.hub.replace(merged_into=paper.hub.id)
    paper.origin.say("1", "hello")

    # when
    step = paper.see(paper.origin, "1")

    # then
    assert paper.hub.comments == ()
    assert step.revision is None
