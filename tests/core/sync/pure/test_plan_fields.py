"""Which updates are planned for a copy: joined where they can be, left alone where they must."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.sync_paper import Paper

from quell.domain.hub import Bounds, IncidentWrite, Mark, WriteKind, WriteState
from quell.domain.incident import Severity
from quell.sync.plan import new_write
from quell.sync.plan.fields import plan_fields
from quell.sync.plan.writes import is_patient


@pytest.fixture
def paper() -> Paper:
    """Give an incident with two copies in step."""
    return Paper()


def want(paper: Paper, **fields: Any) -> None:
    """Let the incident have other values, with nothing planned yet."""
    mark = Mark(bounds=Bounds(since=paper.clock.now()))
    marks = {**paper.hub.marks, **dict.fromkeys(fields, mark)}
    paper.hub = paper.hub.replace(fields=paper.hub.fields.replace(fields), marks=marks)


def plan(
    paper: Paper, *, minutes: float = 0, caused_by: str | None = None
) -> tuple[list[IncidentWrite], datetime]:
    """Plan the updates of the copy in the mirror; gives those planned, and the time."""
    now = paper.clock.now()
    delay = timedelta(minutes=minutes)
    paper.hub = plan_fields(paper.hub, paper.there, paper.rules, now, delay, caused_by)
    return paper.updates(), now


def test_nothing_is_planned_for_copies_in_step(paper: Paper) -> None:
    # given
    before = paper.hub

    # when
    writes, _ = plan(paper)

    # then
    assert writes == []
    assert paper.hub == before


def test_all_that_is_due_is_one_write(paper: Paper) -> None:
    # given
    want(paper, title="two", severity=Severity.HIGH)

    # when
    (write,), now = plan(paper, caused_by="run-1")

    # then
    assert write.intended == {"title": "two", "severity": "high"}
    assert (write.link_id, write.source_id) == (paper.there.id, "mirror")
    assert (write.planned_at, write.not_before, write.caused_by) == (now, None, "run-1")
    assert (write.kind, write.state) == (WriteKind.UPDATE, WriteState.PLANNED)


def test_planning_again_changes_nothing(paper: Paper) -> None:
    # given
    want(paper, title="two")
    plan(paper)
    before = paper.hub

    # when
    plan(paper)

    # then
    assert paper.hub == before


def test_a_write_may_have_to_wait(paper: Paper) -> None:
    # given
    want(paper, title="two")

    # when
    (write,), now = plan(paper, minutes=5)

    # then
    assert write.not_before == now + timedelta(minutes=5)
    assert not is_patient(write)


def test_nothing_is_planned_beside_a_write_that_is_being_sent(paper: Paper) -> None:
    # given
    want(paper, title="two")
    (write,), _ = plan(paper)
    paper.put(write, state=WriteState.SENDING)
    want(paper, title="three")
    before = paper.hub

    # when
    plan(paper)

    # then
    assert paper.hub == before


def test_a_write_to_another_copy_holds_nothing_up(paper: Paper) -> None:
    # given
    want(paper, title="two")
    (write,), _ = plan(paper)
    paper.put(write, state=WriteState.SENDING, link_id=paper.here.id)

    # when
    writes, _ = plan(paper)

    # then
    assert [one.intended for one in writes] == [{"title": "two"}]


def test_a_comment_that_is_being_sent_holds_no_field_up(paper: Paper) -> None:
    # given
    want(paper, title="two")
    (write,), _ = plan(paper)
    paper.put(write, state=WriteState.SENDING, kind=WriteKind.COMMENT)

    # when
    writes, _ = plan(paper)

    # then
    assert [one.intended for one in writes] == [{"title": "two"}]


def test_a_planned_write_that_is_not_wanted_any_more_is_superseded(paper: Paper) -> None:
    # given
    want(paper, title="two")
    (first,), _ = plan(paper, caused_by="run-1")
    want(paper, title="three")

    # when
    (write,), _ = plan(paper)

    # then
    assert write.intended == {"title": "three"}
    assert write.caused_by is None
    (old,) = paper.updates(WriteState.SUPERSEDED)
    assert (old.id, old.error) == (first.id, "the incident went on")


def test_a_planned_write_takes_in_what_came_due_since(paper: Paper) -> None:
    # given
    want(paper, title="two")
    plan(paper, caused_by="run-1")
    want(paper, severity=Severity.HIGH)

    # when
    (write,), _ = plan(paper)

    # then
    assert write.intended == {"title": "two", "severity": "high"}
    assert write.caused_by == "run-1"
    assert len(paper.updates(WriteState.SUPERSEDED)) == 1


def test_a_later_cause_is_not_replaced_by_an_earlier_one(paper: Paper) -> None:
    # given
    want(paper, title="two")
    plan(paper, caused_by="run-1")
    want(paper, severity=Severity.HIGH)

    # when
    (write,), _ = plan(paper, caused_by="run-2")

    # then
    assert write.caused_by == "run-2"


@pytest.mark.parametrize("why", ["failed", "has its turn"])
def test_a_write_that_stands_alone_is_not_joined_with_others(paper: Paper, why: str) -> None:
    # given
    want(paper, title="two")
    (first,), now = plan(paper)
    change: dict[str, Any] = {"error": "it failed"} if why == "failed" else {"not_before": now}
    paper.put(first, **change)
    want(paper, severity=Severity.HIGH)

    # when
    writes, _ = plan(paper)

    # then
    assert [one.intended for one in writes] == [{"title": "two"}, {"severity": "high"}]
    assert writes[0].id == first.id


def test_a_write_that_stands_alone_is_dropped_when_it_is_not_wanted(paper: Paper) -> None:
    # given
    want(paper, title="two")
    (first,), _ = plan(paper)
    paper.put(first, error="it failed")
    want(paper, title="three")

    # when
    writes, _ = plan(paper)

    # then
    assert [one.intended for one in writes] == [{"title": "three"}]


def test_a_write_of_which_a_part_is_not_wanted_any_more_is_dropped(paper: Paper) -> None:
    # given
    want(paper, title="two", severity=Severity.HIGH)
    (first,), _ = plan(paper)
    paper.put(first, error="it failed")
    want(paper, title="one")

    # when
    writes, _ = plan(paper)

    # then
    assert [one.intended for one in writes] == [{"severity": "high"}]


def test_what_the_product_refused_is_not_planned_again(paper: Paper) -> None:
    # given
    want(paper, title="two", severity=Severity.HIGH)
    (first,), _ = plan(paper)
    paper.put(first, state=WriteState.PARKED, intended={"title": "two"})

    # when
    writes, _ = plan(paper)

    # then
    assert [one.intended for one in writes] == [{"severity": "high"}]


def test_another_value_of_a_refused_field_is_tried(paper: Paper) -> None:
    # given
    want(paper, title="two")
    (first,), _ = plan(paper)
    paper.put(first, state=WriteState.PARKED)
    want(paper, title="three")

    # when
    writes, _ = plan(paper)

    # then
    assert [one.intended for one in writes] == [{"title": "three"}]


@pytest.mark.parametrize("state", [WriteState.APPLIED, WriteState.SUPERSEDED])
def test_what_was_settled_before_says_nothing_about_now(paper: Paper, state: WriteState) -> None:
    # given
    want(paper, title="two")
    (first,), _ = plan(paper)
    paper.put(first, state=state)

    # when
    writes, _ = plan(paper)

    # then
    assert [one.intended for one in writes] == [{"title": "two"}]


# -- what the vendor's own connector brings ------------------------------------------------------


@pytest.fixture
def vendors() -> Paper:
    """Give an incident whose copy the vendor's connector made, and in which it carries the title."""
    paper = Paper(mode="overlay", is_paired=False, patience=timedelta(minutes=15))
    paper.mirror.carried = frozenset({"title"})
    paper.mirror.add("m", title="one").counterpart = ("detector", "1")
    paper.see(paper.mirror, "m")
    return paper


