"""Says where copies of an incident, read afresh, do not have the same tasks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from quell.domain.hub import Hub, HubTask, Link
from quell.domain.incident import Task
from quell.domain.ports import ObservedIncident
from quell.sync.rules import Rules
from quell.sync.tasks import is_there, read_copy

__all__ = ["TaskGap", "task_gaps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGap:
    """A task that one copy has and another has not, or has otherwise."""

    link: Link
    #: as it is where it stands, and as it is in the copy that differs; empty for none
    there: str
    here: str = ""


def task_gaps(
    hub: Hub, looks: Mapping[str, tuple[Link, ObservedIncident]], rules: Rules
) -> Iterator[TaskGap]:
    """Compare what each copy that can hold tasks has, with what every other one has."""
    if "tasks" in rules.policy.ignored:
        return
    holders = [
        (link, {task.key: task for task in seen.tasks})
        for link, seen in looks.values()
        if seen.tasks is not None and rules.sides[link.source_id].tasks_at_most > 0
    ]
    for link, tasks in holders:
        for task in tasks.values():
            known = _known(hub, link, task)
            for other, others in holders:
                if other.id == link.id:
                    continue
                if known is None:
                    # nobody has told the journal of it yet, so that it is nowhere else
                    yield TaskGap(link=other, there=_shown(task))
                elif (gap := _gap(hub, known, (link, task), (other, others))) is not None:
                    yield gap


def _known(hub: Hub, link: Link, task: Task) -> HubTask | None:
    for one in hub.tasks:
        copy = one.copies.get(link.id)
        if copy is not None and copy.native_key == task.key:
            return one
    return None


def _gap(
    hub: Hub, known: HubTask, one: tuple[Link, Task], two: tuple[Link, Mapping[str, Task]]
) -> TaskGap | None:
    (link, task), (other, others) = one, two
    copy = known.copies.get(other.id)
    if copy is None:
        # a full list of tasks has it told in a comment
        is_told = any(said.origin_key == f"task/{other.id}/{known.id}" for said in hub.comments)
        return None if is_told else TaskGap(link=other, there=_shown(task))
    found = others.get(copy.native_key)
    if found is None:
        return None if copy.is_gone else TaskGap(link=other, there=_shown(task))
    if (found.title, found.is_done) == (task.title, task.is_done):
        return None
    # a product that cannot hold all of it agrees as far as it can
    if _says(known, link, task) and _says(known, other, found):
        return None
    return TaskGap(link=other, there=_shown(task), here=_shown(found))


def _says(known: HubTask, link: Link, task: Task) -> bool:
    """Tell whether a task as read now says what the incident's task says."""
    before, now = known.copies.get(link.id), read_copy(task)
    if before is not None and (before.words, before.is_done) == (now.words, now.is_done):
        now = msgspec.structs.replace(now, sent=before.sent)
    return is_there(known, now)


def _shown(task: Task) -> str:
    return f"{'done' if task.is_done else 'open'}: {task.title}"
