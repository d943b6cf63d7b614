"""What a comparison sees that nobody told sync of: tasks and times of activity, read afresh."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.sync_model import START

from quell.domain.incident import Alert
from quell.sync import SyncPolicy

if TYPE_CHECKING:
    from tests.sync_world import World

pytestmark = pytest.mark.anyio
LOOK = "Look at the log"


async def fields(world: World) -> list[str]:
    return [one.field for one in await world.disagreements()]


async def with_task(world: World) -> tuple[str, str]:
    """Let an incident have a task in both copies; gives the copy and the task's key there."""
    world.origin.add("1", title="one")
    world.origin.set_task("1", "k", LOOK)
    await world.settle()
    copy = world.copy_of("1")
    (key,) = world.mirror.records[copy].tasks
    return copy, key


async def test_tasks_that_are_alike_in_both_copies_agree(world: World) -> None:
    await with_task(world)
    assert await world.disagreements() == ()


@pytest.mark.parametrize(
    ("title", "is_done", "shown"),
    [(LOOK, True, "done: Look at the log"), ("Look twice", False, "open: Look twice")],
    ids=["done", "title"],
)
async def test_a_task_that_is_otherwise_in_a_copy_is_named(
    world: World, title: str, is_done: bool, shown: str
) -> None:
    # given
    copy, key = await with_task(world)
    # when: nothing has read the change yet
    world.mirror.set_task(copy, key, title, is_done=is_done)
    found = [one for one in await world.disagreements() if one.field == "tasks"]
    # then: each copy differs from the other
    assert {(one.source_id, one.origin, one.copy) for one in found} == {
        ("mirror", "open: Look at the log", shown),
        ("origin", shown, "open: Look at the log"),
    }
    # and when sync has gone on
    await world.settle()
    assert await world.disagreements() == ()


@pytest.mark.parametrize("side", ["origin", "mirror"])
async def test_a_task_that_is_in_one_copy_alone_is_named(world: World, side: str) -> None:
    # given
    copy, _ = await with_task(world)
    source, native_id = (world.origin, "1") if side == "origin" else (world.mirror, copy)
    # when
    source.set_task(native_id, "new", "Call them")
    # then
    (found,) = await world.disagreements()
    assert (found.field, found.origin, found.copy) == ("tasks", "open: Call them", "")
    assert found.source_id != side


async def test_a_task_that_a_person_deleted_in_a_copy_is_missed_until_that_is_known(
    world: World,
) -> None:
    # given
    copy, _ = await with_task(world)
    record = world.mirror.records[copy]
    # when
    record.tasks = {}
    world.mirror.touch(record)
    # then
    assert await fields(world) == ["tasks"]
    await world.settle()
    assert await fields(world) == []


async def test_a_task_that_no_list_has_room_for_is_not_missed(world: World) -> None:
    # given
    world.mirror.tasks_at_most = 1
    world.origin.add("1", title="one")
    world.origin.set_task("1", "k", "first")
    world.origin.set_task("1", "l", "second")
    # when
    await world.settle()
    await world.settle()
    # then
    assert await world.disagreements() == ()


async def test_tasks_of_a_product_without_them_and_ignored_ones_are_not_compared(
    world: World,
) -> None:
    # given
    copy, key = await with_task(world)
    world.mirror.set_task(copy, key, LOOK, is_done=True)
    # when
    world.mirror.tasks_at_most = 0
    # then
    assert await fields(world) == []
    # and when
    world.mirror.tasks_at_most = 40
    world.policy = SyncPolicy(mode="replica", ignored=frozenset({"tasks"}))
    world.sync = world.fresh_sync()
    assert await fields(world) == []


def alert(last: timedelta) -> Alert:
    return Alert(id="a", title="Ran", first_activity=START, last_activity=START + last)


async def active(world: World) -> str:
    """Let an incident have an alert of two hours, and give its copy."""
    world.mirror.writable |= {"first_activity", "last_activity"}
    world.origin.add("1", title="one")
    world.origin.raise_alert("1", alert(timedelta(hours=2)))
    await world.settle()
    return world.copy_of("1")


async def test_times_of_activity_may_differ_by_what_is_not_worth_a_write(world: World) -> None:
    # given
    await active(world)
    assert await world.disagreements() == ()
    record = world.origin.records["1"]
    # when
    record.alerts = [alert(timedelta(hours=2, minutes=59))]
    world.origin.touch(record)
    # then
    assert await fields(world) == []
    # and when
    record.alerts = [alert(timedelta(hours=3, minutes=1))]
    world.origin.touch(record)
    # then
    (found,) = await world.disagreements()
    assert found.field == "last_activity"
    assert found.source_id == "mirror"
    await world.settle()
    assert await world.disagreements() == ()


async def test_times_that_a_copy_does_not_say_are_named_and_ignored_ones_are_not(
    world: World,
) -> None:
    # given
    world.origin.add("1", title="one")
    await world.settle()
    world.origin.raise_alert("1", alert(timedelta(hours=2)))
    await world.settle()
    assert await fields(world) == []
    # when: from now on the product lets us write them
    world.mirror.writable |= {"first_activity", "last_activity"}
    # then
    assert await fields(world) == ["first_activity", "last_activity"]
    # and when
    world.policy = SyncPolicy(mode="replica", ignored=frozenset({"first_activity"}))
    world.sync = world.fresh_sync()
    assert await fields(world) == ["last_activity"]
