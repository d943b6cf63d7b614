"""Whatever an isolated action does to its process becomes an outcome, and the worker goes on."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tests.core.isolation.stage import Plugin, Stage, make_stage, summary

from quell.domain.action import Unresolved
from quell.domain.entity import Device
from quell.domain.outcome import Failed, Observed, Operation, Succeeded, Unknown
from quell.isolation.isolation import ChildProcesses
from quell.settings import IsolationSettings
from quell.testing import make_target

#: what each trouble is reported as
BEGUN = {
    "segfault": "died (SIGSEGV)",
    "abort": "died (SIGABRT)",
    "leave": "ended by itself (exit status 3)",
    "end": "ended by itself",
    "raise_base": "ended by itself",
    "interrupt": "died (SIGINT)",
    "processor": "used more than 1 s of processor time",
    "flood": "answered with more than 16 MB",
    "garbled": "answered with something of the wrong shape",
    "turn": "answered out of turn",
    "questions": "asked for more than it can be given",
    "huge": "answered with more than 16 MB",
    "memory": "broke (MemoryError)",
    "files": "broke (OSError)",
    "text": "did not give one outcome for each target",
    "none": "did not give one outcome for each target",
    "two": "did not give one outcome for each target",
    "wrong": "answered with something of the wrong shape",
    "object": "gave what cannot be handed over (TypeError)",
    "long": "gave what cannot be handed over (OverflowError)",
    "raise": "broke (ZeroDivisionError)",
}


@pytest.fixture(scope="module")
def isolation_settings() -> IsolationSettings:
    return IsolationSettings(cpu_seconds=1, memory_mb=128)


def is_alive(pid: int) -> bool:
    """Tell whether a process is there and runs: one that was killed may not be reaped yet."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
            != "Z"
        )
    except FileNotFoundError:
        return False


async def number_in(note: Path) -> int:
    """Wait until an action has begun and left its process's number."""
    for _ in range(6000):
        if (text := read(note)).isdigit():
            return int(text)
        await asyncio.sleep(0.01)
    raise AssertionError("the action has not begun")


def read(note: Path) -> str:
    """Read a file that may not be there yet."""
    return note.read_text(encoding="ascii") if note.exists() else ""


async def is_gone(pid: int) -> bool:
    """Tell whether a process ends without further ado: it may still be on its way out."""
    for _ in range(500):
        if not is_alive(pid):
            return True
        await asyncio.sleep(0.01)
    return False


@pytest.mark.anyio
async def test_every_trouble_becomes_an_unknown_outcome_that_says_what_happened(
    stage: Stage,
) -> None:
    # when
    outcomes = dict(
        zip(
            BEGUN,
            await asyncio.gather(
                *(stage.act("device.break", kind=kind, within=300.0) for kind in BEGUN)
            ),
            strict=True,
        )
    )

    # then
    assert {
        kind: outcome
        for kind, outcome in outcomes.items()
        if not isinstance(outcome, Unknown) or BEGUN[kind] not in outcome.reason
    } == {}

    # and then
    assert await stage.act("device.break", kind="fine") == Succeeded(proof="fine")


@pytest.mark.anyio
async def test_a_process_that_hangs_is_ended_at_the_deadline(stage: Stage) -> None:
    # given
    await stage.act("device.break", kind="fine")

    # when
    outcome = await stage.act("device.break", kind="hang", within=5.0)

    # then
    assert isinstance(outcome, Unknown)
    assert "no answer within 5 s; its process was ended" in outcome.reason


@pytest.mark.anyio
async def test_what_a_plugin_prints_goes_nowhere_and_hurts_nothing(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    # when
    outcome = await stage.act("device.break", kind="print")

    # then
    assert outcome == Succeeded(proof="printed")
    assert capfd.readouterr() == ("", "")


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["processes", "processes_and_hang"])
async def test_processes_that_an_action_began_end_with_it(
    stage: Stage, tmp_path: Path, kind: str
) -> None:
    # given
    note = tmp_path / "begun"

    # when
    outcome = await stage.act("device.break", kind=kind, text=str(note), within=6.0)

    # then
    begun = [int(line) for line in note.read_text(encoding="ascii").split()]
    assert len(begun) == 3
    assert isinstance(outcome, Succeeded if kind == "processes" else Unknown)
    assert [pid for pid in begun if is_alive(pid)] == []


