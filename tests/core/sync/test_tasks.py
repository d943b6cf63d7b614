"""Tasks of incidents: copied between copies, done where they are done anywhere, never doubled."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sync_model import START, ModelSource

from quell.domain.hub import Hub, Link, Shadow, TaskCopy, WriteKind, WriteState
from quell.domain.ids import IncidentId, LinkId, SourceId, TenantId
from quell.domain.incident import IncidentFields, Task
from quell.domain.ports import ObservedIncident
from quell.errors import ServerFailure
from quell.sync.tasks import absorb_tasks, carry_tasks, is_there, state_of

if TYPE_CHECKING:
    from tests.sync_world import World

SAID = Shadow(native={}, fields=IncidentFields())


def link(name: str) -> Link:
    return Link(
        id=LinkId(name),
        incident_id=IncidentId("i"),
        source_id=SourceId(name),
        system=name,
        native_id="7",
        shadow=SAID,
        observed=SAID,
        changed_at=START,
        seen_at=START,
    )


def hub(name: str = "i") -> Hub:
    return Hub(
        tenant_id=TenantId("t"),
        id=IncidentId(name),
        created_at=START,
        updated_at=START,
        links=(link("a"), link("b")),
    )


def seen(source: str, *tasks: Task, minutes: int = 0) -> ObservedIncident:
    return ObservedIncident(
        source_id=SourceId(source),
        native_id="7",
        native={},
        fields=IncidentFields(),
        changed_at=START + timedelta(minutes=minutes),
        tasks=tasks,
    )


def task(key: str, title: str = "Look at the log", *, is_done: bool = False) -> Task:
    return Task(key=key, title=title, is_done=is_done)


def shown(one: Hub) -> list[tuple[str, bool]]:
    return [(task.title, task.is_done) for task in one.tasks]


def test_a_task_of_the_same_words_in_both_copies_is_one_task() -> None:
    # when
    first, _ = absorb_tasks(hub(), seen("a", task("1")))
    both, _ = absorb_tasks(first, seen("b", task("9", is_done=True)))
    # then: done anywhere is done
    assert shown(both) == [("Look at the log", True)]
    assert set(both.tasks[0].copies) == {"a", "b"}


def test_two_tasks_of_the_same_words_in_one_copy_are_two() -> None:
    found, _ = absorb_tasks(hub(), seen("a", task("1"), task("2")))
    assert len(found.tasks) == 2


def test_the_last_change_of_done_and_open_wins() -> None:
    # given
    known, _ = absorb_tasks(hub(), seen("a", task("1")))
    known, _ = absorb_tasks(known, seen("b", task("9")))
    # when
    done, _ = absorb_tasks(known, seen("a", task("1", is_done=True)))
    still, _ = absorb_tasks(done, seen("b", task("9")))
    opened, _ = absorb_tasks(still, seen("a", task("1")))
    # then: that a copy has not got there yet is no news of it
    assert shown(still) == [("Look at the log", True)]
    assert shown(opened) == [("Look at the log", False)]


def test_a_stale_look_says_nothing_of_tasks() -> None:
    known, _ = absorb_tasks(hub(), seen("a", task("1")))
    again, _ = absorb_tasks(known, seen("a", minutes=-1))
    assert again == known


def test_a_deleted_task_stays_in_the_other_copy_and_is_marked_gone() -> None:
    # given
    known, _ = absorb_tasks(hub(), seen("a", task("1")))
    # when
    gone, _ = absorb_tasks(known, seen("a"))
    # then
    assert gone.tasks[0].copies["a"].is_gone
    # and when a late list shows it again
    back, _ = absorb_tasks(gone, seen("a", task("1")))
    assert not back.tasks[0].copies["a"].is_gone


def test_words_changed_in_two_copies_at_once_are_put_on_record() -> None:
    # given
    known, _ = absorb_tasks(hub(), seen("a", task("1")))
    known, _ = absorb_tasks(known, seen("b", task("9")))
    # when
    one, none = absorb_tasks(known, seen("a", task("1", "Look at the mail log")))
    two, conflicts = absorb_tasks(one, seen("b", task("9", "Look at the proxy log")))
    # then
    assert none == ()
    assert shown(two) == [("Look at the proxy log", False)]
    assert [conflict.field for conflict in conflicts] == ["tasks"]
    assert conflicts[0].body["lost"]["title"] == "Look at the mail log"


def test_what_the_product_makes_of_a_task_is_not_written_for_ever() -> None:
    # given: the product cuts what it was sent
    known, _ = absorb_tasks(hub(), seen("a", task("1")))
    one = known.tasks[0]
    cut = TaskCopy(native_key="9", words="other")
    # then
    assert not is_there(one, cut)
    assert is_there(one, TaskCopy(native_key="9", words="other", sent=state_of(one)))


TASKS = st.lists(
    st.builds(
        Task,
        key=st.sampled_from(["1", "2", "3"]),
        title=st.sampled_from(["x", "y", ""]),
        is_done=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda one: one.key,
)


@given(st.lists(st.tuples(st.sampled_from("ab"), TASKS), max_size=6))
def test_taking_the_same_tasks_in_again_changes_nothing(
    looks: list[tuple[str, list[Task]]],
) -> None:
    known = hub()
    for source, tasks in looks:
        known, _ = absorb_tasks(known, seen(source, *tasks))
        again, conflicts = absorb_tasks(known, seen(source, *tasks))
        assert again == known
        assert conflicts == ()


@given(TASKS, TASKS)
def test_a_merge_carries_every_task_once(ours: list[Task], theirs: list[Task]) -> None:
    # given
    winner, _ = absorb_tasks(hub("w"), seen("a", *ours))
    loser, _ = absorb_tasks(hub("l"), seen("b", *theirs))
    # when
    merged = carry_tasks(winner, loser)
    # then
    assert {one.title for one in merged.tasks} == {one.title for one in (*ours, *theirs)}
    assert merged.tasks[: len(winner.tasks)] == carry_tasks(merged, loser).tasks[: len(ours)]
    assert carry_tasks(merged, loser) == merged
    assert all(not one.copies for one in merged.tasks[len(winner.tasks) :])


# -- through the desk ------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_task_is_made_in_the_copy_and_its_end_comes_back(world: World) -> None:
    # given
    world.origin.add("1", title="one")
    world.origin.set_task("1", "k", "Look at the log")
    await world.settle()
    copy = world.copy_of("1")
    assert world.mirror.tasks_of(copy) == {"Look at the log": False}
    # when
    ((key, _),) = world.mirror.records[copy].tasks.items()
    world.mirror.set_task(copy, key, "Look at the log", is_done=True)
    await world.settle()
    # then
    assert world.origin.tasks_of("1") == {"Look at the log": True}
    assert len(world.hub("1").tasks) == 1
    assert _put_tasks(world.origin) + _put_tasks(world.mirror) == 2
    assert {"tasks"} <= set().union(*(one.changes for one in world.revisions("1")))


@pytest.mark.anyio
async def test_a_task_that_was_deleted_in_a_copy_is_not_made_there_again(world: World) -> None:
    # given
    world.origin.add("1", title="one")
    world.origin.set_task("1", "k", "Look at the log")
    await world.settle()
    copy = world.mirror.records[world.copy_of("1")]
    # when
    copy.tasks = {}
    world.mirror.touch(copy)
    await world.settle()
    world.origin.set_task("1", "k", "Look at the log", is_done=True)
    await world.settle()
    # then
    assert copy.tasks == {}
    assert world.origin.tasks_of("1") == {"Look at the log": True}


@pytest.mark.anyio
async def test_a_task_whose_answer_was_lost_is_made_once(world: World) -> None:
    # given
    world.origin.add("1", title="one")
    await world.settle()
    copy = world.copy_of("1")
    world.mirror.silences["put_task"] = [ServerFailure(endpoint="PUT model", status=500)]
    # when
    world.origin.set_task("1", "k", "Look at the log")
    await world.settle()
    # then
    assert world.mirror.tasks_of(copy) == {"Look at the log": False}
    assert len(world.hub("1").tasks) == 1
    assert len(world.mirror.records[copy].tasks) == 1


@pytest.mark.anyio
async def test_a_source_without_tasks_is_asked_to_make_none(world: World) -> None:
    # given
    world.mirror.tasks_at_most = 0
    world.origin.add("1", title="one")
    world.origin.set_task("1", "k", "Look at the log")
    # when
    await world.settle()
    # then
    assert _put_tasks(world.mirror) == 0
    assert len(world.hub("1").tasks) == 1


@pytest.mark.anyio
async def test_a_task_that_a_full_list_has_no_room_for_is_told_in_a_comment(world: World) -> None:
    # given
    world.mirror.tasks_at_most = 1
    world.origin.add("1", title="one")
    world.origin.set_task("1", "k", "first")
    world.origin.set_task("1", "l", "second")
    # when
    await world.settle()
    await world.settle()
    # then
    copy = world.copy_of("1")
    assert len(world.mirror.tasks_of(copy)) == 1
    told = [text for text in world.mirror.texts_of(copy) if "no room for" in text]
    assert len(told) == 1


@pytest.mark.anyio
async def test_a_merge_gives_the_winner_s_copy_the_loser_s_tasks(world: World) -> None:
    # given
    world.origin.add("1", title="one")
    world.origin.add("2", title="two")
    world.origin.set_task("2", "k", "Look at the log")
    await world.settle()
    # when
    world.origin.merge("2", "1")
    await world.settle()
    # then
    assert world.mirror.tasks_of(world.copy_of("1")) == {"Look at the log": False}
    writes = [one for one in world.writes("1") if one.kind is WriteKind.TASK]
    assert {one.state for one in writes} == {WriteState.APPLIED}


def _put_tasks(source: ModelSource) -> int:
    return source.calls.count("put_task")
