"""Leaving: steps in hand end, what is left goes back at once, and nothing keeps a process for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.core.runtime.stage import Stage, staged, until
from tests.engine_world import TENANT

from quell.domain.run import RunState
from quell.engine import RunRef
from quell.journal import leases, runs, workers
from quell.runtime.tenant import TenantRuntime


async def begin(stage: Stage) -> tuple[asyncio.Task[None], RunRef]:
    """Let a process have a run in hand, in the middle of its first step."""
    working = await stage.up()
    ref = await stage.start()
    await until(lambda: stage.hands.begun == 1)
    return working, ref


def state_of(stage: Stage, ref: RunRef) -> RunState:
    return stage.runtime.journal.ask_now(runs.get(ref)).state


def test_the_step_in_hand_ends_and_the_run_goes_back_to_the_queue(tmp_path: Path) -> None:
    # given
    with staged(tmp_path, worker={"grace": 600}) as stage:

        async def leave() -> bool:
            working, ref = await begin(stage)

            # when: and one more comes in meanwhile
            stage.stop.set()
            await asyncio.sleep(0.2)
            late = await stage.start()
            stage.woken.clear()
            waits = not working.done()
            stage.runtime.dispatcher.offer(late)
            stage.hands.may_end.set()
            await asyncio.wait_for(working, 30)

            # then: another worker is told of it, and finds it free
            assert stage.woken == [ref]
            assert state_of(stage, ref) is RunState.QUEUED
            assert state_of(stage, late) is RunState.QUEUED
            return waits

        was_waiting = stage.runtime.run(leave())
        journal = stage.runtime.journal
        assert was_waiting
        assert stage.hands.begun == 1
        assert journal.ask_now(workers.listed()) == []
        assert journal.ask_now(leases.listed(TENANT)) == []


@pytest.mark.parametrize("way", ["the grace time is over", "a second signal"])
def test_what_does_not_end_is_left_to_its_lease(tmp_path: Path, way: str) -> None:
    # given: a step that would go on for ever
    is_second = way == "a second signal"
    with staged(tmp_path, worker={"grace": 3600 if is_second else 0.2}) as stage:

        async def leave() -> RunRef:
            working, ref = await begin(stage)

            # when
            stage.stop.set()
            if is_second:
                await asyncio.sleep(0.1)
                assert not working.done()
                stage.runtime.hurry()
            await asyncio.wait_for(working, 30)
            return ref

        ref = stage.runtime.run(leave())

        # then
        journal = stage.runtime.journal
        row = journal.ask_now(runs.get(ref))
        assert (row.state, row.owner) == (RunState.RUNNING, stage.runtime.worker_id)
        assert row.lease_until is not None
        assert stage.hands.at_once == 0
        assert journal.ask_now(workers.listed()) == []
        assert journal.ask_now(leases.listed(TENANT)) == []


def test_a_duty_that_never_returns_delays_no_other_and_no_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    hangs = asyncio.Event()

    async def hang(self: TenantRuntime) -> None:
        hangs.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(TenantRuntime, "_tend", hang)
    with staged(tmp_path, worker={"grace": 0.2}) as stage:

        async def work() -> None:
            working = await stage.up()
            await hangs.wait()

            # when
            stage.hands.may_end.set()
            ref = await stage.start()
            await until(lambda: state_of(stage, ref) is RunState.DONE)
            stage.stop.set()

            # then
            await asyncio.wait_for(working, 30)

        stage.runtime.run(work())
        assert stage.runtime.journal.ask_now(leases.listed(TENANT)) == []


def test_one_process_drives_no_more_at_once_than_its_settings_say(tmp_path: Path) -> None:
    # given
    with staged(tmp_path, worker={"runs_in_flight": 3}) as stage:

        async def work() -> list[RunRef]:
            refs = [await stage.start() for _ in range(8)]
            working = await stage.up()
            for ref in refs:
                stage.runtime.wake(ref, 5)

            # when
            await until(lambda: stage.hands.begun == 3)
            await asyncio.sleep(0.1)
            stage.hands.may_end.set()
            await until(lambda: all(state_of(stage, ref) is RunState.DONE for ref in refs))
            stage.stop.set()
            await working
            return refs

        stage.runtime.run(work())

        # then
        assert stage.hands.most_at_once == 3


def test_a_cap_of_a_playbook_lets_the_next_in_as_soon_as_a_place_is_free(tmp_path: Path) -> None:
    # given
    tenant = {"limits": {"by_playbook": {"hold": 2}}}
    with staged(tmp_path, tenant=tenant) as stage:

        async def work() -> None:
            refs = [await stage.start() for _ in range(6)]
            working = await stage.up()
            for ref in refs:
                stage.runtime.wake(ref, 5)

            # when
            await until(lambda: stage.hands.begun == 2)
            await asyncio.sleep(0.1)
            stage.hands.may_end.set()
            await until(lambda: all(state_of(stage, ref) is RunState.DONE for ref in refs))
            stage.stop.set()
            await working

        stage.runtime.run(work())

        # then
        assert stage.hands.most_at_once == 2
