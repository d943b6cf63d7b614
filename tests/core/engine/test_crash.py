"""Dying everywhere: at every journal write and at every await of a call, then going on elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from tests.engine_world import DEVICE, Crash, TestClock, World, pending

from quell.domain.entity import Device, User
from quell.domain.outcome import Succeeded
from quell.domain.run import RunState
from quell.engine import RunRef
from quell.journal import Journal, Write
from quell.journal.tables import runs as run_table

pytestmark = pytest.mark.anyio

T = TypeVar("T")
PC2 = Device(mde_id="e" * 40, dns_name="pc2.example.com", name="pc2")
ANN = User(upn="ann@example.com", name="Ann")

PLAYBOOK = """\
quell: 1
playbook: everything
trigger: {incident: created}
steps:
  - {id: facts, do: user.get, to: incident.users}
  - {id: isolate, do: device.isolate, to: incident.devices}
  - {id: disable, do: user.disable, to: facts.ok, after: facts.settled}
  - {id: pause, wait: 20s, after: isolate.settled}
  - id: each
    for_each: incident.users
    as: one
    steps:
      - {id: tell, do: incident.comment, with: {text: "{{ one.upn }}"}}
  - id: note
    do: incident.comment
    after: all.settled
    with: {text: "off {{ names(isolate.ok) }} {{ names(disable.ok) }}"}
