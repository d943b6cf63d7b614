"""What a walk remembers: its cursors say how far it got, and what the overlap held."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from quell_microsoft import track as tracking
from quell_microsoft.changes import Cursor, Hole
from quell_microsoft.track import Track, nameless, reached

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
OVERLAP = timedelta(minutes=10)


def at(minutes: float) -> str:
    return (START + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def again(text: str) -> Track:
    """Go on from a written cursor, as the next poll does."""
    return Track(Cursor.load(text, datetime(2000, 1, 1, tzinfo=UTC)), OVERLAP)


@pytest.fixture
def walk() -> Track:
    return Track(Cursor(since=at(0)), OVERLAP)


def test_at_the_end_only_what_the_overlap_held_is_remembered(walk: Track) -> None:
    # given
    walk.note([("old", at(1)), ("new", at(25))], [("part", at(26)), ("late", at(2))])
    walk.reach(at(30))
    # when
    found = again(walk.at_the_end())
    # then
    assert found.start == at(20)
    assert not found.is_news(("new", at(25)))
    assert found.is_news(("new", at(26)))
    assert found.is_news(("old", at(1)))
    assert not found.is_new_part(("part", at(26)))
    assert found.is_new_part(("late", at(2)))


def test_on_the_way_the_overlap_is_read_again_and_debts_are_kept(walk: Track) -> None:
    walk.note([("new", at(25))])
    walk.reach(at(30))
    found = again(walk.on_the_way(["owed"]))
    assert found.is_news(("new", at(25)))
    assert found.owed == {"owed"}
    assert again(found.on_the_way(["more"])).owed == {"owed", "more"}
    assert again(found.at_the_end()).owed == frozenset()


def test_a_walk_never_goes_back(walk: Track) -> None:
    walk.reach(at(30))
    walk.reach(at(10))
    walk.reach("no stamp")
    assert reached(walk.at_the_end()) == START + timedelta(minutes=30)


def test_places_that_cannot_be_read_are_remembered_while_the_overlap_holds_them(
    walk: Track,
) -> None:
    # given
    hole = Hole(place=START, end=START + timedelta(milliseconds=1))
    walk.leave(hole)
    walk.leave(hole)
    assert again(walk.on_the_way()).holes == (hole,)
    # when
    walk.reach(at(11))
    # then
    assert again(walk.at_the_end()).holes == ()


def test_a_cursor_remembers_so_much_and_no_more(
    walk: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(tracking, "MOST_SEEN", 3)
    # when
    walk.note([(str(number), at(number)) for number in range(9)])
    walk.reach(at(9))
    found = again(walk.at_the_end())
    # then: the newest
    assert [number for number in range(9) if not found.is_news((str(number), at(number)))] == [
        6, 7, 8,
    ]  # fmt: skip


def test_a_cursor_of_an_older_kind_goes_on(walk: Track) -> None:
    found = again(f'{{"since":"{at(5)}","seen":{{"a":"{at(4)}"}},"version":1}}')
    assert not found.is_news(("a", at(4)))
    assert reached(None) is None


def test_rows_without_an_id_are_named_by_their_stamp() -> None:
    assert list(nameless([("", at(1)), ("a", at(2)), ("", "")])) == [f"at:{at(1)}", "at:?"]
