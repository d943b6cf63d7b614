"""Plans which tasks still have to be made or changed in which copy. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from quell.domain.hub import (
    Acceptance,
    Copy,
    Hub,
    HubComment,
    HubTask,
    IncidentWrite,
    Link,
    WriteKind,
    WriteState,
)
from quell.sync.plan.writes import new_write, superseded
from quell.sync.remarks import copy_key, line, short_digest
from quell.sync.rules import Rules
from quell.sync.tasks import is_there

__all__ = ["plan_tasks"]


def plan_tasks(hub: Hub, rules: Rules, now: datetime, caused_by: str | None) -> Hub:
    """Plan a write for each copy that does not say what a task says."""
    links = rules.sides.taking_part(hub)
    if any(link.acceptance is Acceptance.PENDING for link in links):
        return hub
    if "tasks" in rules.policy.ignored:
        return _drop_others(hub, [])
    wanted: list[str] = []
    for link in links:
        room = rules.sides[link.source_id].tasks_at_most - _count(hub, link)
        for task in hub.tasks:
            copy = task.copies.get(link.id)
            if copy is not None and (copy.is_gone or is_there(task, copy)):
                continue
            if copy is None and (room := room - 1) < 0:
                hub = _told(hub, link, task, rules)
                continue
            write = _write(hub, link, task, rules, now, caused_by)
            wanted.append(write.id)
            hub = hub.with_write(write)
    return _drop_others(hub, wanted)


def _count(hub: Hub, link: Link) -> int:
    copies = (task.copies.get(link.id) for task in hub.tasks)
    return sum(copy is not None and not copy.is_gone for copy in copies)


def _write(
    hub: Hub, link: Link, task: HubTask, rules: Rules, now: datetime, caused_by: str | None
) -> IncidentWrite:
    """Give the write that makes a copy say what the task says: a new one, unless there is one."""
    intended: dict[str, Any] = {
        "task": task.id,
        "key": copy_key(rules.secret, hub.tenant_id, link.id, "task", task.id),
        "title": task.title,
        "description": task.description,
        "is_done": task.is_done,
    }
    for write in hub.writes:
        is_it = write.kind is WriteKind.TASK and write.link_id == link.id
        if not is_it or write.intended.get("task") != task.id:
            continue
        # one that is being sent is left alone until it is known what became of it
        is_parked = write.state is WriteState.PARKED
        if write.state is WriteState.SENDING:
            return write
        if write.intended == intended and (write.is_open or is_parked):
            return write
    return new_write(
        hub,
        link=link,
        source_id=link.source_id,
        kind=WriteKind.TASK,
        key=f"task/{link.id}/{task.id}/{now.isoformat()}/{short_digest(repr(intended))}",
        intended=intended,
        now=now,
        caused_by=caused_by,
    )


def _drop_others(hub: Hub, wanted: list[str]) -> Hub:
    for write in hub.writes:
        is_planned = write.kind is WriteKind.TASK and write.state is WriteState.PLANNED
        if is_planned and write.id not in wanted:
            hub = hub.with_write(superseded(write, "the incident went on"))
    return hub


def _told(hub: Hub, link: Link, task: HubTask, rules: Rules) -> Hub:
    """Say in a comment what the list of tasks has no room for."""
    if rules.sides[link.source_id].tasks_at_most <= 0 or not rules.sides.is_mirror(link.source_id):
        return hub
    origin_key = f"task/{link.id}/{task.id}"
    if any(one.origin_key == origin_key for one in hub.comments):
        return hub
    about = f"\n\n{task.description}" if task.description else ""
    comment = HubComment(
        id=short_digest(hub.tenant_id, hub.id, origin_key),
        kind="note",
        origin_key=origin_key,
        text=f"Task that the full list of tasks has no room for: {line(task.title)}{about}",
        copies=(Copy(link_id=link.id),),
    )
    return hub.with_comment(comment)
