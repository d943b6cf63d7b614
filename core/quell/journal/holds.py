"""Holds: who wants which state of an entity to last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from quell.domain.hold import Hold, HoldOwner
from quell.domain.ids import TenantId
from quell.journal.prepared import its, same
from quell.journal.prepared import listed as one_of
from quell.journal.tables import holds
from quell.journal.upsert import insert_missing
from quell.journal.writer import Question, Transaction

__all__ = ["add", "drop", "listed", "move", "of_entities", "on"]

READ_ON = (
    sa.select(holds)
    .where(same(holds.c.tenant_id, holds.c.entity_id, holds.c.state))
    .order_by(holds.c.made_at)
)
READ_MANY = (
    sa.select(holds)
    .where(same(holds.c.tenant_id, holds.c.state), one_of(holds.c.entity_id))
    .order_by(holds.c.made_at)
)


def add(tx: Transaction, tenant_id: TenantId, hold: Hold, *, effect_key: str | None) -> bool:
    """Add an owner's hold. False when that owner has one already; it stays as it was."""
    row = {
        "tenant_id": tenant_id,
        "entity_id": hold.entity_id,
        "state": hold.state,
        "owner": hold.owner.value,
        "owner_id": hold.owner_id,
        "effect_key": effect_key,
        "reason": hold.reason,
        "review_at": hold.review_at,
        "made_at": tx.now,
    }
    return insert_missing(tx, holds, [row]) == 1


def drop(
    tx: Transaction,
    tenant_id: TenantId,
    entity_id: str,
    state: str,
    *,
    owner: HoldOwner | None = None,
    owner_id: str | None = None,
) -> int:
    """Drop holds on a state: one owner's, all of a kind, or all. Gives how many there were."""
    mine = _on(tenant_id, entity_id, state)
    if owner is not None:
        mine = sa.and_(mine, holds.c.owner == owner.value)
    if owner_id is not None:
        mine = sa.and_(mine, holds.c.owner_id == owner_id)
    return tx.execute(sa.delete(holds).where(mine)).rowcount


def move(tx: Transaction, tenant_id: TenantId, losers: Sequence[str], winner: str) -> None:
    """Give holds on entities that turned out to be another one to that one."""
    theirs = sa.and_(holds.c.tenant_id == tenant_id, holds.c.entity_id.in_(list(losers)))
    rows = [dict(row) for row in tx.execute(sa.select(holds).where(theirs)).mappings()]
    if not rows:
        return
    insert_missing(tx, holds, [{**row, "entity_id": winner} for row in rows])
    tx.execute(sa.delete(holds).where(theirs))


def on(tx: Transaction, tenant_id: TenantId, entity_id: str, state: str) -> list[Hold]:
    """List, inside a transaction, who wants a state of an entity to last."""
    asked = its(tenant_id=tenant_id, entity_id=entity_id, state=state)
    return [_hold(row) for row in tx.execute(READ_ON, asked)]


def of_entities(
    tx: Transaction, tenant_id: TenantId, entity_ids: Sequence[str], state: str
) -> dict[str, list[Hold]]:
    """List, inside a transaction, the holds on a state for several entities."""
    asked = its(tenant_id=tenant_id, entity_id=list(entity_ids), state=state)
    found: dict[str, list[Hold]] = {}
    for row in tx.execute(READ_MANY, asked):
        found.setdefault(row.entity_id, []).append(_hold(row))
    return found


def listed(
    tenant_id: TenantId,
    *,
    entity_id: str | None = None,
    due_before: datetime | None = None,
    limit: int = 200,
) -> Question[list[Hold]]:
    """List holds, oldest first; `due_before` asks for those that somebody should look at."""
    statement = sa.select(holds).where(holds.c.tenant_id == tenant_id)
    if entity_id is not None:
        statement = statement.where(holds.c.entity_id == entity_id)
    if due_before is not None:
        statement = statement.where(holds.c.review_at < due_before)
    statement = statement.order_by(holds.c.made_at, holds.c.entity_id).limit(limit)
    return lambda tx: [_hold(row) for row in tx.execute(statement)]


def _on(tenant_id: TenantId, entity_id: str, state: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        holds.c.tenant_id == tenant_id, holds.c.entity_id == entity_id, holds.c.state == state
    )


def _hold(row: sa.Row[Any]) -> Hold:
    return Hold(
        entity_id=row.entity_id,
        state=row.state,
        owner=HoldOwner(row.owner),
        owner_id=row.owner_id,
        review_at=row.review_at,
        made_at=row.made_at,
        reason=row.reason,
    )
