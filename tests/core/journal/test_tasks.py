"""Tasks and what follows from alerts, on each database engine: stored whole, found again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.sync_model import START, ManualClock
from tests.sync_world import World

from quell.domain.incident import Alert
from quell.journal import Journal

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(journal: Journal) -> World:
    """Give two products and a journal of each kind in turn."""
    return World(journal, ManualClock())


async def test_a_task_with_its_copies_is_found_again_and_changed_in_place(world: World) -> None:
    # given
    world.origin.add("1", title="one")
    world.origin.set_task("1", "k", "Look at 'the' log {{ 1 }} \u202e")
    world.origin.set_task("1", "l", "Ask somebody")
    await world.settle()
    # when
    world.origin.set_task("1", "l", "Ask somebody", is_done=True)
    await world.settle()
    # then
    hub = world.hub("1")
    shown = {task.title: task.is_done for task in hub.tasks}
    assert shown == {"Look at 'the' log {{ 1 }} \u202e": False, "Ask somebody": True}
    assert {len(task.copies) for task in hub.tasks} == {2}
    assert {task.origin_key.rpartition("/")[2] for task in hub.tasks} == {"k", "l"}


async def test_what_follows_from_alerts_is_found_again(world: World) -> None:
    # given
    world.origin.add("1", title="one")
    last = START + timedelta(microseconds=7)
    told = Alert(id="a", product="endpoint", last_activity=last, tactics=frozenset({"impact"}))
    world.origin.raise_alert("1", told)
    # when
    await world.settle()
    # then
    fields = world.hub("1").fields
    assert fields.last_activity == last
    assert fields.tactics == {"impact"}
    assert fields.products == {"endpoint"}
