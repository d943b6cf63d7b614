"""The dispatcher: each run driven once at a time, looked at again when asked, drained at the end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from quell.domain.ids import RunId, TenantId
from quell.engine import RunRef
from quell.errors import StateError
from quell.journal.admission import Verdict
from quell.runtime.dispatch import Dispatcher

pytestmark = pytest.mark.anyio
RUN, OTHER = (RunRef(TenantId("lab"), RunId(name)) for name in ("r1", "r2"))


class Drives:
    """Stands for the engine: counts drives, and lets them end when told to."""

    def __init__(self) -> None:
        self.begun: list[RunRef] = []
        self.may_end = asyncio.Event()

    async def __call__(self, ref: RunRef) -> None:
        self.begun.append(ref)
        await self.may_end.wait()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_wake_ups_for_a_run_in_hand_make_one_more_look_and_not_more() -> None:
    # given
    drives = Drives()
    dispatcher = Dispatcher(drives)
    dispatcher.start()
    dispatcher.offer(RUN)
    await settle()

    # when: it may have passed the point that these are about
    for _ in range(5):
        dispatcher.offer(RUN)
    await settle()
    begun_meanwhile = list(drives.begun)
    drives.may_end.set()
    await settle()

    # then
    assert begun_meanwhile == [RUN]
    assert drives.begun == [RUN, RUN]
    await dispatcher.stop()


async def test_a_wake_up_can_come_from_any_thread() -> None:
    # given
    drives = Drives()
    drives.may_end.set()
    dispatcher = Dispatcher(drives)
    dispatcher.start()

    # when
    thread = threading.Thread(target=dispatcher.offer, args=(RUN,))
    thread.start()
    await asyncio.to_thread(thread.join)
    await settle()

    # then
    assert drives.begun == [RUN]
    await dispatcher.stop()


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("a bug"),
        StateError(what="It", problem="is not so", remedy="See `quell runs`."),
    ],
)
async def test_a_run_that_breaks_stops_no_other(error: Exception) -> None:
    # given
    driven: list[RunRef] = []

    async def drive(ref: RunRef) -> None:
        driven.append(ref)
        if ref == RUN:
            raise error

    dispatcher = Dispatcher(drive)
    dispatcher.start()

    # when
    dispatcher.offer(RUN)
    dispatcher.offer(OTHER)
    await settle()
    await dispatcher.quiet()

    # then
    assert driven == [RUN, OTHER]
    await dispatcher.stop()


async def test_stopping_waits_for_what_is_in_hand_and_takes_nothing_more() -> None:
    # given
    drives = Drives()
    dispatcher = Dispatcher(drives)
    dispatcher.start()
    dispatcher.offer(RUN)
    await settle()

    # when
    stopping = asyncio.create_task(dispatcher.stop())
    await settle()
    dispatcher.offer(OTHER)
    await dispatcher.drive(OTHER)
    was_waiting = not stopping.done()
    drives.may_end.set()
    await stopping

    # then
    assert was_waiting
    assert drives.begun == [RUN]


async def test_whoever_asks_for_a_drive_waits_for_its_end() -> None:
    # given
    drives = Drives()
    dispatcher = Dispatcher(drives)
    dispatcher.start()

    # when
    asking = asyncio.create_task(dispatcher.drive(RUN))
    await settle()
    was_waiting = not asking.done()
    drives.may_end.set()
    await asking

    # then
    assert was_waiting
    assert drives.begun == [RUN]
    await dispatcher.stop()


def ref(name: str) -> RunRef:
    return RunRef(TenantId("lab"), RunId(name))


async def test_the_urgent_are_driven_first_and_never_more_than_the_cap_at_once() -> None:
    # given: one slot, and it is taken
    drives = Drives()
    dispatcher = Dispatcher(drives, in_flight=1)
    dispatcher.start()
    dispatcher.offer(RUN)
    await settle()

    # when
    for name, priority in [("read", 7), ("note", 5), ("isolate", 3), ("purge", 3)]:
        dispatcher.offer(ref(name), priority)
    await settle()
    begun_meanwhile, in_line = list(drives.begun), dispatcher.in_line
    drives.may_end.set()
    await settle()
    await dispatcher.quiet()

    # then
    assert begun_meanwhile == [RUN]
    assert in_line == 4
    assert [one.run_id for one in drives.begun[1:]] == ["isolate", "purge", "note", "read"]
    await dispatcher.stop()


async def test_what_waits_is_bounded_and_the_least_urgent_is_dropped_and_told() -> None:
    # given
    drives = Drives()
    dispatcher = Dispatcher(drives, in_flight=1, waiting=2)
    dispatcher.start()
    dispatcher.offer(RUN)
    await settle()

    # when
    noting = asyncio.create_task(dispatcher.drive(ref("note"), 5))
    await settle()
    for number in range(50):
        dispatcher.offer(ref(f"contain{number}"), 3)
    await settle()

    # then: nobody waits for a wake-up that is gone
    assert await noting is False
    assert dispatcher.in_line == 2
    assert len(asyncio.all_tasks()) < 10
    drives.may_end.set()
    await settle()
    assert [one.run_id for one in drives.begun] == ["r1", "contain0", "contain1"]
    await dispatcher.stop()


class Suspects:
    """Stands for the engine with one run that has to be driven alone."""

    def __init__(self) -> None:
        self.in_hand: set[str] = set()
        self.told: list[str] = []
        self.may_end = {name: asyncio.Event() for name in ("other", "bad", "contain", "note")}

    async def drive(self, ref: RunRef) -> object:
        if ref.run_id == "bad":
            return Verdict.SUSPECT
        return await self._hold(ref)

    async def alone(self, ref: RunRef) -> object:
        assert not self.in_hand
        return await self._hold(ref)

    async def _hold(self, ref: RunRef) -> Verdict:
        assert "bad" not in self.in_hand
        self.in_hand.add(ref.run_id)
        self.told.append(ref.run_id)
        await self.may_end[ref.run_id].wait()
        self.in_hand.discard(ref.run_id)
        return Verdict.ADMITTED


async def test_a_suspect_is_driven_alone_and_only_containment_goes_before_it() -> None:
    # given: another run is in hand
    work = Suspects()
    dispatcher = Dispatcher(work.drive, work.alone)
    dispatcher.start()
    dispatcher.offer(ref("other"))
    await settle()
    asking = asyncio.create_task(dispatcher.drive(ref("bad")))
    await settle()

    # when
    dispatcher.offer(ref("note"), 5)
    dispatcher.offer(ref("contain"), 3)
    await settle()
    begun_before = list(work.told)
    work.may_end["other"].set()
    work.may_end["contain"].set()
    await settle()
    alone = list(work.in_hand)
    work.may_end["bad"].set()
    was_driven = await asking
    await settle()

    # then
    assert begun_before == ["other", "contain"]
    assert alone == ["bad"]
    assert was_driven
    assert work.told == ["other", "contain", "bad", "note"]
    work.may_end["note"].set()
    await dispatcher.stop()


async def test_what_waits_at_the_stop_is_given_back_at_once_and_what_hangs_can_be_abandoned() -> (
    None
):
    # given
    drives = Drives()
    dispatcher = Dispatcher(drives, in_flight=1)
    dispatcher.start()
    dispatcher.offer(RUN)
    await settle()
    waiting = asyncio.create_task(dispatcher.drive(OTHER))
    await settle()

    # when
    stopping = asyncio.create_task(dispatcher.stop())
    given_back = await waiting
    was_waiting = not stopping.done()
    dispatcher.abandon()
    await stopping

    # then
    assert given_back is False
    assert was_waiting
    assert drives.begun == [RUN]