def test_what_the_connector_carries_waits_and_the_rest_is_written(vendors: Paper) -> None:
    # given
    want(vendors, title="two", severity=Severity.HIGH)

    # when
    writes, now = plan(vendors)

    # then
    waits = {tuple(one.intended): one for one in writes}
    assert set(waits) == {("title",), ("severity",)}
    patient = waits[("title",)]
    assert is_patient(patient)
    assert patient.not_before == vendors.mark("title").bounds.since + timedelta(minutes=15)
    assert patient.not_before is not None
    assert patient.not_before > now
    prompt = waits[("severity",)]
    assert (is_patient(prompt), prompt.not_before) == (False, None)


def test_a_prompt_write_may_be_delayed_and_a_patient_one_keeps_its_time(vendors: Paper) -> None:
    # given
    want(vendors, title="two", severity=Severity.HIGH)

    # when
    writes, now = plan(vendors, minutes=1)

    # then
    times = {tuple(one.intended): one.not_before for one in writes}
    assert times[("severity",)] == now + timedelta(minutes=1)
    assert times[("title",)] == vendors.mark("title").bounds.since + timedelta(minutes=15)


def test_planning_what_waits_again_changes_nothing(vendors: Paper) -> None:
    # given
    want(vendors, title="two", severity=Severity.HIGH)
    plan(vendors)
    before = vendors.hub

    # when
    plan(vendors)

    # then
    assert vendors.hub == before


