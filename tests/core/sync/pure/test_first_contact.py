"""Copies that are met for the first time: what differs, who decides it, and how."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.sync_model import verdict
from tests.sync_paper import Paper

from quell.domain.hub import Acceptance, Bounds, Mark
from quell.domain.incident import Owner, Severity, Status
from quell.sync.absorb.first_contact import (
    BY_POLICY,
    Drift,
    accept,
    drift_of,
    gave_way,
    meet,
    settle_alike,
)


@pytest.fixture
def paper() -> Paper:
    """Give an incident that has no copy in the mirror yet."""
    return Paper(is_paired=False)


def find(paper: Paper, *, is_accepted: bool = False, **fields: Any) -> None:
    """Let the mirror's own product have made a copy, and meet it."""
    record = paper.mirror.add("m", **{"title": "one", **fields})
    record.counterpart = ("detector", "1")
    paper.see(paper.mirror, "m", is_accepted=is_accepted)


def settled(paper: Paper) -> dict[str, Any]:
    """Give what accepting would make of each field that differs."""
    return {one.field: one.settled for one in drift_of(paper.hub, paper.rules)}


def test_a_copy_that_does_not_differ_is_accepted_by_itself(paper: Paper) -> None:
    # given / when
    find(paper)

    # then
    assert paper.there.acceptance is Acceptance.ACCEPTED
    assert drift_of(paper.hub, paper.rules) == []


def test_a_copy_that_differs_waits_and_changes_nothing(paper: Paper) -> None:
    # given
    before = paper.hub.fields

    # when
    find(paper, title="another", severity=Severity.HIGH)

    # then
    assert paper.there.acceptance is Acceptance.PENDING
    assert paper.hub.fields == before
    assert paper.updates() == []
    assert paper.there.shadow == paper.there.observed


def test_drift_names_the_copy_both_values_and_what_would_be_written(paper: Paper) -> None:
    # given / when
    find(paper, severity=Severity.HIGH)

    # then
    assert drift_of(paper.hub, paper.rules) == [
        Drift(
            incident_id="i",
            source_id="mirror",
            native_id="m",
            field="severity",
            ours="low",
            theirs="high",
            settled="high",
        )
    ]


def test_a_copy_of_a_source_that_was_accepted_is_settled_at_once(paper: Paper) -> None:
    # given / when
    find(paper, is_accepted=True, severity=Severity.HIGH)

    # then
    assert paper.there.acceptance is Acceptance.ACCEPTED
    assert paper.hub.fields.severity is Severity.HIGH


def test_meeting_a_copy_lets_its_shadow_say_what_it_says(paper: Paper) -> None:
    # given
    find(paper)
    link = msgspec.structs.replace(
        paper.there, shadow=msgspec.structs.replace(paper.there.shadow, native={})
    )

    # when
    met = meet(paper.hub, link, paper.rules, is_accepted=False)

    # then
    found = met.link(link.id)
    assert found is not None
    assert found.shadow == link.observed


def test_accepting_takes_the_copys_value_and_says_where_it_came_from(paper: Paper) -> None:
    # given
    find(paper, severity=Severity.HIGH)
    before = paper.hub.marks

    # when
    hub = accept(paper.hub, None, paper.rules)

    # then
    assert hub.fields.severity is Severity.HIGH
    mark, link = hub.marks["severity"], paper.there
    assert (mark.system, mark.link_id, mark.bounds) == (
        "mirror",
        link.id,
        link.bounds["severity"],
    )
    assert {name for name in before if hub.marks[name] != before[name]} == {"severity"}
    assert [one.acceptance for one in hub.links] == [Acceptance.ACCEPTED] * 2


def test_without_bounds_an_accepted_value_dates_from_when_it_was_seen(paper: Paper) -> None:
    # given
    find(paper, severity=Severity.HIGH)
    paper.alter(paper.there, bounds={})

    # when
    hub = accept(paper.hub, "mirror", paper.rules)

    # then
    expected = Mark(
        system="mirror", link_id=paper.there.id, bounds=Bounds(since=paper.there.seen_at)
    )
    assert hub.marks["severity"] == expected


def test_accepting_another_source_leaves_a_copy_waiting(paper: Paper) -> None:
    # given
    find(paper, severity=Severity.HIGH)

    # when
    hub = accept(paper.hub, "elsewhere", paper.rules)

    # then
    assert hub == paper.hub


def test_accepting_leaves_alone_what_does_not_wait(paper: Paper) -> None:
    # given
    find(paper)

    # when
    hub = accept(paper.hub, None, paper.rules)

    # then
    assert hub == paper.hub


