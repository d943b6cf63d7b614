"""Copies that are full: nothing that anybody said is dropped, and what is not shown is told of."""

from __future__ import annotations

import pytest
from tests.sync_model import ManualClock, ModelSource
from tests.sync_world import TENANT, World

from quell.domain.incident import Alert
from quell.errors import Unreachable
from quell.journal import Journal, incident_writes, notices

pytestmark = pytest.mark.anyio


@pytest.fixture
async def small(world: World) -> World:
    """Give a world where copies hold few comments, with one incident and its copy."""
    world.mirror.comments_at_most, world.origin.comments_at_most = 6, 100
    world.mirror.comment_limit = 3000
    world.origin.add("7")
    await world.settle()
    world.take_calls()
    return world


async def say_all(world: World, source: ModelSource, native_id: str, texts: list[str]) -> None:
    for text in texts:
        source.say(native_id, text)
        await world.sync.pass_once()
    await world.settle()


def shown_in(source: ModelSource, native_id: str, texts: list[str]) -> list[int]:
    """Tell how often each text is in all comments of a copy together."""
    whole = "\n".join(source.texts_of(native_id))
    return [whole.count(f"<{text}>") for text in texts]


async def test_a_copy_that_is_nearly_full_gets_the_rest_in_comments_that_are_there(
    small: World,
) -> None:
    # given
    texts = [f"word {number}" for number in range(20)]

    # when
    await say_all(small, small.origin, "7", [f"<{text}>" for text in texts])

    # then
    copy = small.copy_of("7")
    assert len(small.mirror.texts_of(copy)) <= 6
    assert shown_in(small.mirror, copy, texts) == [1] * 20
    assert await small.disagreements() == ()
    assert small.journal.ask_now(incident_writes.parked(TENANT)) == []
    small.take_calls()
    await small.settle()
    assert small.take_calls() == []


async def test_each_comment_in_a_shared_one_keeps_its_author(small: World) -> None:
    # given
    for number in range(8):
        small.origin.say("7", f"<word {number}>", author=f"analyst {number}")

    # when
    await small.settle()

    # then
    whole = "\n".join(small.mirror.texts_of(small.copy_of("7")))
    assert all(f"analyst {number} wrote in detector" in whole for number in range(8))


async def test_many_comments_at_once_come_in_few_calls(small: World) -> None:
    # given
    for number in range(30):
        small.origin.say("7", f"<word {number}>")

    # when
    await small.settle()

    # then
    texts = [f"word {number}" for number in range(30)]
    assert shown_in(small.mirror, small.copy_of("7"), texts) == [1] * 30
    assert len(small.take_calls()) <= 12


async def test_where_comments_cannot_be_changed_several_share_a_new_one(small: World) -> None:
    # given
    copy = small.copy_of("7")
    small.origin.comments_at_most = 6
    texts = [f"word {number}" for number in range(10)]

    # when
    for text in texts:
        small.mirror.say(copy, f"<{text}>")
    await small.settle()

    # then
    assert len(small.origin.texts_of("7")) <= 6
    assert shown_in(small.origin, "7", texts) == [1] * 10
    assert await small.disagreements() == ()


async def test_a_new_shared_comment_whose_answer_was_lost_is_not_joined_with_later_ones(
    small: World,
) -> None:
    # given
    copy = small.copy_of("7")
    small.origin.comments_at_most = 6
    texts = [f"word {number}" for number in range(6)]
    for text in texts[:5]:
        small.mirror.say(copy, f"<{text}>")
    await small.sync.pass_once()
    small.origin.silences["comment"] = [Unreachable(endpoint="POST")]
    small.clock.advance(minutes=61)
    await small.sync.apply_writes()

    # when
    small.mirror.say(copy, f"<{texts[5]}>")
    for _ in range(4):
        await small.sync.poll(small.mirror.source_id)  # the other one does not show it yet
        await small.sync.apply_writes()
        small.clock.advance(minutes=61)

    # then
    assert shown_in(small.origin, "7", texts) == [1] * 6
    assert len(small.origin.texts_of("7")) == 5


