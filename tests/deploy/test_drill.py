"""The disaster drill: a journal from before is put back, and the products know more than it does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.engine_world import DEVICE, TENANT, TestClock, World

from quell.domain.run import RunState
from quell.engine import RunRef
from quell.journal import Journal

pytestmark = pytest.mark.anyio

PLAYBOOK = """\
quell: 1
playbook: contain
trigger: {incident: created}
steps:
  - {id: isolate, do: device.isolate, to: incident.devices}
  - {id: note, do: incident.comment, with: {text: "done"}}
"""


def back_up(source: Path, target: Path) -> None:
    """Copy a journal while it is in use, as the operator's page says."""
    with closing(sqlite3.connect(source)) as db, closing(sqlite3.connect(target)) as copy:
        db.backup(copy)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give an armed tenant with a journal in a file."""
    clock = TestClock()
    with closing(Journal.open(f"sqlite:///{tmp_path / 'quell.sqlite3'}", clock=clock)) as journal:
        made = World(journal, clock)
        made.arm()
        yield made
        made.close()


@pytest.fixture
def restored(world: World, tmp_path: Path) -> Iterator[World]:
    """Give the same tenant with the journal as it was when it was backed up."""
    back_up(tmp_path / "quell.sqlite3", tmp_path / "backup.sqlite3")
    with closing(
        Journal.open(f"sqlite:///{tmp_path / 'backup.sqlite3'}", clock=world.clock)
    ) as old:
        made = World(old, world.clock, lab=world.lab)
        # new ids, as a process gives them: they are never those of before
        made.ids = iter(range(500_000, 600_000))
        yield made
        made.close()


async def test_a_run_that_the_backup_knows_of_finds_its_own_effects_again(
    world: World, request: pytest.FixtureRequest
) -> None:
    # given: it was queued when the backup was made, and did all of it afterwards
    ref = await world.start(PLAYBOOK, DEVICE)
    restored: World = request.getfixturevalue("restored")
    await world.finish(ref)
    assert len(world.lab.accepted) == 2

    # when
    state = await restored.finish(ref)

    # then
    assert state is RunState.DONE
    assert world.lab.repeated() == {}


async def test_what_the_backup_never_heard_of_contains_nothing_twice_and_may_remark_again(
    world: World, request: pytest.FixtureRequest
) -> None:
    # given: the incident came after the backup
    world.activate(PLAYBOOK)
    restored: World = request.getfixturevalue("restored")
    await world.finish(await world.start(PLAYBOOK, DEVICE))

    # when: the incident is read again, under an id of its own
    again = restored.add_incident(DEVICE, name="new")
    (run_id,) = await restored.match(again)
    await restored.finish(RunRef(TENANT, run_id))

    # then: the device is not isolated a second time; the remark is there twice
    verbs = [verb for verb, _ in world.lab.accepted.elements()]
    assert verbs.count("isolate") == 1
    assert verbs.count("comment") == 2

    # and as it counts as found, an undo leaves it to people
    await restored.engine.take_back(by="ann", run_id=run_id)
    assert len(world.lab.isolated) == 1


async def test_with_a_halt_in_the_restored_journal_nothing_is_contained_at_all(
    world: World, request: pytest.FixtureRequest
) -> None:
    # given
    ref = await world.start(PLAYBOOK, DEVICE)
    restored: World = request.getfixturevalue("restored")

    # when
    restored.halt()
    state = await restored.finish(ref)

    # then: the run ends without it, and says so
    assert state is RunState.DONE
    assert world.lab.isolated == {}
    states = {row.action: row.state.value for row in restored.effects(ref)}
    assert states == {"device.isolate": "denied", "incident.comment": "done"}