def test_one_of_two_waiting_sources_may_be_accepted(paper: Paper) -> None:
    # given
    find(paper, severity=Severity.HIGH)
    paper.wait_for_a_person(paper.here)

    # when
    hub = accept(paper.hub, "mirror", paper.rules)

    # then
    assert [one.acceptance for one in hub.links] == [Acceptance.PENDING, Acceptance.ACCEPTED]
    assert hub.fields.severity is Severity.HIGH


# -- who decides ---------------------------------------------------------------------------------

SAID: list[tuple[str, Any, Any]] = [
    ("description", None, "what it is about"),
    ("severity", Severity.UNKNOWN, Severity.LOW),
    ("status", Status.NEW, Status.ACTIVE),
    ("owner", None, Owner(upn="ada")),
    ("closing_comment", None, "done"),
    ("verdict", None, verdict("true_positive")),
    ("verdict", verdict("undetermined"), verdict("false_positive")),
]


@pytest.mark.parametrize(("name", "unsaid", "said"), SAID)
@pytest.mark.parametrize("winner", ["latest", "detector", "mirror"])
def test_what_was_said_wins_over_what_nobody_has_said(
    winner: str, name: str, unsaid: Any, said: Any
) -> None:
    # given
    for own, other in ((unsaid, said), (said, unsaid)):
        paper = Paper(is_paired=False, default=winner)
        paper.origin.edit("1", **{name: own})
        paper.see(paper.origin, "1")

        # when
        find(paper, is_accepted=True, **{name: other})

        # then
        assert getattr(paper.hub.fields, name) == said


def test_the_incidents_own_value_stays_where_it_was_changed_later(paper: Paper) -> None:
    # given
    find(paper, severity=Severity.HIGH)
    paper.origin.edit("1", severity=Severity.MEDIUM)

    # when
    paper.see(paper.origin, "1")

    # then
    assert settled(paper) == {"severity": "medium"}


def test_a_copy_that_was_changed_at_the_same_moment_does_not_win(paper: Paper) -> None:
    # given
    find(paper, severity=Severity.HIGH)

    # when
    paper.alter(paper.there, changed_at=paper.here.changed_at)

    # then
    assert settled(paper) == {"severity": "low"}


def test_a_copy_must_be_later_than_every_other(paper: Paper) -> None:
    # given
    find(paper, severity=Severity.HIGH)
    assert paper.here.changed_at is not None
    third = msgspec.structs.replace(
        paper.here, id="third", changed_at=paper.there.changed_at, native_id="3"
    )
    paper.hub = paper.hub.with_link(third)

    # when / then
    assert settled(paper) == {"severity": "low"}


def test_copies_without_a_stamp_do_not_count_against_another(paper: Paper) -> None:
    # given
    find(paper, severity=Severity.HIGH)

    # when
    paper.alter(paper.here, changed_at=None)

    # then
    assert settled(paper) == {"severity": "high"}


def test_a_copy_without_a_stamp_does_not_win(paper: Paper) -> None:
    # given
    find(paper, severity=Severity.HIGH)

    # when
    paper.alter(paper.there, changed_at=None)

    # then
    assert settled(paper) == {"severity": "low"}


@pytest.mark.parametrize(("winner", "value"), [("detector", "low"), ("mirror", "high")])
@pytest.mark.parametrize("hours", [-1, 1])
def test_a_named_source_decides_whenever_it_was_changed(
    winner: str, value: str, hours: int
) -> None:
    # given
    paper = Paper(is_paired=False, default=winner)
    find(paper, severity=Severity.HIGH)

    # when
    assert paper.there.changed_at is not None
    paper.alter(paper.there, changed_at=paper.there.changed_at + timedelta(hours=hours))

    # then
    assert settled(paper) == {"severity": value}


def test_tags_of_both_are_kept(paper: Paper) -> None:
    # given
    paper.origin.edit("1", tags=frozenset({"a"}))
    paper.see(paper.origin, "1")

    # when
    find(paper, tags=frozenset({"b"}))

    # then
    assert settled(paper) == {"tags": ["a", "b"]}


def test_an_ignored_field_is_no_drift() -> None:
    # given
    paper = Paper(is_paired=False, ignored=frozenset({"severity"}))

    # when
    find(paper, severity=Severity.HIGH)

    # then
    assert paper.there.acceptance is Acceptance.ACCEPTED


