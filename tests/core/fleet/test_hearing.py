"""A worker whose ear to the broker is dead: it says so, does what waits, and leaves if that goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.runtime.stage import Stage, staged, until

from quell.domain.run import RunState
from quell.fleet.hearing import Hearing
from quell.journal import runs


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Give a process with a run that waits, and that nobody wakes."""
    with staged(tmp_path) as made:
        made.hands.may_end.set()
        yield made


def test_runs_that_wait_while_nothing_is_heard_are_done_all_the_same(stage: Stage) -> None:
    # given
    left: list[str] = []
    hearing = Hearing(lambda: left.append("left"), look_every=0.05, deaf_after=0.1)

    async def work() -> None:
        ref = await stage.start()
        stage.woken.clear()
        stage.runtime.dispatcher.start()
        listening = asyncio.create_task(hearing.listen(stage.runtime, stage.stop))

        # when
        await until(lambda: stage.runtime.journal.ask_now(runs.get(ref)).state is RunState.DONE)
        await until(lambda: not hearing.is_deaf)
        stage.stop.set()
        await listening

    stage.runtime.run(work())

    # then: nobody had woken it, and once it was done there was nothing to leave for
    assert stage.woken == []
    assert left == []


@pytest.mark.parametrize(("hears", "times_left"), [(False, 1), (True, 0)], ids=["is deaf", "hears"])
def test_who_stays_deaf_leaves_and_who_hears_stays(
    stage: Stage, hears: bool, times_left: int
) -> None:
    # given: a run waits, and this process does nothing about it
    left: list[str] = []

    def leave() -> None:
        left.append("left")
        stage.stop.set()

    hearing = Hearing(leave, look_every=0.02, deaf_after=0.05, leave_after=0.1)

    async def listen() -> None:
        await stage.start()
        listening = asyncio.create_task(hearing.listen(stage.runtime, stage.stop))

        # when
        for _ in range(60):
            if hears:
                hearing.note()
            await asyncio.sleep(0.01)
        if hears:
            stage.stop.set()
        await asyncio.wait_for(listening, 30)

    stage.runtime.run(listen())

    # then
    assert len(left) == times_left


def test_a_run_that_has_just_been_written_down_worries_nobody(stage: Stage) -> None:
    # given: silence for long, and a run that is new
    hearing = Hearing(lambda: None, look_every=0.02, deaf_after=3600.0)
    hearing._heard_at -= 2 * hearing.deaf_after  # pyright: ignore[reportPrivateUsage]

    async def listen() -> None:
        await stage.start()
        listening = asyncio.create_task(hearing.listen(stage.runtime, stage.stop))
        await asyncio.sleep(0.2)
        stage.stop.set()
        await listening

    # when
    stage.runtime.run(listen())

    # then
    assert not hearing.is_deaf
