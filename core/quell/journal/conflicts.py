"""Conflicts: where copies disagreed and something had to give way, on record."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.hub import Conflict
from quell.domain.ids import IncidentId, TenantId, WorkerId
from quell.journal import audit
from quell.journal.tables import conflicts
from quell.journal.writer import Question, Transaction, Write

__all__ = ["ConflictRow", "find", "listed", "settle"]

#: fewer characters of an id would fit many and mean none
SHORTEST = 4


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
    tenant_id: TenantId,
    incident_id: IncidentId | None = None,
    *,
    is_open: bool | None = None,
    limit: int = 100,
) -> Question[list[ConflictRow]]:
    """List conflicts, open ones first and then the newest, of a tenant or of one incident."""

    def ask(tx: Transaction) -> list[ConflictRow]:
        statement = sa.select(conflicts).where(conflicts.c.tenant_id == tenant_id)
        if incident_id is not None:
            statement = statement.where(conflicts.c.incident_id == incident_id)
        if is_open is not None:
            settled = conflicts.c.settled_at
            statement = statement.where(settled.is_(None) if is_open else settled.is_not(None))
        newest = statement.order_by(
            conflicts.c.settled_at.is_not(None), conflicts.c.at.desc(), conflicts.c.id
        ).limit(limit)
        return [
            msgspec.convert(row, ConflictRow, from_attributes=True) for row in tx.execute(newest)
        ]

    return ask


def find(tenant_id: TenantId, text: str) -> Question[list[ConflictRow]]:
    """Find the conflicts whose id begins so; fewer than four characters mean none."""
    statement = sa.select(conflicts).where(
        conflicts.c.tenant_id == tenant_id, conflicts.c.id.startswith(text, autoescape=True)
    )

    def ask(tx: Transaction) -> list[ConflictRow]:
        if len(text) < SHORTEST:
            return []
        rows = tx.execute(statement.limit(20))
        return [msgspec.convert(row, ConflictRow, from_attributes=True) for row in rows]

    return ask


def settle(
    tenant_id: TenantId,
    conflict_id: str,
    by: str,
    *,
    choice: str = "kept",
    chain: WorkerId | None = None,
) -> Write[bool]:
    """Write down that a person has settled a conflict, and how. False when somebody had already.

    `chain` is the audit trail that it goes to; the values are in the conflict alone.
    """

    def apply(tx: Transaction) -> bool:
        open_one = sa.and_(
            conflicts.c.tenant_id == tenant_id,
            conflicts.c.id == conflict_id,
            conflicts.c.settled_at.is_(None),
        )
        update = sa.update(conflicts).where(open_one).values(settled_at=tx.now, settled_by=by)
        is_settled = tx.changed(update)
        if is_settled and chain is not None:
            body = {"conflict": conflict_id, "choice": choice}
            audit.append(tx, tenant_id, chain, actor=by, action="conflict.resolve", body=body)
        return is_settled

    return Write(apply, locks=("conflict", tenant_id, conflict_id))


def record_once(
    tx: Transaction, tenant_id: TenantId, incident_id: IncidentId, conflict: Conflict
) -> bool:
    """Put a conflict on record unless the very same one is. False when it is."""
    same = sa.select(conflicts.c.body).where(
        conflicts.c.tenant_id == tenant_id,
        conflicts.c.incident_id == incident_id,
        conflicts.c.kind == conflict.kind,
        conflicts.c.field == conflict.field,
    )
    if any(row.body == conflict.body for row in tx.execute(same)):
        return False
    record(tx, tenant_id, incident_id, conflict)
    return True


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
            settled_at=tx.now if conflict.settled_by else None,
            settled_by=conflict.settled_by or None,
        )
    )
