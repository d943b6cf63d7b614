"""What happened in a run, in order, written in the transaction of its cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.ids import RunId, TenantId
from quell.journal.tables import run_events
from quell.journal.writer import Question, Transaction

__all__ = ["RunEvent", "StoredEvent", "append", "of_run"]


class RunEvent(msgspec.Struct, frozen=True):
    """Something that happened in a run: a stable kind, and what it was about."""

    kind: str
    body: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its place in the run."""

    seq: int
    kind: str
    body: dict[str, Any]
    at: datetime


def append(tx: Transaction, tenant_id: TenantId, run_id: RunId, events: Iterable[RunEvent]) -> None:
    """Add events to a run. The run's row must be locked: that is what makes `seq` unique."""
    listed = list(events)
    if not listed:
        return
    last = sa.select(sa.func.coalesce(sa.func.max(run_events.c.seq), 0)).where(
        _of(tenant_id, run_id)
    )
    seq = int(tx.execute(last).scalar_one())
    rows = [
        {
            "tenant_id": tenant_id,
            "run_id": run_id,
            "seq": seq + number,
            "kind": event.kind,
            "body": dict(event.body),
            "at": tx.now,
        }
        for number, event in enumerate(listed, start=1)
    ]
    tx.execute(sa.insert(run_events), rows)


def of_run(tenant_id: TenantId, run_id: RunId) -> Question[list[StoredEvent]]:
    """List a run's events, oldest first."""
    statement = sa.select(run_events).where(_of(tenant_id, run_id)).order_by(run_events.c.seq)

    def ask(tx: Transaction) -> list[StoredEvent]:
        return [
            StoredEvent(seq=row.seq, kind=row.kind, body=row.body, at=row.at)
            for row in tx.execute(statement)
        ]

    return ask


def _of(tenant_id: TenantId, run_id: RunId) -> sa.ColumnElement[bool]:
    return sa.and_(run_events.c.tenant_id == tenant_id, run_events.c.run_id == run_id)
