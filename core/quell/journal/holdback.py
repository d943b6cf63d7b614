"""Starts that were held back for a reason that passes by itself, and can go on now."""

from __future__ import annotations

import sqlalchemy as sa

from quell.domain.ids import IncidentId, TenantId
from quell.journal.tables import activations, held_starts
from quell.journal.writer import Question, Transaction

__all__ = ["held_for"]


def held_for(
    tenant_id: TenantId, reason: str, *, limit: int
) -> Question[list[tuple[str, IncidentId]]]:
    """List starts of active playbooks that are held for one reason, oldest first."""
    active = sa.select(activations.c.playbook_id).where(
        activations.c.tenant_id == tenant_id, activations.c.is_active
    )
    statement = (
        sa.select(held_starts.c.playbook_id, held_starts.c.incident_id)
        .where(
            held_starts.c.tenant_id == tenant_id,
            held_starts.c.released_at.is_(None),
            held_starts.c.reason == reason,
            held_starts.c.playbook_id.in_(active),
        )
        .order_by(held_starts.c.at, held_starts.c.playbook_id, held_starts.c.incident_id)
        .limit(limit)
    )

    def ask(tx: Transaction) -> list[tuple[str, IncidentId]]:
        return [(row.playbook_id, IncidentId(row.incident_id)) for row in tx.execute(statement)]

    return ask
