"""When a call may leave, and when a look at what became of it is conclusive: the terms of "once"."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from tests.engine_world import DEVICE, Crash, TestClock, World, isolate, unknown

from quell.domain.run import EffectState, RunState
from quell.engine import RunRef
from quell.journal import Journal, Write
from quell.journal.effects import EffectRow

pytestmark = pytest.mark.anyio

T = TypeVar("T")
PC = "d" * 40
ISOLATE = """\
quell: 1
playbook: cut
trigger: {incident: created}
steps:
  - {id: isolate, do: device.isolate, to: incident.devices}
"""


class SlowJournal(Journal):
    """A journal whose next commits come back only after so many seconds."""

    #: the clock, and by how much each further commit is late
    held: tuple[TestClock, list[float]] | None = None

    async def commit(self, write: Write[T]) -> T:
        """Commit, and let the time pass that the answer takes."""
        answer = await super().commit(write)
        if self.held is not None and self.held[1]:
            self.held[0].pass_by(seconds=self.held[1].pop(0))
        return answer


@pytest.fixture
def slow() -> Iterator[World]:
    """Give an armed tenant whose journal can be slow."""
    clock = TestClock()
    journal = SlowJournal.open("sqlite://", clock=clock)
    made = World(journal, clock)
    made.arm()
    yield made
    made.close()
    journal.close()


def the_effect(world: World) -> EffectRow:
    """Give the one effect on record."""
    (row,) = world.effects()
    return row


async def die_in_the_call(world: World, playbook: str = ISOLATE) -> RunRef:
    """Let a worker send a request and die before any answer."""
    ref = await world.start(playbook, DEVICE)

    def die(where: str) -> None:
        if where == "isolate before":
            raise Crash

    world.lab.at_await = die
    with pytest.raises(Crash):
        await world.engine.drive(ref)
    world.lab.at_await = lambda _: None
    return ref


def conclusive(world: World) -> datetime:
    """Compute from when on a look tells what became of the request."""
    return the_effect(world).deadline + isolate.timeout + isolate.settle


async def test_after_a_crash_nothing_is_sent_before_a_look_is_conclusive(world: World) -> None:
    # given
    ref = await die_in_the_call(world)
    moment = conclusive(world)
    world.clock.moment = moment - timedelta(seconds=10)

    # when another worker takes over too early for a look
    world.new_engine()
    assert await world.engine.drive(ref) is RunState.WAITING

    # then it waits until a look is conclusive
    assert world.row(ref).wake_at == moment
    assert the_effect(world).state is EffectState.INTENDED
    assert len(world.lab.calls) == 1

    # and then sends the same request again, since the product shows nothing
    world.clock.moment = moment
    await world.finish(ref)
    assert the_effect(world).state is EffectState.DONE
    assert world.lab.accepted[("isolate", PC)] == 1
    assert len(world.lab.notes) == 2
    assert len(set(world.lab.notes)) == 1


async def test_a_look_waits_for_as_long_as_the_step_let_its_call_take(world: World) -> None:
    # given
    ref = await die_in_the_call(world, ISOLATE.replace("devices}", "devices, timeout: 10m}"))
    deadline = the_effect(world).deadline
    world.clock.moment = deadline + timedelta(seconds=30)

    # when
    world.new_engine()
    await world.engine.drive(ref)

    # then
    assert world.row(ref).wake_at == deadline + timedelta(minutes=10) + isolate.settle


async def test_a_request_that_arrives_before_the_look_is_found_and_not_sent_again(
    world: World,
) -> None:
    # given
    ref = await die_in_the_call(world)
    world.clock.moment = conclusive(world) - timedelta(seconds=1)

    # when the network gives it up in the last second
    world.lab.isolated[PC] = ("quell", (the_effect(world).vendor_key,))
    world.new_engine()
    await world.finish(ref)

    # then
    assert the_effect(world).state is EffectState.DONE
    assert the_effect(world).reason == "found in the vendor's record"
    assert len(world.lab.calls) == 1


async def test_an_unclear_answer_is_followed_by_one_look_after_the_settle_time(
    world: World,
) -> None:
    # given
    world.lab.instead["isolate"] = [unknown()]
    ref = await world.start(ISOLATE, DEVICE)
    begin = world.clock.now()

    # when
    await world.finish(ref)

    # then it is not sent again, although it could still arrive
    assert the_effect(world).state is EffectState.FAILED
    assert world.clock.now() >= begin + isolate.settle
    assert len(world.lab.calls) == 1


@pytest.mark.parametrize("late", [19.0, 21.0, 300.0])
async def test_no_call_leaves_after_the_deadline_that_is_on_record(
    slow: World, late: float
) -> None:
    # given a journal that says only late that the intent is committed
    ref = await slow.start(ISOLATE, DEVICE)
    left: list[tuple[datetime, datetime]] = []
    slow.lab.at_await = lambda where: (
        left.append((slow.clock.now(), the_effect(slow).deadline))
        if where == "isolate before"
        else None
    )
    assert isinstance(slow.journal, SlowJournal)
    slow.journal.held = (slow.clock, [0.0, late])

    # when
    await slow.finish(ref)

    # then
    assert the_effect(slow).state is EffectState.DONE
    assert len(left) == 1
    assert all(moment < deadline for moment, deadline in left)
