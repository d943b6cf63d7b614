"""What happened in a run, in order, written in the transaction of its cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.ids import RunId, TenantId
from quell.journal.prepared import its, same
from quell.journal.tables import run_events
from quell.journal.writer import Question, Transaction

__all__ = ["RunEvent", "StoredEvent", "append", "of_run"]

EARLIER = run_events.alias("earlier")
OF_RUN = same(run_events.c.tenant_id, run_events.c.run_id)
#: each event comes after the last one of its run
APPEND = sa.insert(run_events).values(
    seq=sa.select(sa.func.coalesce(sa.func.max(EARLIER.c.seq), sa.literal(0)) + sa.literal(1))
    .where(same(EARLIER.c.tenant_id, EARLIER.c.run_id))
    .scalar_subquery(),
    **{name: sa.bindparam(name) for name in ("tenant_id", "run_id", "kind", "body", "at")},
)
READ = sa.select(run_events).where(OF_RUN).order_by(run_events.c.seq)


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
    mine = {"tenant_id": tenant_id, "run_id": run_id}
    for event in events:
        row = {**its(**mine), **mine, "kind": event.kind, "body": dict(event.body), "at": tx.now}
        tx.later(APPEND, row)


def of_run(tenant_id: TenantId, run_id: RunId) -> Question[list[StoredEvent]]:
    """List a run's events, oldest first."""
    mine = its(tenant_id=tenant_id, run_id=run_id)

    def ask(tx: Transaction) -> list[StoredEvent]:
        return [
            StoredEvent(seq=row.seq, kind=row.kind, body=row.body, at=row.at)
            for row in tx.execute(READ, mine)
        ]

    return ask
