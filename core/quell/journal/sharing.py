"""Entities as incidents share them: who names the same things, and what goes when alerts go."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from quell.domain.entity import EntityKind
from quell.domain.ids import EntityId, IncidentId, TenantId
from quell.domain.incident import Status
from quell.journal import alerts
from quell.journal.entities import attach_one, resolve
from quell.journal.tables import incident_entities, incidents
from quell.journal.writer import Transaction

__all__ = ["detach", "sharing"]

#: what two incidents that name it have in common; an address or a file says little
TELLING = (EntityKind.DEVICE, EntityKind.USER, EntityKind.MAILBOX)
#: most incidents that are told of a related one at a time
MOST_SHARING = 10


def sharing(tx: Transaction, tenant_id: TenantId, incident_id: IncidentId) -> list[IncidentId]:
    """List open incidents that name a device, account or mailbox of this one, newest first.

    What has no strong name exists in one incident alone, so nothing of that kind is shared.
    """
    here, there = incident_entities.alias("here"), incident_entities.alias("there")
    statement = (
        sa.select(incidents.c.id, incidents.c.updated_at)
        .join(
            there,
            sa.and_(
                there.c.tenant_id == incidents.c.tenant_id, there.c.incident_id == incidents.c.id
            ),
        )
        .join(
            here,
            sa.and_(here.c.tenant_id == there.c.tenant_id, here.c.entity_id == there.c.entity_id),
        )
        .where(
            incidents.c.tenant_id == tenant_id,
            here.c.incident_id == incident_id,
            incidents.c.id != incident_id,
            incidents.c.merged_into.is_(None),
            incidents.c.status != Status.CLOSED.value,
            there.c.kind.in_([kind.value for kind in TELLING]),
        )
        .distinct()
        .order_by(incidents.c.updated_at.desc(), incidents.c.id)
        .limit(MOST_SHARING)
    )
    return [row.id for row in tx.execute(statement)]


def detach(
    tx: Transaction, tenant_id: TenantId, incident_id: IncidentId, alert_ids: Iterable[str]
) -> tuple[EntityId, ...]:
    """Forget what alerts that left an incident said; gives the entities that only they named."""
    left = set(alert_ids)
    if not left:
        return ()
    table = incident_entities
    mine = sa.and_(table.c.tenant_id == tenant_id, table.c.incident_id == incident_id)
    rows = tx.execute(sa.select(table).where(mine).order_by(table.c.entity_id)).mappings().all()
    touched = [row for row in rows if left.intersection(row["alerts"])]
    if not touched:
        return ()
    for row in touched:
        tx.execute(sa.delete(table).where(mine, table.c.entity_id == row["entity_id"]))
    # said anew by the alerts that stay; what nobody says any more is not there
    firsts = {row["entity_id"]: row["first_seen_at"] for row in touched}
    for alert in alerts.of_incident(tx, tenant_id, incident_id):
        for evidence in alert.evidence:
            entity_id = resolve(tx, tenant_id, evidence.entity, scope=incident_id)
            if entity_id in firsts:
                attach_one(tx, tenant_id, incident_id, entity_id, alert.id, evidence)
    kept = set(tx.execute(sa.select(table.c.entity_id).where(mine)).scalars())
    for entity_id, first in firsts.items():
        same = sa.and_(mine, table.c.entity_id == entity_id)
        tx.execute(sa.update(table).where(same).values(first_seen_at=first))
    return tuple(one for one in firsts if one not in kept)