def test_what_stayed_apart_for_too_long_is_written(vendors: Paper) -> None:
    # given
    want(vendors, title="two")
    plan(vendors)
    vendors.pass_time(16)

    # when
    (write,), _ = plan(vendors)

    # then
    assert (is_patient(write), write.intended) == (False, {"title": "two"})
    assert write.not_before is None


def test_a_wait_ends_at_its_very_moment(vendors: Paper) -> None:
    # given
    want(vendors, title="two")
    at = vendors.mark("title").bounds.since + timedelta(minutes=15)

    # when
    hub = plan_fields(vendors.hub, vendors.there, vendors.rules, at, timedelta(), None)

    # then
    (write,) = [one for one in hub.writes if one.kind is WriteKind.UPDATE]
    assert not is_patient(write)


def test_a_field_that_the_connector_brought_is_not_written_by_us(vendors: Paper) -> None:
    # given
    want(vendors, title="two")
    plan(vendors)
    vendors.mirror.edit("m", title="two")

    # when
    vendors.see(vendors.mirror, "m")

    # then
    assert [one.source_id for one in vendors.updates()] == ["origin"]
    assert len(vendors.updates(WriteState.SUPERSEDED)) == 1


def test_a_prompt_write_of_the_same_is_not_taken_for_the_patient_one(vendors: Paper) -> None:
    # given
    want(vendors, title="two")
    prompt = new_write(
        vendors.hub,
        link=vendors.there,
        source_id=vendors.mirror.source_id,
        kind=WriteKind.UPDATE,
        key="update/x",
        intended={"title": "two"},
        now=vendors.clock.now(),
    )
    vendors.hub = vendors.hub.with_write(prompt)

    # when
    (write,), _ = plan(vendors)

    # then
    assert is_patient(write)
    assert [one.id for one in vendors.updates(WriteState.SUPERSEDED)] == [prompt.id]


def test_what_waits_takes_its_cause_along_when_it_is_joined(vendors: Paper) -> None:
    # given
    want(vendors, title="two")
    plan(vendors, caused_by="run-1")
    vendors.pass_time(16)

    # when
    (write,), _ = plan(vendors)

    # then
    assert write.caused_by == "run-1"
