"""Keeps the tasks of an incident's copies in step. Pure.

Tasks are a set: what is made in one copy is made in the others that can hold tasks. Whether it
is done, and its words, are as they were last changed, wherever that was. One that is deleted in
a copy is not made there again, and stays in the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from quell.domain.hub import Conflict, Hub, HubTask, IncidentWrite, Link, TaskCopy, WriteState
from quell.domain.incident import Task
from quell.domain.ports import ObservedIncident
from quell.sync.remarks import line, short_digest

__all__ = [
    "absorb_tasks",
    "carry_tasks",
    "confirm_task",
    "is_there",
    "read_copy",
    "state_of",
    "task_changes",
]


def absorb_tasks(hub: Hub, seen: ObservedIncident) -> tuple[Hub, tuple[Conflict, ...]]:
    """Take the tasks of a copy in. A stale observation says nothing."""
    link = hub.link_at(seen.source_id, seen.native_id)
    if link is None or seen.tasks is None or link.is_past(seen.changed_at):
        return hub, ()
    conflicts: list[Conflict] = []
    for task in seen.tasks:
        known = _find(hub, link, task)
        if known is not None and (conflict := _conflict(known, link, task)) is not None:
            conflicts.append(conflict)
        hub = hub.with_task(_made(hub, link, task) if known is None else _moved(known, link, task))
    return _without_gone(hub, link, {task.key for task in seen.tasks}), tuple(conflicts)


def task_changes(before: Hub, after: Hub) -> list[list[str]]:
    """Tell which tasks differ, for a revision: as they were, and as they are."""
    old, new = ({task.id: _shown(task) for task in hub.tasks} for hub in (before, after))
    changed = [one for one in new if old.get(one) != new[one]]
    return [[old[one] for one in changed if one in old], [new[one] for one in changed]]


def _shown(task: HubTask) -> str:
    return f"{'done' if task.is_done else 'open'}: {line(task.title)}"


def state_of(task: HubTask | Task | Mapping[str, Any]) -> str:
    """Digest what a task says, to tell whether a copy says the same."""
    if isinstance(task, Mapping):
        task = Task(key="", **{name: task[name] for name in ("title", "description", "is_done")})
    return short_digest(_words(task.title, task.description), str(task.is_done))


def is_there(task: HubTask, copy: TaskCopy) -> bool:
    """Tell whether a copy says what the task says, as far as the product can hold it."""
    words = _words(task.title, task.description)
    return (copy.words, copy.is_done) == (words, task.is_done) or copy.sent == state_of(task)


def confirm_task(hub: Hub, write: IncidentWrite, made: Task) -> Hub:
    """Put on record that a task was written, and what the product made of it."""
    hub = hub.with_write(msgspec.structs.replace(write, state=WriteState.APPLIED))
    link_id = str(write.link_id)
    if (link := hub.link(link_id)) is not None:
        # the incident's version token is another one now
        hub = hub.with_link(msgspec.structs.replace(link, etag=""))
    known = next((one for one in hub.tasks if one.id == write.intended.get("task")), None)
    if known is None:
        return hub
    for other in hub.tasks:
        mistaken = other.copies.get(link_id)
        if other.id != known.id and mistaken is not None and mistaken.native_key == made.key:
            # two tasks of the same words were told apart wrongly
            rest = {one: copy for one, copy in other.copies.items() if one != link_id}
            hub = hub.with_task(msgspec.structs.replace(other, copies=rest))
    copy = msgspec.structs.replace(read_copy(made), sent=state_of(write.intended))
    return hub.with_task(_with_copy(known, link_id, copy))


def carry_tasks(winner: Hub, loser: Hub) -> Hub:
    """Give the winner of a merge the tasks of the loser that it does not have."""
    for task in loser.tasks:
        same = next((one for one in winner.tasks if _is_same(one, task)), None)
        if same is not None:
            is_done = same.is_done or task.is_done
            winner = winner.with_task(msgspec.structs.replace(same, is_done=is_done))
            continue
        carried = msgspec.structs.replace(
            task,
            id=short_digest(winner.tenant_id, winner.id, "task", task.origin_key),
            origin_link_id=None,
            copies={},
        )
        winner = winner.with_task(carried)
    return winner


# -- one task ------------------------------------------------------------------------------------


def _find(hub: Hub, link: Link, task: Task) -> HubTask | None:
    """Find a task by its id in the copy; or by its words, where it is not known to be there yet."""
    for one in hub.tasks:
        copy = one.copies.get(link.id)
        if copy is not None and copy.native_key == task.key:
            return one
    words = _words(task.title, task.description)
    for one in hub.tasks:
        if link.id not in one.copies and _words(one.title, one.description) == words:
            return one
    return None


def _made(hub: Hub, link: Link, task: Task) -> HubTask:
    origin_key = f"{link.id}/{task.key}"
    return HubTask(
        id=short_digest(hub.tenant_id, hub.id, "task", origin_key),
        origin_key=origin_key,
        origin_link_id=link.id,
        title=task.title,
        description=task.description,
        is_done=task.is_done,
        copies={link.id: read_copy(task)},
    )


def _moved(known: HubTask, link: Link, task: Task) -> HubTask:
    """Take over what was changed in a copy since it was last read."""
    copy = known.copies.get(link.id)
    if copy is None:
        # found by its words: what is done anywhere is done
        is_done = known.is_done or task.is_done
        return _with_copy(msgspec.structs.replace(known, is_done=is_done), link.id, read_copy(task))
    read = read_copy(task)
    if (read.is_done, read.words) == (copy.is_done, copy.words):
        return _with_copy(known, link.id, msgspec.structs.replace(copy, is_gone=False))
    changes: dict[str, Any] = {}
    if read.is_done != copy.is_done:
        changes["is_done"] = read.is_done
    if read.words != copy.words:
        changes |= {"title": task.title, "description": task.description}
    return _with_copy(msgspec.structs.replace(known, **changes), link.id, read)


def _conflict(known: HubTask, link: Link, task: Task) -> Conflict | None:
    """Record words that were changed in a copy before another change of them had got there."""
    copy = known.copies.get(link.id)
    here, wanted = _words(task.title, task.description), _words(known.title, known.description)
    if copy is None or here in {copy.words, wanted} or copy.words == wanted or copy.sent:
        return None
    body = {
        "task": known.id,
        "link": link.id,
        "won": {"title": task.title, "description": task.description},
        "lost": {"title": known.title, "description": known.description},
    }
    return Conflict(field="tasks", kind="both_changed", body=body)


def _without_gone(hub: Hub, link: Link, keys: set[str]) -> Hub:
    for task in hub.tasks:
        copy = task.copies.get(link.id)
        if copy is not None and not copy.is_gone and copy.native_key not in keys:
            gone = msgspec.structs.replace(copy, is_gone=True)
            hub = hub.with_task(_with_copy(task, link.id, gone))
    return hub


def _with_copy(task: HubTask, link_id: str, copy: TaskCopy) -> HubTask:
    return msgspec.structs.replace(task, copies={**task.copies, link_id: copy})


def read_copy(task: Task) -> TaskCopy:
    """Give what is remembered of a task as a copy shows it."""
    return TaskCopy(
        native_key=task.key, is_done=task.is_done, words=_words(task.title, task.description)
    )


def _is_same(one: HubTask, two: HubTask) -> bool:
    words = _words(one.title, one.description) == _words(two.title, two.description)
    return words or one.origin_key == two.origin_key


def _words(title: str, description: str) -> str:
    plain = (text.replace("\r\n", "\n").strip() for text in (title, description))
    return short_digest(*plain)
