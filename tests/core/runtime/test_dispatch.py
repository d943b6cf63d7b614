"""The dispatcher: each run driven once at a time, looked at again when asked, drained at the end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from quell.domain.ids import RunId, TenantId
from quell.engine import RunRef
from quell.errors import StateError
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
