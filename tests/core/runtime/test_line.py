"""The line of those who wait: the urgent first, each once, and the least urgent leaves when it is full."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quell.runtime.line import Line

OFFERS = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([1, 3, 5, 7])), max_size=60)


def test_the_urgent_come_first_and_equals_in_their_order() -> None:
    # given
    line: Line[str] = Line(10)

    # when
    for item, rank in [("read", 7), ("isolate", 3), ("note", 5), ("purge", 3)]:
        line.put(item, rank)

    # then
    assert line.empty() == ["isolate", "purge", "note", "read"]


def test_a_full_line_drops_the_least_urgent_and_of_equals_the_last() -> None:
    # given
    line: Line[str] = Line(3)
    for item, rank in [("a", 5), ("b", 5), ("c", 3)]:
        line.put(item, rank)

    # when
    dropped = [line.put("contain", 3), line.put("read", 7), line.put("purge", 3)]

    # then
    assert dropped == ["b", "read", "a"]
    assert line.empty() == ["c", "contain", "purge"]


def test_who_waits_already_moves_up_when_it_has_become_more_urgent_and_never_down() -> None:
    # given
    line: Line[str] = Line(10)
    line.put("a", 5)
    line.put("b", 5)

    # when
    line.put("b", 3)
    line.put("b", 7)

    # then
    assert line.empty() == ["b", "a"]


@given(OFFERS, st.integers(1, 8))
def test_whoever_stays_is_never_less_urgent_than_who_had_to_leave(
    offers: list[tuple[int, int]], limit: int
) -> None:
    # given
    line: Line[int] = Line(limit)
    rank_of: dict[int, int] = {}
    left: set[int] = set()

    # when
    for item, rank in offers:
        rank_of[item] = min(rank, rank_of.get(item, rank)) if item not in left else rank
        left.discard(item)
        dropped = line.put(item, rank)
        assert len(line) <= limit
        if dropped is not None:
            left.add(dropped)
            worst = max(line._ranks)  # pyright: ignore[reportPrivateUsage]
            assert rank_of[dropped] >= worst

    # then
    order = line.empty()
    assert sorted(order) == sorted(set(rank_of) - left)
    assert [rank_of[one] for one in order] == sorted(rank_of[one] for one in order)