async def test_what_does_not_fit_at_all_stays_on_record_and_one_line_says_so(
    small: World,
) -> None:
    # given
    texts = [f"word {number} " + "x" * 2000 for number in range(12)]

    # when
    await say_all(small, small.origin, "7", [f"<{text}>" for text in texts])

    # then
    assert len(small.mirror.texts_of(small.copy_of("7"))) == 6
    (parked,) = small.journal.ask_now(incident_writes.parked(TENANT))
    shown = sum(shown_in(small.mirror, small.copy_of("7"), texts))
    assert parked.intended["not_shown"] == 12 - shown
    assert parked.intended["where"] == ["https://detector.example/7"]
    assert "can be read where they were written" in parked.error
    told = [one.notice.kind for one in small.journal.ask_now(notices.unsent(TENANT))]
    assert told == ["parked"]
    assert len(small.hub("7").comments) == 12


async def test_a_shared_comment_whose_answer_was_lost_is_there_once(small: World) -> None:
    # given
    texts = [f"word {number}" for number in range(10)]
    for call in ("comment", "edit_comment"):
        small.mirror.silences[call] = [Unreachable(endpoint="PUT")] * 2

    # when
    await say_all(small, small.origin, "7", [f"<{text}>" for text in texts])

    # then
    assert shown_in(small.mirror, small.copy_of("7"), texts) == [1] * 10
    assert await small.disagreements() == ()


async def test_a_journal_that_was_lost_knows_shared_comments_again(small: World) -> None:
    # given
    texts = [f"word {number}" for number in range(10)]
    for text in texts:
        small.origin.say("7", f"<{text}>")
    await small.settle()
    other = World(type(small.journal).open("sqlite://", clock=small.clock), small.clock)
    other.origin, other.mirror = small.origin, small.mirror
    other.sync = other.fresh_sync()
    before = small.mirror.texts_of(small.copy_of("7"))
    said = list(small.origin.texts_of("7"))

    # when
    await other.settle()
    await other.sync.accept(None, "ada")
    await other.settle()

    # then
    assert small.mirror.texts_of(small.copy_of("7")) == before
    assert small.origin.texts_of("7") == said
    other.journal.close()


async def test_alerts_leave_room_for_what_people_say(small: World) -> None:
    # given
    copy = small.copy_of("7")

    # when
    for number in range(12):
        small.origin.raise_alert("7", Alert(id=f"alert-{number}", title=f"<alert {number}>"))
        await small.sync.pass_once()
    await small.settle()

    # then
    assert len(small.mirror.texts_of(copy)) <= 3
    assert shown_in(small.mirror, copy, [f"alert {number}" for number in range(12)]) == [1] * 12


class Died(BaseException):
    """The process is gone. No `except` of the program may catch it."""


async def live(world: World) -> None:
    """Go on as another process does, until it dies or nothing is left to do."""
    world.clock.advance(minutes=5)
    world.sync = world.fresh_sync()
    try:
        await world.settle()
    except BaseExceptionGroup as group:
        if group.split(Died)[1] is not None:
            raise
    except Died:
        pass


async def say_and_die(at: int) -> tuple[World, list[str], int]:
    """Fill a small copy while the process dies at one moment of a writing call; go on after."""
    clock = ManualClock()
    world = World(Journal.open("sqlite://", clock=clock), clock)
    world.mirror.comments_at_most, world.mirror.comment_limit = 6, 3000
    world.origin.add("7")
    await world.settle()
    moments: list[str] = []

    def witness(moment: str) -> None:
        moments.append(moment)
        if len(moments) == at:
            raise Died

    world.mirror.witness = witness
    texts = [f"word {number}" for number in range(9)]
    for text in texts:
        world.origin.say("7", f"<{text}>")
        await live(world)
    await live(world)
    return world, texts, len(moments)


async def test_dying_around_any_call_loses_and_doubles_nothing_in_shared_comments() -> None:
    # given
    undisturbed, _, moments = await say_and_die(at=0)
    assert any("edit_comment" in call for call in undisturbed.mirror.calls)
    undisturbed.journal.close()

    for at in range(1, moments + 1):
        # when
        world, texts, _ = await say_and_die(at=at)

        # then
        copy = world.copy_of("7")
        assert shown_in(world.mirror, copy, texts) == [1] * 9, f"died at moment {at}"
        assert await world.disagreements() == ()
        world.journal.close()
