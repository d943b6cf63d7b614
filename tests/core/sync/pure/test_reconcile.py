"""Fields of two copies, brought together: who wins, what is recorded, what is still due."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.sync_model import verdict
from tests.sync_paper import Paper

from quell.domain.hub import Bounds, Mark
from quell.domain.incident import Classification, Owner, Severity, Status
from quell.sync.absorb.reconcile import merged_tags, plain
from quell.sync.plan.due import due_fields

CHANGES: list[tuple[str, Any]] = [
    ("title", "two"),
    ("description", "what it is about"),
    ("severity", Severity.HIGH),
    ("status", Status.CLOSED),
    ("owner", Owner(upn="ada")),
    ("verdict", verdict("true_positive")),
    ("closing_comment", "done"),
    ("tags", frozenset({"a"})),
]


@pytest.fixture
def paper() -> Paper:
    """Give an incident with two copies in step."""
    return Paper()


@pytest.mark.parametrize(("name", "value"), CHANGES)
@pytest.mark.parametrize("side", ["origin", "mirror"])
def test_what_one_side_changed_is_taken_over_and_due_on_the_other(
    paper: Paper, side: str, name: str, value: Any
) -> None:
    # given
    source, key, other = (
        (paper.origin, "1", paper.there) if side == "origin" else (paper.mirror, "m", paper.here)
    )
    source.edit(key, **{name: value})

    # when
    paper.read(source, key)
    conflicts = paper.reconcile()

    # then
    assert getattr(paper.hub.fields, name) == value
    assert conflicts == ()
    assert list(due_fields(paper.hub, other, paper.sides, paper.policy)) == [name]
    assert due_fields(paper.hub, paper.link(source, key), paper.sides, paper.policy) == {}
    assert paper.link(source, key).shadow == paper.link(source, key).observed
    if name != "tags":
        assert paper.mark(name).system == source.system


def test_what_nobody_changed_stays_and_keeps_its_mark(paper: Paper) -> None:
    # given
    before = paper.hub
    paper.origin.edit("1", title="two")

    # when
    paper.read(paper.origin, "1")
    paper.reconcile()

    # then
    assert paper.hub.fields == before.fields.replace({"title": "two"})
    assert {name for name in before.marks if paper.mark(name) != before.marks[name]} == {"title"}


def disagree(paper: Paper, first: str, **values: Any) -> tuple[Any, ...]:
    """Let both sides change a field; the one that is named first is read first."""
    ((name, (own, other)),) = values.items()
    paper.origin.edit("1", **{name: own})
    paper.mirror.edit("m", **{name: other})
    order = [(paper.origin, "1"), (paper.mirror, "m")]
    for source, key in order if first == "origin" else reversed(order):
        paper.read(source, key)
        paper.pass_time(1)
    return paper.reconcile()


@pytest.mark.parametrize(("first", "won"), [("origin", "mirrors"), ("mirror", "origins")])
def test_of_two_changes_the_one_first_seen_later_wins(first: str, won: str) -> None:
    # given
    paper = Paper()

    # when
    (conflict,) = disagree(paper, first, title=("origins", "mirrors"))

    # then
    assert paper.hub.fields.title == won
    assert conflict.body["value"] == won
    assert conflict.body["won"] == ("mirror" if won == "mirrors" else "detector")
    assert conflict.body["won"] == paper.mark("title").system


@pytest.mark.parametrize("first", ["origin", "mirror"])
@pytest.mark.parametrize(("winner", "won"), [("detector", "origins"), ("mirror", "mirrors")])
def test_a_named_source_wins_whoever_came_later(first: str, winner: str, won: str) -> None:
    # given
    paper = Paper(default=winner)

    # when
    (conflict,) = disagree(paper, first, title=("origins", "mirrors"))

    # then
    assert paper.hub.fields.title == won
    assert conflict.body["won"] == winner


def test_a_field_may_have_a_winner_of_its_own() -> None:
    # given
    paper = Paper(default="detector", fields={"title": "mirror"})

    # when
    disagree(paper, "mirror", title=("origins", "mirrors"))

    # then
    assert paper.hub.fields.title == "mirrors"


def test_a_winner_that_has_changed_nothing_leaves_it_to_the_others() -> None:
    # given
    paper = Paper(default="elsewhere")

    # when
    disagree(paper, "mirror", title=("origins", "mirrors"))

    # then
    assert paper.hub.fields.title == "origins"


def test_both_values_are_on_record_with_what_was_known_of_them(paper: Paper) -> None:
    # given
    seen_at = paper.there.seen_at
    paper.mirror.records["m"].by = "bob"

    # when
    (conflict,) = disagree(paper, "origin", severity=(Severity.HIGH, Severity.MEDIUM))

    # then
    assert (conflict.field, conflict.kind) == ("severity", "both_changed")
    sides = {side["source"]: side for side in conflict.body["sides"]}
    assert set(sides) == {"origin", "mirror"}
    bounds = paper.there.bounds["severity"]
    assert sides["mirror"] == {
        "system": "mirror",
        "source": "mirror",
        "link": paper.there.id,
        "value": "medium",
        "raw": "medium",
        "shadow": "low",
        "since": bounds.since.isoformat(),
        "after": seen_at.isoformat(),
        "by": "somebody",
    }
    assert (sides["origin"]["value"], sides["origin"]["shadow"]) == ("high", "low")


def test_the_same_change_on_both_sides_is_no_conflict(paper: Paper) -> None:
    # given / when
    conflicts = disagree(paper, "origin", title=("same", "same"))

    # then
    assert conflicts == ()
    assert paper.hub.fields.title == "same"


def with_own_change(paper: Paper, **fields: Any) -> None:
    """Let a playbook change fields, with nothing written anywhere yet."""
    mark = Mark(bounds=Bounds(since=paper.clock.now()), by="run-1")
    marks = {**paper.hub.marks, **dict.fromkeys(fields, mark)}
    paper.hub = paper.hub.replace(fields=paper.hub.fields.replace(fields), marks=marks)


def test_a_change_before_ours_had_got_there_is_a_conflict_with_ours(paper: Paper) -> None:
    # given
    with_own_change(paper, title="a playbook's")
    paper.origin.edit("1", title="origins")

    # when
    paper.read(paper.origin, "1")
    (conflict,) = paper.reconcile()

    # then
    assert paper.hub.fields.title == "origins"
    own = next(side for side in conflict.body["sides"] if side["source"] == "quell")
    assert (own["value"], own["by"], own["raw"], own["shadow"], own["after"]) == (
        "a playbook's",
        "run-1",
        None,
        None,
        None,
    )


def in_step_again(paper: Paper, minutes: float) -> None:
    """Let our value have gone and come back so long after the copy was last seen."""
    seen_at = paper.here.seen_at
    mark = Mark(bounds=Bounds(since=seen_at + timedelta(minutes=minutes)), by="run-1")
    paper.hub = paper.hub.replace(marks={**paper.hub.marks, "title": mark})


@pytest.mark.parametrize(("minutes", "conflicts"), [(1, 1), (0, 0), (-1, 0)])
def test_a_change_on_top_of_a_value_that_came_back_unseen_is_a_conflict_with_ours(
    paper: Paper, minutes: float, conflicts: int
) -> None:
    # given
    in_step_again(paper, minutes)
    paper.pass_time(2)
    paper.origin.edit("1", title="origins")

    # when
    paper.read(paper.origin, "1")

    # then
    assert len(paper.reconcile()) == conflicts
    assert paper.hub.fields.title == "origins"


def test_a_side_that_changes_its_own_value_again_contradicts_nobody(paper: Paper) -> None:
    # given
    in_step_again(paper, 1)
    own = msgspec.structs.replace(paper.mark("title"), link_id=paper.here.id)
    paper.hub = paper.hub.replace(marks={**paper.hub.marks, "title": own})
    paper.pass_time(2)
    paper.origin.edit("1", title="origins")

    # when
    paper.read(paper.origin, "1")

    # then
    assert paper.reconcile() == ()


def test_our_own_change_wins_where_it_came_later(paper: Paper) -> None:
    # given
    paper.origin.edit("1", title="origins")
    paper.read(paper.origin, "1")
    paper.pass_time(1)
    with_own_change(paper, title="a playbook's")

    # when
    (conflict,) = paper.reconcile()

    # then
    assert paper.hub.fields.title == "a playbook's"
    assert conflict.body["won"] == ""


def test_at_a_tie_what_a_side_says_wins_over_what_is_on_record(paper: Paper) -> None:
    # given
    paper.origin.edit("1", title="origins")
    paper.read(paper.origin, "1")
    bounds = Bounds(since=paper.here.bounds["title"].since, after=paper.here.bounds["title"].after)
    own = Mark(system="zzz", bounds=bounds)
    paper.hub = paper.hub.replace(
        fields=paper.hub.fields.replace({"title": "ours"}), marks={**paper.hub.marks, "title": own}
    )

    # when
    paper.reconcile()

    # then
    assert paper.hub.fields.title == "origins"


@pytest.mark.parametrize(
    ("origins", "mirrors", "won"),
    [(2, 1, "origins"), (1, 2, "mirrors"), (None, 2, "origins"), (2, None, "mirrors")],
)
def test_of_two_seen_at_once_the_one_seen_otherwise_until_later_wins(
    origins: int | None, mirrors: int | None, won: str
) -> None:
    # given
    paper = Paper()
    paper.origin.edit("1", title="origins")
    paper.mirror.edit("m", title="mirrors")
    paper.read(paper.origin, "1")
    paper.read(paper.mirror, "m")
    since = paper.there.bounds["title"].since
    for link, minutes in ((paper.here, origins), (paper.there, mirrors)):
        after = since - timedelta(minutes=9 - minutes) if minutes else None
        paper.alter(link, bounds={**link.bounds, "title": Bounds(since=since, after=after)})

    # when
    paper.reconcile()

    # then: one that was never seen otherwise may have changed at the last moment
    assert paper.hub.fields.title == won


def test_one_side_that_was_behind_is_enough_for_a_conflict_with_ours(paper: Paper) -> None:
    # given
    with_own_change(paper, title="a playbook's")
    shadow = paper.there.shadow
    ahead = msgspec.structs.replace(
        shadow,
        native={**shadow.native, "title": "a playbook's"},
        fields=shadow.fields.replace({"title": "a playbook's"}),
    )
    paper.origin.edit("1", title="origins")
    paper.mirror.edit("m", title="mirrors")
    paper.read(paper.origin, "1")
    paper.read(paper.mirror, "m")
    paper.alter(paper.there, shadow=ahead)

    # when
    (conflict,) = paper.reconcile()

    # then
    values = {side["value"] for side in conflict.body["sides"]}
    assert values == {"origins", "mirrors", "a playbook's"}


def test_a_side_that_is_not_accepted_goes_over_nothing_without_a_record(paper: Paper) -> None:
    # given
    with_own_change(paper, title="a playbook's")
    paper.origin.edit("1", title="origins")
    paper.read(paper.origin, "1")
    paper.wait_for_a_person(paper.here)

    # when
    (conflict,) = paper.reconcile()

    # then
    assert {side["value"] for side in conflict.body["sides"]} == {"a playbook's", "origins"}
    assert paper.hub.fields.title == "origins"


def test_a_side_that_cannot_be_written_to_is_not_behind(paper: Paper) -> None:
    # given
    paper.origin.writable = frozenset()
    with_own_change(paper, title="a playbook's")
    paper.origin.edit("1", title="origins")

    # when
    paper.read(paper.origin, "1")

    # then
    assert paper.reconcile() == ()


def test_without_a_mark_there_is_no_change_of_ours_to_defend(paper: Paper) -> None:
    # given
    with_own_change(paper, title="a playbook's")
    paper.origin.edit("1", title="origins")
    paper.read(paper.origin, "1")
    marks = {name: mark for name, mark in paper.hub.marks.items() if name != "title"}
    paper.hub = paper.hub.replace(marks=marks)

    # when
    conflicts = paper.reconcile()

    # then
    assert conflicts == ()
    assert paper.hub.fields.title == "origins"


def test_without_bounds_a_change_dates_from_when_the_copy_was_seen(paper: Paper) -> None:
    # given
    paper.origin.edit("1", title="origins")
    paper.read(paper.origin, "1")
    paper.alter(paper.here, bounds={})

    # when
    paper.reconcile()

    # then
    assert paper.mark("title").bounds == Bounds(since=paper.here.seen_at)


def test_an_ignored_field_is_neither_taken_over_nor_due() -> None:
    # given
    paper = Paper(ignored=frozenset({"title"}))
    paper.origin.edit("1", title="two", severity=Severity.HIGH)

    # when
    paper.read(paper.origin, "1")
    paper.reconcile()

    # then
    assert (paper.hub.fields.title, paper.hub.fields.severity) == ("one", Severity.HIGH)
    assert set(due_fields(paper.hub, paper.there, paper.sides, paper.policy)) == {"severity"}
    paper.hub = paper.hub.replace(fields=paper.hub.fields.replace({"title": "three"}))
    assert "title" not in due_fields(paper.hub, paper.there, paper.sides, paper.policy)


def test_nothing_is_due_anywhere_while_a_copy_waits_for_a_person(paper: Paper) -> None:
    # given
    paper.hub = paper.hub.replace(fields=paper.hub.fields.replace({"title": "two"}))
    paper.wait_for_a_person(paper.there)

    # when
    due = [due_fields(paper.hub, link, paper.sides, paper.policy) for link in paper.hub.links]

    # then
    assert due == [{}, {}]


def test_what_cannot_be_written_is_not_due(paper: Paper) -> None:
    # given
    paper.mirror.writable = frozenset({"severity"})
    changes = {"title": "two", "severity": Severity.HIGH}
    paper.hub = paper.hub.replace(fields=paper.hub.fields.replace(changes))

    # when
    due = due_fields(paper.hub, paper.there, paper.sides, paper.policy)

    # then
    assert due == {"severity": "high"}


def test_what_a_copy_cannot_hold_is_not_news_and_not_due(paper: Paper) -> None:
    # given
    paper.origin.edit("1", verdict=verdict("true_positive", "phishing"), description="x" * 80)
    paper.see(paper.origin, "1")
    paper.mirror.edit("m", verdict=verdict("true_positive"), description="x" * 50)

    # when
    paper.read(paper.mirror, "m")
    conflicts = paper.reconcile()

    # then
    assert conflicts == ()
    assert paper.hub.fields.verdict == verdict("true_positive", "phishing")
    assert paper.hub.fields.description == "x" * 80
    assert due_fields(paper.hub, paper.there, paper.sides, paper.policy) == {}


def test_what_was_vouched_for_survives_another_sides_win(paper: Paper) -> None:
    # given
    vouched = paper.mark("severity").vouched
    assert vouched == "low"
    paper.mirror.edit("m", severity=Severity.HIGH)

    # when
    paper.read(paper.mirror, "m")
    paper.reconcile()

    # then
    assert (paper.mark("severity").system, paper.mark("severity").vouched) == ("mirror", "low")


# -- a verdict that a vendor's connector brought by half -----------------------------------------


def half_brought(said: Any, *, before: Any = None) -> Paper:
    """Let the product that detects be behind with a verdict, and then say something by itself."""
    paper = Paper()
    if before is not None:
        paper.origin.edit("1", verdict=before)
        paper.see(paper.origin, "1")
    with_own_change(paper, verdict=verdict("true_positive", "phishing"))
    paper.origin.edit("1", verdict=said)
    paper.read(paper.origin, "1")
    return paper


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (None, verdict("true_positive")),
        (verdict("false_positive", "malware"), verdict("true_positive", "malware")),
        (verdict("false_positive", "malware"), verdict("true_positive", "unknown")),
    ],
)
def test_a_classification_without_our_determination_is_nobodys_news(before: Any, said: Any) -> None:
    # given
    paper = half_brought(said, before=before)

    # when
    conflicts = paper.reconcile()

    # then
    assert conflicts == ()
    assert paper.hub.fields.verdict == verdict("true_positive", "phishing")


@pytest.mark.parametrize(
    "said",
    [verdict("true_positive", "malware"), verdict("false_positive"), None],
)
def test_another_verdict_is_news(said: Any) -> None:
    # given
    paper = half_brought(said, before=verdict("benign_positive"))

    # when
    (conflict,) = paper.reconcile()

    # then
    assert paper.hub.fields.verdict == said
    assert conflict.field == "verdict"


def test_another_field_that_changed_with_half_a_verdict_is_news() -> None:
    # given
    paper = half_brought(verdict("true_positive"))
    paper.origin.edit("1", title="two")

    # when
    paper.read(paper.origin, "1")
    paper.reconcile()

    # then
    assert paper.hub.fields.title == "two"


def test_a_determination_that_is_taken_away_later_is_news(paper: Paper) -> None:
    # given
    paper.origin.edit("1", verdict=verdict("true_positive", "phishing"))
    paper.see(paper.origin, "1")
    paper.origin.edit("1", verdict=verdict("true_positive"))

    # when
    paper.read(paper.origin, "1")
    paper.reconcile()

    # then
    assert paper.hub.fields.verdict == verdict("true_positive")


# -- tags ----------------------------------------------------------------------------------------


def tagged(paper: Paper, origin: set[str], mirror: set[str]) -> frozenset[str]:
    """Let both sides have tags and bring them together."""
    paper.origin.edit("1", tags=frozenset(origin))
    paper.mirror.edit("m", tags=frozenset(mirror))
    paper.read(paper.origin, "1")
    paper.read(paper.mirror, "m")
    assert paper.reconcile() == ()
    return paper.hub.fields.tags


def with_tags(paper: Paper, tags: set[str]) -> None:
    """Let both copies have the same tags already."""
    paper.origin.edit("1", tags=frozenset(tags))
    paper.mirror.edit("m", tags=frozenset(tags))
    paper.see(paper.origin, "1")
    paper.see(paper.mirror, "m")


def test_tags_that_both_sides_added_are_all_there(paper: Paper) -> None:
    # given / when / then
    assert tagged(paper, {"a"}, {"b"}) == {"a", "b"}


def test_a_tag_that_one_side_took_off_is_gone(paper: Paper) -> None:
    # given
    with_tags(paper, {"a", "b"})

    # when / then
    assert tagged(paper, {"a"}, {"a", "b", "c"}) == {"a", "c"}


def test_a_tag_that_one_side_added_is_kept_though_another_took_it_off(paper: Paper) -> None:
    # given
    with_tags(paper, {"a"})
    paper.alter(
        paper.there,
        shadow=msgspec.structs.replace(
            paper.there.shadow,
            native={**paper.there.shadow.native, "tags": []},
            fields=paper.there.shadow.fields.replace({"tags": frozenset[str]()}),
        ),
        bounds={},
    )

    # when
    paper.origin.edit("1", tags=frozenset[str]())
    paper.read(paper.origin, "1")

    # then
    assert merged_tags(frozenset({"a"}), paper.hub.links) == {"a"}


def test_tags_that_a_side_shows_otherwise_and_has_not_changed_say_nothing(paper: Paper) -> None:
    # given
    paper.hub = paper.hub.replace(fields=paper.hub.fields.replace({"tags": frozenset({"a"})}))
    raw = paper.there.observed.native["tags"]
    other = paper.there.shadow.fields.replace({"tags": frozenset({"a"})})
    paper.alter(paper.there, shadow=msgspec.structs.replace(paper.there.shadow, fields=other))

    # when
    paper.reconcile()

    # then
    assert paper.there.observed.native["tags"] == raw
    assert paper.hub.fields.tags == {"a"}


def test_a_value_is_given_in_json_words() -> None:
    # given / when / then
    assert plain(frozenset("gfedcba")) == list("abcdefg")
    assert plain(verdict("true_positive", "malware")) == {
        "classification": "true_positive",
        "determination": "malware",
    }
    assert plain(Classification.UNDETERMINED) == "undetermined"
    assert plain(None) is None