"""


class DyingJournal(Journal):
    """A journal whose process dies at the nth write, before or after its commit."""

    dies_at: int = 0
    dies_after: bool = False
    written: int = 0

    async def commit(self, write: Write[T]) -> T:
        if self.dies_at < 0:
            raise Crash  # whoever is dead writes nothing more
        self.written += 1
        if self.written != self.dies_at:
            return await super().commit(write)
        self.dies_at = -1
        if self.dies_after:
            await super().commit(write)
        raise Crash


def open_dying(url: str, clock: TestClock) -> DyingJournal:
    journal = DyingJournal.open(url, clock=clock)
    assert isinstance(journal, DyingJournal)
    return journal


class Ward:
    """Worlds whose journals can die, in one file each."""

    def __init__(self, folder: str) -> None:
        self.url = f"sqlite:///{folder}/quell.sqlite3"
        self.clock = TestClock()
        self.first: DyingJournal = open_dying(self.url, self.clock)
        self.world = World(self.first, self.clock)
        self.world.arm()
        self.opened: list[Journal] = [self.first]

    def reopen(self) -> None:
        """Start another process on the same journal."""
        journal = Journal.open(self.url, clock=self.clock)
        self.opened.append(journal)
        self.world.journal = journal
        self.world.new_engine(journal)
        self.world.lab.at_await = lambda _: None

    def close(self) -> None:
        self.world.close()
        for journal in self.opened:
            journal.close()


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("ward"))


async def live(ward: Ward) -> RunRef | None:
    """Start the playbook and drive it to its end, or until the process dies."""
    ref = None
    try:
        ref = await ward.world.start(PLAYBOOK, DEVICE, PC2, ANN)
        ward.first.written = 0
        await ward.world.finish(ref)
    except Crash:
        pass
    return ref


def facts(world: World, ref: RunRef) -> dict[str, object]:
    """Give what must be the same, whenever the process died."""
    rows = world.journal.ask_now(lambda tx: tx.execute(run_table.select()).all())
    return {
        "runs": len(rows),
        "state": world.row(ref).state,
        "isolated": sorted(world.lab.isolated),
        "disabled": sorted(world.lab.disabled),
        "comments": sorted(world.lab.comments.values()),
        "repeated": {what for what in world.lab.repeated() if what[0] == "isolate"},
        "steps": sorted(
            (step.key, step.state.value, len(step.results)) for step in world.snapshot(ref).steps
        ),
    }


async def test_a_run_that_dies_at_any_write_ends_the_same_with_nothing_done_twice(
    folder: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # given: how it ends when nothing happens
    whole = Ward(folder)
    ref = await live(whole)
    assert ref is not None
    expected = facts(whole.world, ref)
    writes = whole.first.written
    whole.close()
    assert expected["state"] is RunState.DONE
    assert writes > 10

    for dies_after in (False, True):
        for number in range(1, writes + 1):
            # when
            ward = Ward(str(tmp_path_factory.mktemp("ward")))
            ref = await ward.world.start(PLAYBOOK, DEVICE, PC2, ANN)
            ward.first.written, ward.first.dies_at = 0, number
            ward.first.dies_after = dies_after
            died = await _dies(ward, ref)
            ward.reopen()
            await ward.world.finish(ref)

            # then
            found = facts(ward.world, ref)
            where = f"write {number}, {'after' if dies_after else 'before'} its commit"
            ward.close()
            assert died, where
            assert found == expected, where


async def _dies(ward: Ward, ref: RunRef) -> bool:
    try:
        await ward.world.finish(ref)
    except Crash:
        return True
    return False


@pytest.mark.parametrize("verb", ["isolate", "disable", "comment"])
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_run_that_dies_inside_a_call_asks_before_it_calls_again(
    folder: str, verb: str, moment: str
) -> None:
    # given
    ward = Ward(folder)
    ref = await ward.world.start(PLAYBOOK, DEVICE, PC2, ANN)

    def die(where: str) -> None:
        if where == f"{verb} {moment}":
            ward.first.dies_at = -1
            raise Crash

    ward.world.lab.at_await = die

    # when
    assert await _dies(ward, ref)
    ward.reopen()
    await ward.world.finish(ref)

    # then
    found = facts(ward.world, ref)
    ward.close()
    assert found["state"] is RunState.DONE
    assert ward.world.lab.repeated() == {}
    assert len(ward.world.lab.isolated) == 2
    assert len(ward.world.lab.comments) == 2


async def test_a_pending_operation_outlives_the_process(folder: str) -> None:
    # given
    ward = Ward(folder)
    ward.world.lab.instead["isolate"] = [pending("op1"), pending("op2")]
    ward.world.lab.operations |= {"op1": Succeeded, "op2": Succeeded}
    ref = await ward.world.start(PLAYBOOK, DEVICE, PC2, ANN)
    await ward.world.engine.drive(ref)

    # when
    ward.reopen()
    await ward.world.finish(ref)

    # then
    states = [row.state.value for row in ward.world.effects(ref) if row.action == "device.isolate"]
    ward.close()
    assert states == ["done", "done"]
    assert [verb for verb, _ in ward.world.lab.calls].count("isolate") == 2


async def test_a_run_that_kills_every_worker_is_parked(folder: str) -> None:
    # given
    ward = Ward(folder)
    ref = await ward.world.start(PLAYBOOK, DEVICE, PC2, ANN)

    # when: each worker dies at its first write after the claim
    for _ in range(6):
        dying = open_dying(ward.url, ward.clock)
        ward.opened.append(dying)
        dying.dies_at = 2
        ward.world.new_engine(dying)
        try:
            await ward.world.engine.drive(ref)
        except Crash:
            ward.clock.pass_by(seconds=21)

    # then
    row = ward.world.row(ref)
    notices = [one.kind for one in ward.world.notices()]
    ward.close()
    assert row.state is RunState.PARKED
    assert "taken over" in row.error
    assert notices == ["parked"]


async def test_a_worker_that_was_frozen_past_its_lease_writes_nothing_more(folder: str) -> None:
    # given: a worker freezes inside a call, and another takes over and ends the run
    ward = Ward(folder)
    world = ward.world
    ref = await world.start(PLAYBOOK, DEVICE, ANN)
    slow = world.engine
    other = Journal.open(ward.url, clock=ward.clock)
    ward.opened.append(other)
    fast = world.new_engine(other)
    thawed: list[RunState] = []

    def freeze(where: str) -> None:
        if where == "isolate after" and not thawed:
            thawed.append(RunState.RUNNING)
            ward.clock.pass_by(seconds=21)

    world.lab.at_await = freeze

    async def take_over() -> RunState:
        world.engine = fast
        return await world.finish(ref)

    # when
    slow_end, fast_end = await asyncio.gather(slow.drive(ref), _later(ward, take_over))

    # then
    found = facts(world, ref)
    repeated = world.lab.repeated()
    ward.close()
    assert fast_end is RunState.DONE
    assert slow_end in {RunState.RUNNING, RunState.WAITING, RunState.DONE}
    assert found["state"] is RunState.DONE
    assert repeated == {}


async def _later(ward: Ward, then: Callable[[], Awaitable[RunState]]) -> RunState:
    for _ in range(400):
        if ward.world.lab.accepted[("isolate", "d" * 40)]:
            break
        await asyncio.sleep(0.001)
    return await then()
