"""What quell says by itself: of comments that people deleted, and of related incidents of a mirror."""

from __future__ import annotations

import msgspec
import pytest
from tests.core.sync.test_moves import ANN, PC1, alert
from tests.sync_world import World

from quell.domain.incident import Status
from quell.sync import SyncPolicy

pytestmark = pytest.mark.anyio


async def test_a_deleted_comment_stays_in_its_copies_and_that_is_said_once(world: World) -> None:
    # given
    world.origin.add("7")
    await world.settle()
    copy = world.copy_of("7")
    world.mirror.say(copy, "a hasty word", author="Bob")
    await world.settle()

    # when
    record = world.mirror.records[copy]
    record.comments.clear()
    for _ in range(2):
        world.mirror.touch(record)
        await world.settle()

    # then
    said = world.origin.texts_of("7")
    assert len(said) == 2
    assert "a hasty word" in said[0]
    assert "Bob wrote in mirror" in said[1]
    assert "deleted there" in said[1]
    assert world.mirror.texts_of(copy) == []


async def test_a_copy_of_ours_that_a_person_deleted_is_not_made_again(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.say("7", "told onward")
    await world.settle()
    copy = world.copy_of("7")

    # when
    record = world.mirror.records[copy]
    record.comments.clear()
    world.mirror.touch(record)
    await world.settle()

    # then
    assert world.mirror.texts_of(copy) == []
    assert world.origin.texts_of("7") == ["told onward"]


async def test_a_comment_under_another_key_was_not_deleted(world: World) -> None:
    # given: a product without ids for comments, whose author got a proper name meanwhile
    world.origin.add("7")
    world.origin.say("7", "still here", author="7f3a")
    await world.settle()

    # when
    record = world.origin.records["7"]
    record.comments = [msgspec.structs.replace(record.comments[0], key="other", author="Ada")]
    world.origin.touch(record)
    await world.settle()

    # then
    assert not any("deleted" in text for text in world.mirror.texts_of(world.copy_of("7")))


# -- incidents that began in a mirror -------------------------------------------------------------


def telling(world: World, *, tells: bool = True) -> None:
    world.policy = SyncPolicy(mode="replica", mirror_native=tells)
    world.sync = world.fresh_sync()


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_related_incident_of_the_mirror_is_told_of_once(
    world: World, is_first: bool
) -> None:
    # given
    telling(world)

    # when
    if is_first:
        world.mirror.add("native", title="odd\nsign-ins").alerts.append(alert("m1", ANN))
        await world.settle()
    world.origin.add("7")
    world.origin.raise_alert("7", alert("a1", ANN))
    await world.settle()
    if not is_first:
        world.mirror.add("native", title="odd\nsign-ins").alerts.append(alert("m1", ANN))
        await world.settle()
    world.mirror.edit("native", title="odder sign-ins")
    world.origin.raise_alert("7", alert("a2", ANN, PC1))
    await world.settle()

    # then
    (said,) = world.origin.texts_of("7")
    assert "odd sign-ins" in said
    assert "https://mirror.example/native" in said
    assert list(world.origin.records) == ["7"]
    assert world.mirror.texts_of("native") == []


async def test_an_unrelated_a_closed_and_an_unwanted_one_are_not_told_of(world: World) -> None:
    # given
    telling(world)
    world.origin.add("7")
    world.origin.raise_alert("7", alert("a1", ANN))
    world.origin.add("8", status=Status.CLOSED)
    world.origin.raise_alert("8", alert("a2", PC1))
    await world.settle()

    # when
    world.mirror.add("native").alerts.append(alert("m1", PC1))
    await world.settle()
    telling(world, tells=False)
    world.mirror.add("other").alerts.append(alert("m2", ANN))
    await world.settle()

    # then
    assert world.origin.texts_of("7") == world.origin.texts_of("8") == []