def test_a_field_that_cannot_be_written_is_no_drift(paper: Paper) -> None:
    # given
    paper.mirror.writable = frozenset({"title"})

    # when
    find(paper, severity=Severity.HIGH)

    # then
    assert paper.there.acceptance is Acceptance.ACCEPTED


def test_copies_that_came_to_agree_are_settled_without_a_person(paper: Paper) -> None:
    # given
    find(paper, severity=Severity.HIGH)
    paper.hub = paper.hub.replace(fields=paper.hub.fields.replace({"severity": Severity.HIGH}))

    # when
    hub = settle_alike(paper.hub, paper.rules)

    # then
    assert [one.acceptance for one in hub.links] == [Acceptance.ACCEPTED] * 2


def test_copies_that_still_differ_are_not_settled_without_a_person(paper: Paper) -> None:
    # given
    find(paper, severity=Severity.HIGH)

    # when
    hub = settle_alike(paper.hub, paper.rules)

    # then
    assert hub == paper.hub


# -- what gives way is on record -----------------------------------------------------------------


def test_a_said_value_that_accepting_takes_away_is_put_on_record(paper: Paper) -> None:
    # given
    paper.origin.edit("1", severity=Severity.MEDIUM)
    paper.see(paper.origin, "1")
    find(paper, severity=Severity.HIGH)

    # when
    (conflict,) = gave_way(paper.hub, None, paper.rules, "ada")

    # then
    assert (conflict.field, conflict.kind) == ("severity", "first_contact")
    assert conflict.settled_by == "ada"
    assert conflict.body["won"] == "mirror"
    assert conflict.body["value"] == "high"
    ours, theirs = conflict.body["sides"]
    assert (ours["system"], ours["source"], ours["value"]) == ("detector", "origin", "medium")
    assert ours["by"] == paper.mark("severity").by == "somebody"
    assert (theirs["system"], theirs["source"]) == ("mirror", "mirror")
    assert (theirs["value"], theirs["raw"]) == ("high", "high")


def test_a_value_of_the_copy_that_gives_way_names_who_won() -> None:
    # given
    paper = Paper(is_paired=False, default="detector")

    # when
    find(paper, severity=Severity.HIGH)

    # then
    (conflict,) = gave_way(paper.hub, "mirror", paper.rules)
    assert (conflict.body["won"], conflict.body["value"]) == ("detector", "low")


def test_without_a_mark_it_is_our_own_value_that_gives_way(paper: Paper) -> None:
    # given
    find(paper, severity=Severity.HIGH)
    paper.hub = paper.hub.replace(marks={})

    # when
    (conflict,) = gave_way(paper.hub, None, paper.rules)

    # then
    ours = conflict.body["sides"][0]
    assert (ours["system"], ours["source"], ours["by"]) == ("", "quell", "")


def test_what_nobody_has_said_gives_way_and_needs_nobody_to_decide(paper: Paper) -> None:
    # given / when
    find(paper, owner=Owner(upn="ada"), tags=frozenset({"a"}))

    # then
    assert set(settled(paper)) == {"owner", "tags"}
    (conflict,) = gave_way(paper.hub, None, paper.rules)
    assert (conflict.field, conflict.settled_by) == ("owner", BY_POLICY)


def test_tags_never_give_way(paper: Paper) -> None:
    # given
    paper.origin.edit("1", tags=frozenset({"a"}))
    paper.see(paper.origin, "1")

    # when
    find(paper, tags=frozenset({"b"}))

    # then
    assert gave_way(paper.hub, None, paper.rules) == ()


def test_only_the_source_that_is_accepted_gives_way(paper: Paper) -> None:
    # given
    find(paper, severity=Severity.HIGH)

    # when / then
    assert gave_way(paper.hub, "elsewhere", paper.rules) == ()
    assert len(gave_way(paper.hub, "mirror", paper.rules)) == 1


def test_another_waiting_copy_does_not_keep_one_from_the_record(paper: Paper) -> None:
    # given
    find(paper, severity=Severity.HIGH)
    paper.wait_for_a_person(paper.here)

    # when
    found = gave_way(paper.hub, "mirror", paper.rules)

    # then
    assert [one.field for one in found] == ["severity"]


def test_what_does_not_wait_gives_nothing_up(paper: Paper) -> None:
    # given
    find(paper, severity=Severity.HIGH)

    # when
    paper.alter(paper.there, acceptance=Acceptance.ACCEPTED)

    # then
    assert gave_way(paper.hub, None, paper.rules) == ()
    assert drift_of(paper.hub, paper.rules) == []
