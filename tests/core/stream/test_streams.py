"""Rows from a source to a sink: once each where all goes well, at least once whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from quell.domain.ids import SourceId
from quell.errors import (
    AnswerNotFound,
    PermissionMissing,
    RequestRefused,
    ServerFailure,
    SettingsError,
    StateError,
    Throttled,
)
from quell.journal import cursors, event_batches, notices
from quell.stream import StreamPolicy

from .model import OVERLAP, TABLE, TENANT, Died, MortalJournal, Skewed, World

pytestmark = pytest.mark.anyio


@pytest.fixture
def world() -> Iterator[World]:
    found = World()
    yield found
    found.journal.close()


def door_names(count: int) -> list[str]:
    return sorted(f"door-{number}" for number in range(count))


async def test_what_happened_is_at_the_sink_once(world: World) -> None:
    # given
    for name in door_names(10):
        world.clock.move(1)
        world.source.open_door(name)
    world.clock.move(1)

    # when
    await world.turn()
    await world.turn()

    # then
    assert world.sink.doors == door_names(10)
    assert world.sink.repeats == 0


async def test_a_row_that_becomes_visible_late_is_read_inside_the_overlap(world: World) -> None:
    # given
    world.source.open_door("early")
    world.source.open_door("late", seconds_late=600)
    world.clock.move(60)
    await world.turn()
    assert world.sink.doors == ["early"]

    # when
    world.clock.move(600)
    await world.turn()

    # then
    assert world.sink.doors == ["early", "late"]
    assert world.sink.repeats == 0


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
async def test_a_clock_that_is_an_hour_off_loses_nothing_and_repeats_nothing(
    world: World, ahead: float
) -> None:
    # given
    world.source.clock = Skewed(world.clock, ahead)
    await world.turn()
    made: list[str] = []

    # when
    for wait in (60, 60, 900, 4000, 60, 9000, 60):
        world.clock.move(wait)
        await world.turn()
        for late in (0, 60, 1700):
            made.append(f"door-{len(made)}")
            world.source.open_door(made[-1], seconds_late=late)
    for _ in range(8):
        world.clock.move(600)
        await world.turn()

    # then
    assert world.sink.doors == sorted(made)
    assert world.sink.repeats == 0


async def test_the_first_read_goes_back_as_far_as_the_settings_say(world: World) -> None:
    # given
    world.source.open_door("long ago", ago=7200)
    world.source.open_door("just now", ago=1800)

    # when
    await world.turn()

    # then
    assert world.sink.doors == ["just now"]


async def test_after_a_long_rest_nothing_older_than_the_source_keeps_is_asked_for(
    world: World,
) -> None:
    # given
    await world.turn()
    world.clock.move(timedelta(days=90).total_seconds())

    # when
    await world.turn()

    # then
    since, _ = world.source.reads[-1]
    assert world.clock.now() - since == timedelta(days=30)


async def test_two_rows_that_say_the_same_in_all_but_one_column_are_two_rows(
    world: World,
) -> None:
    # given
    world.source.open_door("same")
    world.source.open_door("same")
    world.clock.move(1)

    # when
    await world.turn()

    # then
    assert world.sink.doors == ["same", "same"]


async def test_no_batch_is_larger_than_the_sink_takes(world: World) -> None:
    # given
    for name in door_names(20):
        world.source.open_door(name)
    world.clock.move(1)
    world.source.page = 100
    streams = world.streams()

    # when
    await streams.read(streams.readers[0])
    due = await world.journal.ask(event_batches.due(TENANT, "store", limit=100))

    # then
    assert len(due) > 1
    assert max(batch.size for batch in due) <= world.sink.batch_limit
    assert sum(batch.rows for batch in due) == 20


async def test_a_batch_that_is_too_large_is_split_until_it_is_taken(world: World) -> None:
    # given
    world.sink.batch_limit = 100_000
    world.sink.most_rows = 2
    for name in door_names(9):
        world.source.open_door(name)
    world.clock.move(1)
    world.source.page = 100

    # when
    await world.turn()

    # then
    assert world.sink.doors == door_names(9)
    assert world.sink.repeats == 0


async def test_a_single_row_that_is_too_large_is_put_aside_and_stops_nothing(
    world: World,
) -> None:
    # given
    world.sink.most_rows = 0
    world.source.open_door("huge")
    world.clock.move(1)
    streams = await world.turn()

    # when
    world.sink.most_rows = 10
    world.source.open_door("small")
    world.clock.move(1)
    await world.turn()

    # then
    assert world.sink.doors == ["small"]
    (status,) = await streams.status()
    assert status.parked_batches == 1
    assert "quell events drop" in status.problem
    assert await streams.drop() == 1
    assert (await streams.status())[0].waiting_batches == 0


async def test_a_throttled_sink_is_left_alone_for_as_long_as_it_says(world: World) -> None:
    # given
    world.source.open_door("a")
    world.clock.move(1)
    world.sink.fails = [Throttled(endpoint="POST /rows", retry_after=40.0)]
    await world.turn()
    assert world.sink.calls == 1

    # when
    world.clock.move(39)
    await world.turn()
    calls_while_waiting = world.sink.calls
    world.clock.move(2)
    await world.turn()

    # then
    assert calls_while_waiting == 1
    assert world.sink.doors == ["a"]


async def test_a_failing_sink_is_tried_again_later_each_time(world: World) -> None:
    # given
    world.source.open_door("a")
    world.clock.move(1)
    world.sink.fails = [ServerFailure(endpoint="POST /rows", status=503) for _ in range(3)]
    waits: list[int] = []

    # when
    for _ in range(3):
        before = world.sink.calls
        await world.turn()
        assert world.sink.calls == before + 1
        waits.append(0)
        while not await world.journal.ask(event_batches.due(TENANT, "store", limit=1)):
            world.clock.move(1)
            waits[-1] += 1
    await world.turn()

    # then
    assert waits == [5, 10, 20]
    assert world.sink.doors == ["a"]


@pytest.mark.parametrize("kind", [PermissionMissing, AnswerNotFound])
async def test_a_refused_stream_stops_says_why_and_goes_on_by_itself_once_mended(
    world: World, kind: type[PermissionMissing]
) -> None:
    # given
    world.sink.batch_limit = 1
    for name in door_names(4):
        world.source.open_door(name)
    world.clock.move(1)
    world.sink.fails = [kind(endpoint="POST /rows", status=403, remedy="Grant the role.")]

    # when
    streams = await world.turn()
    (stopped,) = await streams.status()
    calls = world.sink.calls
    world.clock.move(299)
    await world.turn()
    calls_before_its_time = world.sink.calls
    world.clock.move(2)
    await world.turn()

    # then
    assert calls == calls_before_its_time == 1
    assert (stopped.waiting_batches, stopped.parked_batches) == (4, 1)
    assert "Grant the role." in stopped.problem
    told = await world.journal.ask(notices.listed(TENANT))
    assert [one.notice.kind for one in told] == ["parked"]
    assert world.sink.doors == door_names(4)


async def test_a_person_can_have_a_refused_stream_tried_again_at_once(world: World) -> None:
    # given
    world.source.open_door("a")
    world.clock.move(1)
    world.sink.fails = [PermissionMissing(endpoint="POST /rows", status=403)]
    streams = await world.turn()

    # when
    count = await streams.retry()
    await world.turn()

    # then
    assert count == 1
    assert world.sink.doors == ["a"]


async def test_a_malformed_batch_is_put_aside_while_the_others_go_on(world: World) -> None:
    # given
    world.sink.batch_limit = 1
    for name in door_names(3):
        world.source.open_door(name)
    world.clock.move(1)
    world.sink.fails = [None, RequestRefused(endpoint="POST /rows", status=400)]

    # when
    streams = await world.turn()
    world.clock.move(100_000)
    await streams.send(streams.senders[0])

    # then
    assert len(world.sink.doors) == 2
    (status,) = await streams.status()
    assert (status.waiting_batches, status.parked_batches) == (1, 1)


async def test_reading_stops_while_too_much_waits_and_then_goes_on(world: World) -> None:
    # given
    world.policy = StreamPolicy(tables=("*",), overlap=OVERLAP, spool_bytes=300)
    for name in door_names(30):
        world.clock.move(1)
        world.source.open_door(name)
    world.clock.move(1)
    streams = world.streams()

    # when
    first = await streams.read(streams.readers[0])
    reads = len(world.source.reads)
    second = await streams.read(streams.readers[0])
    (status,) = await streams.status()

    # then
    assert first.is_held
    assert second.is_held
    assert len(world.source.reads) == reads
    assert 300 <= status.waiting_bytes < 1000
    for _ in range(20):
        await world.turn()
    assert world.sink.doors == door_names(30)
    assert world.sink.repeats == 0


async def test_a_failing_source_leaves_the_checkpoint_where_it_was_and_says_why(
    world: World,
) -> None:
    # given
    await world.turn()
    streams = world.streams()
    before = await world.journal.ask(cursors.get(TENANT, streams.readers[0].cursor_id))
    world.source.fails = [ServerFailure(endpoint="POST /hunt", status=500)]

    # when
    world.clock.move(60)
    with pytest.raises(ServerFailure):
        await streams.read(streams.readers[0])

    # then
    after = await world.journal.ask(cursors.get(TENANT, streams.readers[0].cursor_id))
    assert after.cursor == before.cursor
    (status,) = await streams.status()
    assert "POST /hunt" in status.problem
    assert status.lag_seconds == 60


async def test_two_readers_of_one_table_store_a_page_once(world: World) -> None:
    # given
    world.source.open_door("a")
    world.clock.move(1)
    first, second = world.streams(), world.streams()
    other = cursors.get(TENANT, first.readers[0].cursor_id)
    ours = await world.journal.ask(other)
    await first.read(first.readers[0])

    # when
    stale = event_batches.store(TENANT, second.readers[0].cursor_id, ours.version, "x", [])

    # then
    with pytest.raises(StateError):
        await world.journal.commit(stale)
    assert (await second.read(second.readers[0])).rows == 0


async def test_where_events_are_for_replicas_only_nothing_is_read_for_an_overlay(
    world: World,
) -> None:
    # given
    world.policy = StreamPolicy(tables=("*",), overlap=OVERLAP, when="replica")
    world.source.open_door("a")
    world.clock.move(1)

    # when
    world.is_replica = False
    await world.turn()
    calls_as_overlay = len(world.source.reads)
    world.is_replica = True
    await world.turn()

    # then
    assert calls_as_overlay == 0
    assert world.sink.doors == ["a"]


async def test_a_table_that_nobody_has_is_refused_by_name(world: World) -> None:
    # given
    world.policy = StreamPolicy(tables=("Windows",))

    # when
    with pytest.raises(SettingsError) as caught:
        world.streams()

    # then
    assert "'Windows'" in str(caught.value)
    assert "quell events tables" in caught.value.remedy


async def test_without_a_chosen_table_nothing_is_read_and_no_sink_is_needed(world: World) -> None:
    # given
    world.policy = StreamPolicy()

    # when
    streams = await world.turn()

    # then
    assert streams.readers == ()
    assert world.source.reads == []


async def test_what_waits_for_a_table_no_longer_chosen_is_still_sent_and_shown(
    world: World,
) -> None:
    # given
    world.source.open_door("a")
    world.clock.move(1)
    streams = world.streams()
    await streams.read(streams.readers[0])

    # when
    world.policy = StreamPolicy()
    left = world.streams()
    (status,) = await left.status()
    await left.send(left.senders[0])

    # then
    assert (status.table, status.stream, status.waiting_rows) == ("", "S-Doors", 1)
    assert world.sink.doors == ["a"]


async def live(world: World, journal: Any = None) -> None:
    """Two turns with rows that come in between, some of them late."""
    try:
        await world.turn(journal)
        world.source.open_door("between")
        world.source.open_door("late", seconds_late=20)
        world.clock.move(30)
        await world.turn(journal)
    except Died:
        pass


def begin() -> World:
    world = World()
    world.sink.most_rows = 2
    for name in door_names(7):
        world.clock.move(1)
        world.source.open_door(name)
    world.clock.move(1)
    return world


async def finish(world: World) -> None:
    """Go on as another process does."""
    world.sink.witness = lambda moment: None
    if not any(row["door"] == "late" for _, _, row in world.source.rows):
        world.source.open_door("between")
        world.source.open_door("late", seconds_late=20)
    world.clock.move(60)
    await world.turn()
    await world.turn()


EVERYTHING = sorted([*door_names(7), "between", "late"])


@pytest.mark.parametrize("is_after", [True, False])
async def test_dying_at_any_journal_write_loses_no_row(is_after: bool) -> None:
    # given
    counted = begin()
    counting = MortalJournal(counted.journal, at=0, is_after=False)
    await live(counted, counting)
    assert counting.writes > 8
    counted.journal.close()

    for at in range(1, counting.writes + 1):
        world = begin()

        # when
        await live(world, MortalJournal(world.journal, at=at, is_after=is_after))
        await finish(world)

        # then
        assert world.sink.doors == EVERYTHING, f"died at write {at} of {counting.writes}"
        assert_each_key_says_one_thing(world)
        assert await world.journal.ask(event_batches.waiting(TENANT)) == []
        world.journal.close()


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_dying_around_any_call_loses_no_row_and_repeats_one_batch_at_most(
    moment: str,
) -> None:
    for at in range(1, 7):
        # given
        world = begin()
        left = at

        def die(now: str) -> None:
            nonlocal left
            left -= now == moment
            if now == moment and left == 0:
                raise Died

        world.sink.witness = die

        # when
        await live(world)
        await finish(world)

        # then
        assert left <= 0
        assert world.sink.doors == EVERYTHING, f"died {moment} call {at}"
        assert world.sink.repeats <= (2 if moment == "after" else 0)
        assert_each_key_says_one_thing(world)
        world.journal.close()


def assert_each_key_says_one_thing(world: World) -> None:
    for rows in world.sink.taken.values():
        assert all(row == rows[0] for row in rows)


def test_the_checkpoint_of_a_table_is_named_apart_from_sources_of_incidents() -> None:
    from quell.stream.read import cursor_id

    assert cursor_id(SourceId("house"), TABLE) == "events/house/Doors"
