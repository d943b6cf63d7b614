"""Alerts: the detections that an incident is made of, each with its product's own JSON."""

from __future__ import annotations

import hashlib

import msgspec
import sqlalchemy as sa

from quell.domain.hub import AlertNote
from quell.domain.ids import IncidentId, SourceId, TenantId
from quell.domain.incident import Alert
from quell.journal.tables import alerts
from quell.journal.upsert import insert_or_update
from quell.journal.writer import Question, Transaction

__all__ = ["of"]


def of(tenant_id: TenantId, incident_id: IncidentId) -> Question[list[Alert]]:
    """List an incident's alerts, whole."""
    return lambda tx: of_incident(tx, tenant_id, incident_id)


def of_incident(tx: Transaction, tenant_id: TenantId, incident_id: str) -> list[Alert]:
    statement = (
        sa.select(alerts.c.body)
        .where(alerts.c.tenant_id == tenant_id, alerts.c.incident_id == incident_id)
        .order_by(alerts.c.seen_at, alerts.c.source_id, alerts.c.native_id)
    )
    return [msgspec.convert(row.body, Alert) for row in tx.execute(statement)]


def notes(tx: Transaction, tenant_id: TenantId, incident_id: str) -> dict[str, AlertNote]:
    """Give what is remembered of an incident's alerts, by `source_id/native_id`."""
    statement = sa.select(
        alerts.c.source_id, alerts.c.native_id, alerts.c.digest, alerts.c.carried
    ).where(alerts.c.tenant_id == tenant_id, alerts.c.incident_id == incident_id)
    return {
        f"{row.source_id}/{row.native_id}": AlertNote(digest=row.digest, carried=row.carried)
        for row in tx.execute(statement)
    }


def store(
    tx: Transaction,
    tenant_id: TenantId,
    source_id: SourceId,
    incident_id: IncidentId,
    known: dict[str, AlertNote],
    seen: tuple[Alert, ...],
) -> tuple[Alert, ...]:
    """Store the alerts that are new or changed; gives these and what our copies were not told yet."""
    changed: list[Alert] = []
    for alert in seen:
        digest = hashlib.sha256(msgspec.json.encode(alert, order="sorted")).hexdigest()
        note = known.get(f"{source_id}/{alert.id}")
        if note is not None and note.digest == digest:
            changed += [alert] if note.carried is None else []
            continue
        row = {
            "tenant_id": tenant_id,
            "source_id": source_id,
            "native_id": alert.id,
            "incident_id": incident_id,
            "body": alert,
            "digest": digest,
            "seen_at": tx.now,
        }
        # an alert belongs to one incident: a product may have moved it here
        insert_or_update(tx, alerts, row, update=["incident_id", "body", "digest"])
        changed.append(alert)
    return tuple(changed)


def carry(
    tx: Transaction, tenant_id: TenantId, before: dict[str, AlertNote], after: dict[str, AlertNote]
) -> None:
    """Remember what our own copies are told of each alert."""
    for key, note in after.items():
        old = before.get(key)
        if old is not None and old.carried == note.carried:
            continue
        source_id, _, native_id = key.partition("/")
        tx.execute(
            sa.update(alerts)
            .where(
                alerts.c.tenant_id == tenant_id,
                alerts.c.source_id == source_id,
                alerts.c.native_id == native_id,
            )
            .values(carried=note.carried)
        )


def move(tx: Transaction, tenant_id: TenantId, loser: IncidentId, winner: IncidentId) -> None:
    """Give a merged incident's alerts to the winner, whose copies still have to be told of them."""
    tx.execute(
        sa.update(alerts)
        .where(alerts.c.tenant_id == tenant_id, alerts.c.incident_id == loser)
        .values(incident_id=winner, carried=None)
    )