@pytest.mark.anyio
async def test_a_look_that_breaks_its_process_cannot_tell(stage: Stage) -> None:
    # given
    action = stage.plugin.action("device.break")

    # when
    looks = [
        await stage.calls.observe(
            action, make_target(Device(host_name="pc-1"), facts={"kind": kind})
        )
        for kind in ("segfault", "text", "leave")
    ]

    # then
    assert [one and one.state for one in looks] == [Observed.CANNOT_TELL] * 3
    assert "died (SIGSEGV)" in (looks[0].reason if looks[0] else "")


@pytest.mark.anyio
async def test_a_poll_that_breaks_its_process_is_no_answer(stage: Stage) -> None:
    # given
    action = stage.plugin.action("device.break")

    # when
    polled = [
        await stage.calls.poll(action, Operation(id=kind)) for kind in ("segfault", "text", "fine")
    ]
    cancelled = await stage.calls.cancel(action, Operation(id="segfault"))

    # then
    assert polled == [None, None, Succeeded(proof="fine")]
    assert not cancelled


@pytest.mark.anyio
async def test_a_look_up_that_breaks_its_process_resolves_nothing(stage: Stage) -> None:
    # when
    found = await stage.calls.isolating_all().resolve(summary("segfault"))

    # then
    assert isinstance(found, Unresolved)
    assert "died (SIGSEGV)" in found.reason


@pytest.mark.anyio
async def test_a_call_whose_deadline_has_passed_is_not_begun(stage: Stage) -> None:
    # when
    outcome = await stage.act("device.break", kind="fine", within=0.0)

    # then
    assert isinstance(outcome, Failed)
    assert "its deadline has passed" in outcome.reason


@pytest.mark.anyio
async def test_the_calls_own_deadline_counts_where_it_is_nearer(stage: Stage) -> None:
    # given
    action, call = stage.call_with(5.0, "device.sleep", number=3600)

    # when
    (outcome,) = await stage.calls.act(action, call, action.timeout)

    # then
    assert isinstance(outcome, Unknown)
    assert "no answer within" in outcome.reason
    assert "within 10 s" not in outcome.reason


@pytest.mark.anyio
async def test_a_call_that_gets_no_process_was_certainly_not_made_and_may_be_tried_again(
    plugin: Plugin,
) -> None:
    # given
    processes = ChildProcesses(IsolationSettings(processes=1), plugin.lock_path)
    stage = make_stage(plugin, processes)
    try:
        await stage.act("device.sleep", number=0)
        long_one = asyncio.create_task(stage.act("device.sleep", number=2))
        await asyncio.sleep(0)

        # when
        outcome = await stage.act("device.sleep", number=0, within=0.5)

        # then
        assert isinstance(outcome, Failed)
        assert outcome.retryable
        assert "no child process was free in time" in outcome.reason
        assert isinstance(await long_one, Succeeded)
    finally:
        await processes.close()


@pytest.mark.anyio
async def test_a_stem_process_that_was_killed_is_replaced(stage: Stage) -> None:
    # given
    first = await stage.act("device.block_port")
    (stem,) = stage.stems()
    os.kill(stem.process.pid, 9)
    stem.process.wait()

    # when
    second = await stage.act("device.block_port")

    # then
    assert isinstance(first, Succeeded)
    assert isinstance(second, Succeeded)


@pytest.mark.anyio
async def test_a_call_ends_with_the_stem_process_it_came_from(stage: Stage, tmp_path: Path) -> None:
    # given
    await stage.act("device.sleep", number=0)
    (stem,) = stage.stems()
    note = tmp_path / "begun"
    running = asyncio.create_task(stage.act("device.sleep", number=3600, text=str(note)))
    pid = await number_in(note)

    # when
    os.kill(stem.process.pid, 9)
    outcome = await running

    # then
    assert isinstance(outcome, Unknown)
    assert await is_gone(pid)


@pytest.mark.anyio
async def test_a_cancelled_call_leaves_no_process(stage: Stage, tmp_path: Path) -> None:
    # given
    await stage.act("device.sleep", number=0)
    note = tmp_path / "begun"
    running = asyncio.create_task(stage.act("device.sleep", number=3600, text=str(note)))
    pid = await number_in(note)

    # when
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    # then
    assert running.cancelled()
    assert not is_alive(pid)
    assert isinstance(await stage.act("device.sleep", number=0), Succeeded)
