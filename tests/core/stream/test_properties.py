"""Whatever is mixed: rows that come late, doubled reads, refusals, and processes that die."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quell.domain.events import ColumnType, EventTable, ShapedRow
from quell.domain.ids import SourceId
from quell.errors import PermissionMissing, ServerFailure, Throttled
from quell.journal import event_batches
from quell.stream.rows import halves, packed, row_key, unpacked

from .model import TENANT, Died, MortalJournal, World

#: what can happen, each a word and a number
MOVES = st.one_of(
    st.tuples(st.just("row"), st.integers(0, 1500)),
    st.tuples(st.just("late"), st.integers(1, 1500)),
    st.tuples(st.just("wait"), st.integers(1, 900)),
    st.tuples(st.just("turn"), st.just(0)),
    st.tuples(st.just("die"), st.integers(1, 12)),
    st.tuples(st.just("die after"), st.integers(1, 12)),
    st.tuples(st.just("cut"), st.integers(1, 4)),
    st.tuples(st.just("fail"), st.integers(0, 2)),
    st.tuples(st.just("small"), st.integers(1, 3)),
)
ERRORS = (
    Throttled(endpoint="POST /rows", retry_after=20.0),
    ServerFailure(endpoint="POST /rows", status=503),
    PermissionMissing(endpoint="POST /rows", status=403),
)


async def play(moves: list[tuple[str, int]]) -> None:
    world = World()
    # one journal for all examples of a run would let them see each other
    try:
        await _play(world, moves)
    finally:
        world.journal.close()


async def _play(world: World, moves: list[tuple[str, int]]) -> None:
    made: list[str] = []
    await world.turn()
    for word, number in moves:
        # rows are never later than the overlap: that is the promise's horizon
        if word in {"row", "late"}:
            made.append(f"door-{len(made)}")
            late = {"seconds_late": number} if word == "late" else {"ago": 0.0}
            world.source.open_door(made[-1], **late)
            world.clock.move(1)
        elif word == "wait":
            world.clock.move(number)
            await turn(world, None)
        elif word in {"die", "die after"}:
            await turn(world, MortalJournal(world.journal, at=number, is_after="after" in word))
        elif word == "cut":
            cut_after(world, number)
            await turn(world, None)
        elif word == "fail":
            world.sink.fails.append(ERRORS[number])
        elif word == "small":
            world.sink.most_rows = number
        else:
            await turn(world, None)
    await settle(world)
    assert world.sink.doors == sorted(made)
    assert all(row == rows[0] for rows in world.sink.taken.values() for row in rows)
    assert await world.journal.ask(event_batches.waiting(TENANT)) == []


def cut_after(world: World, number: int) -> None:
    """Let the process die right after the sink took its nth batch."""
    left = number

    def die(moment: str) -> None:
        nonlocal left
        left -= moment == "after"
        if moment == "after" and left == 0:
            raise Died

    world.sink.witness = die


async def turn(world: World, journal: Any) -> None:
    try:
        await world.turn(journal)
    except Died:
        pass
    finally:
        world.sink.witness = lambda moment: None


async def settle(world: World) -> None:
    """Let time pass until all that was late is visible and all that was refused is tried again."""
    for _ in range(12):
        world.clock.move(300)
        await turn(world, None)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(moves=st.lists(MOVES, max_size=25))
def test_every_row_is_at_the_sink_and_each_key_says_one_thing(
    moves: list[tuple[str, int]],
) -> None:
    asyncio.run(play(moves))


ROWS = st.dictionaries(
    st.text(max_size=4),
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.just([{"a": 1}])),
    max_size=4,
)


@given(rows=st.lists(ROWS, max_size=30), limit=st.integers(2, 400))
def test_packing_keeps_every_row_in_its_order_and_no_batch_is_too_large(
    rows: list[dict[str, Any]], limit: int
) -> None:
    # when
    packs = list(packed([ShapedRow(stream="s", body=row) for row in rows], limit))

    # then
    assert sum(pack.rows for pack in packs) == len(rows)
    assert [len(unpacked(pack.body)) for pack in packs] == [pack.rows for pack in packs]
    assert all(pack.size <= limit or pack.rows == 1 for pack in packs)


@given(rows=st.lists(ROWS, max_size=9))
def test_the_halves_of_a_batch_are_the_batch(rows: list[dict[str, Any]]) -> None:
    # given
    packs = list(packed([ShapedRow(stream="s", body=row) for row in rows], 10**6))

    # when
    parts = [part for pack in packs for part in (halves("s", pack.body) or (pack,))]

    # then
    before = [bytes(text) for pack in packs for text in unpacked(pack.body)]
    assert [bytes(text) for part in parts for text in unpacked(part.body)] == before
    assert len(parts) == (2 if len(rows) > 1 else len(packs))


@given(one=ROWS, other=ROWS)
def test_two_rows_have_one_key_only_where_they_say_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    # given
    table = EventTable(name="T", summary="", columns={"a": ColumnType.STRING}, time="a")

    # when
    keys = [row_key(TENANT, SourceId("s"), table, row) for row in (one, other)]

    # then
    said = [repr(sorted(row.items(), key=lambda item: item[0])) for row in (one, other)]
    assert (keys[0] == keys[1]) == (said[0] == said[1])


def test_a_table_with_keys_names_a_row_by_them_alone() -> None:
    # given
    table = EventTable(
        name="T", summary="", columns={"a": ColumnType.STRING}, time="a", keys=("id", "n")
    )

    # when
    rows: list[dict[str, Any]] = [
        {"id": "x", "n": 1, "a": "seen"},
        {"id": "x", "n": 1, "a": "again"},
        {"id": "x"},
    ]
    first, same, other = [row_key(TENANT, SourceId("s"), table, row) for row in rows]

    # then
    assert first == same != other
