"""Conflicts: where copies disagreed and something had to give way, on record."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.hub import Conflict
from quell.domain.ids import IncidentId, TenantId
from quell.journal.tables import conflicts
from quell.journal.writer import Question, Transaction, Write

__all__ = ["ConflictRow", "listed", "settle"]


class ConflictRow(msgspec.Struct, frozen=True, kw_only=True):
    """A conflict as the journal has it."""

    id: str
    incident_id: IncidentId
    field: str
    kind: str
    body: dict[str, Any]
    at: datetime
    settled_at: datetime | None = None
    settled_by: str | None = None


def listed(
    tenant_id: TenantId, incident_id: IncidentId | None = None, *, limit: int = 100
) -> Question[list[ConflictRow]]:
    """List the newest conflicts, of a tenant or of one incident."""

    def ask(tx: Transaction) -> list[ConflictRow]:
        statement = sa.select(conflicts).where(conflicts.c.tenant_id == tenant_id)
        if incident_id is not None:
            statement = statement.where(conflicts.c.incident_id == incident_id)
        newest = statement.order_by(conflicts.c.at.desc(), conflicts.c.id).limit(limit)
        return [
            msgspec.convert(row, ConflictRow, from_attributes=True) for row in tx.execute(newest)
        ]

    return ask


def settle(tenant_id: TenantId, conflict_id: str, by: str) -> Write[bool]:
    """Write down that a person has looked at a conflict. False when somebody had already."""

    def apply(tx: Transaction) -> bool:
        open_one = sa.and_(
            conflicts.c.tenant_id == tenant_id,
            conflicts.c.id == conflict_id,
            conflicts.c.settled_at.is_(None),
        )
        update = sa.update(conflicts).where(open_one).values(settled_at=tx.now, settled_by=by)
        return tx.changed(update)

    return Write(apply, locks=("conflict", tenant_id, conflict_id))


def record(
    tx: Transaction, tenant_id: TenantId, incident_id: IncidentId, conflict: Conflict
) -> None:
    """Put a conflict on record, in the transaction that decided it."""
    tx.execute(
        sa.insert(conflicts).values(
            tenant_id=tenant_id,
            id=uuid.uuid4().hex,
            incident_id=incident_id,
            field=conflict.field,
            kind=conflict.kind,
            body=conflict.body,
            at=tx.now,
        )
    )
