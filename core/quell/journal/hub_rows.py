"""An incident with all its copies as one value: read from its tables, and what differs stored."""

from __future__ import annotations

import msgspec

from quell.domain.hub import Hub, Mark, Step
from quell.domain.ids import TenantId
from quell.journal import (
    alerts,
    comments,
    conflicts,
    incident_writes,
    incidents,
    links,
    notices,
    tasks,
)
from quell.journal.writer import Transaction

__all__ = ["load", "save"]

#: what the incident's own row holds of a hub
COLUMNS = (
    "tenant_id",
    "id",
    "fields",
    "revision",
    "marks",
    "merged_into",
    "origin_source_id",
    "origin_native_id",
    "routing",
    "created_at",
    "updated_at",
)


def load(
    tx: Transaction, tenant_id: TenantId, incident_id: str, *, is_locked: bool = False
) -> Hub | None:
    read = incidents.lock_row if is_locked else incidents.read_row
    row = read(tx, tenant_id, incident_id)
    if row is None:
        return None
    values = {name: getattr(row, name) for name in COLUMNS}
    hub = msgspec.convert(values, Hub)
    return hub.replace(
        links=links.of_incident(tx, tenant_id, incident_id),
        comments=comments.of_incident(tx, tenant_id, incident_id),
        tasks=tasks.of_incident(tx, tenant_id, incident_id),
        alerts=alerts.notes(tx, tenant_id, incident_id),
        writes=incident_writes.unfinished(tx, tenant_id, incident_id),
    )


def save(tx: Transaction, before: Hub, step: Step) -> Hub:
    """Store what a step changed; gives the hub with its new revision."""
    hub = step.hub.replace(marks=_still_vouched(before, step.hub))
    if step.revision is not None:
        hub = incidents.add_revision(tx, hub, step.revision)
    if _of_incident(before) != _of_incident(hub) or before.revision == 0:
        incidents.save_incident(tx, hub)
    _save_parts(tx, before, hub)
    for conflict in step.conflicts:
        conflicts.record(tx, hub.tenant_id, hub.id, conflict)
    for notice in step.notices:
        notices.add(tx, notice)
    return hub


def _still_vouched(before: Hub, after: Hub) -> dict[str, Mark]:
    """Keep what was vouched for: a value that somebody else gives does not take it back."""
    marks = dict(after.marks)
    for name, mark in after.marks.items():
        known = before.marks.get(name)
        if known is not None and mark.vouched is msgspec.UNSET:
            marks[name] = msgspec.structs.replace(mark, vouched=known.vouched)
    return marks


def _of_incident(hub: Hub) -> tuple[object, ...]:
    return (
        hub.fields,
        hub.revision,
        hub.marks,
        hub.merged_into,
        hub.origin_native_id,
        hub.routing,
    )


def _save_parts(tx: Transaction, before: Hub, hub: Hub) -> None:
    known_links = {link.id: link for link in before.links}
    for link in hub.links:
        if known_links.get(link.id) != link:
            links.save_link(tx, hub.tenant_id, link)
    known_comments = {comment.id: comment for comment in before.comments}
    for comment in hub.comments:
        if known_comments.get(comment.id) != comment:
            known = known_comments.get(comment.id)
            comments.save_comment(tx, hub.tenant_id, hub.id, known, comment)
    known_tasks = {task.id: task for task in before.tasks}
    for task in hub.tasks:
        if known_tasks.get(task.id) != task:
            tasks.save_task(tx, hub.tenant_id, hub.id, task)
    known_writes = {write.id: write for write in before.writes}
    for seq, write in enumerate(hub.writes):
        if known_writes.get(write.id) != write:
            incident_writes.save_write(
                tx, hub.tenant_id, hub.id, write, seq=seq, is_new=write.id not in known_writes
            )
    alerts.carry(tx, hub.tenant_id, before.alerts, hub.alerts)
