"""Tasks of incidents, each with its copies."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from quell.domain.hub import HubTask
from quell.domain.ids import IncidentId, TenantId
from quell.journal.prepared import its, same
from quell.journal.tables import tasks
from quell.journal.upsert import insert_or_update
from quell.journal.writer import Transaction

__all__ = ["of_incident", "save_task"]

READ = (
    sa.select(tasks.c.body)
    .where(same(tasks.c.tenant_id, tasks.c.incident_id))
    .order_by(tasks.c.seen_at, tasks.c.id)
)


def of_incident(tx: Transaction, tenant_id: TenantId, incident_id: str) -> tuple[HubTask, ...]:
    """List an incident's tasks in the order that they were seen."""
    asked = its(tenant_id=tenant_id, incident_id=incident_id)
    return tuple(msgspec.convert(row.body, HubTask) for row in tx.execute(READ, asked))


def save_task(tx: Transaction, tenant_id: TenantId, incident_id: IncidentId, task: HubTask) -> None:
    """Store one task."""
    row = {
        "tenant_id": tenant_id,
        "id": task.id,
        "incident_id": incident_id,
        "body": msgspec.to_builtins(task),
        "seen_at": tx.now,
    }
    insert_or_update(tx, tasks, row, update=["body"])
