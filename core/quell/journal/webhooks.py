"""Webhook events that were accepted, so that a repeat is known for one."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from quell.domain.ids import SourceId, TenantId
from quell.journal.tables import webhook_events
from quell.journal.upsert import insert_missing
from quell.journal.writer import Transaction, Write

__all__ = ["receive"]

#: a repeat older than this only hastens one poll too many
KEPT_FOR = timedelta(days=1)


def receive(tenant_id: TenantId, source_id: SourceId, event_id: str) -> Write[bool]:
    """Write an event down. False when it was there already."""

    def apply(tx: Transaction) -> bool:
        old = webhook_events.c.at < tx.now - KEPT_FOR
        tx.execute(sa.delete(webhook_events).where(webhook_events.c.tenant_id == tenant_id, old))
        row = {"tenant_id": tenant_id, "source_id": source_id, "event_id": event_id, "at": tx.now}
        return insert_missing(tx, webhook_events, [row]) == 1

    return Write(apply, locks=("webhook", tenant_id, source_id))
