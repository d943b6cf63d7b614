"""Runs that somebody should drive now, by why: nobody took them, time woke them, a worker is lost.

Each question keeps to one index, so that a million finished runs cost it nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa

from quell.domain.ids import RunId, TenantId
from quell.domain.run import RunState
from quell.journal.run_rows import RunRef
from quell.journal.tables import runs
from quell.journal.writer import Question, Transaction, Write

__all__ = ["Due", "Waking", "find", "following", "is_there", "queued_for", "waiting"]

#: a queued run gets its wake-up within this time, or the sweep finds it
UNCLAIMED_AFTER = timedelta(seconds=5)
#: at most one repeat of a wake-up in this time
SWEEP_EVERY = timedelta(seconds=30)


class Due(StrEnum):
    """Why a run is due."""

    #: written down, and its wake-up was lost or refused
    UNCLAIMED = "unclaimed"
    #: its time has come: a wait, a retry, a question that nobody answered
    WOKEN = "woken"
    #: the worker that had it was not heard of for a lease
    STALE = "stale"


class Waking(NamedTuple):
    """A run to be woken, and how urgent it is."""

    ref: RunRef
    priority: int


def is_there(tenant_id: TenantId, kind: Due) -> Question[bool]:
    """Tell whether any run is due: a look that costs no write."""
    return lambda tx: bool(_due(tx, tenant_id, kind, limit=1))


def find(tenant_id: TenantId, kind: Due, *, limit: int) -> Write[list[Waking]]:
    """List due runs, the most urgent first, and note that they were found.

    So each is woken once in a while only, whoever looks.
    """

    def apply(tx: Transaction) -> list[Waking]:
        found = _due(tx, tenant_id, kind, limit)
        ids = sorted(one.ref.run_id for one in found)
        mine = sa.and_(runs.c.tenant_id == tenant_id, runs.c.id.in_(ids))
        tx.execute(sa.update(runs).where(mine).values(swept_at=tx.now))
        return found

    return Write(apply, locks=("sweep", tenant_id))


def following(
    tenant_id: TenantId, *, playbook_id: str | None = None, limit: int = 2
) -> Question[list[Waking]]:
    """List the queued runs that come next, for a place that has become free."""
    mine = sa.and_(runs.c.tenant_id == tenant_id, runs.c.state == RunState.QUEUED.value)
    if playbook_id is not None:
        mine = sa.and_(mine, runs.c.playbook_id == playbook_id)
    return lambda tx: _listed(tx, mine, limit)


def waiting(tenant_id: TenantId, *, at_most: int) -> Question[int]:
    """Count the queued runs of a tenant, up to a bound."""
    mine = sa.and_(runs.c.tenant_id == tenant_id, runs.c.state == RunState.QUEUED.value)
    some = sa.select(runs.c.id).where(mine).limit(at_most).subquery()
    counted = sa.select(sa.func.count()).select_from(some)
    return lambda tx: int(tx.execute(counted).scalar_one())


def queued_for(
    tenants: Sequence[TenantId], lasting: timedelta, *, limit: int
) -> Question[list[Waking]]:
    """List runs that were written down so long ago, and that nobody has taken since."""

    def ask(tx: Transaction) -> list[Waking]:
        old = sa.and_(
            runs.c.tenant_id.in_(sorted(tenants)),
            runs.c.state == RunState.QUEUED.value,
            runs.c.created_at < tx.now - lasting,
        )
        return _listed(tx, old, limit)

    return ask


def _due(tx: Transaction, tenant_id: TenantId, kind: Due, limit: int) -> list[Waking]:
    is_fresh = sa.or_(runs.c.swept_at.is_(None), runs.c.swept_at < tx.now - SWEEP_EVERY)
    match kind:
        case Due.UNCLAIMED:
            is_due = sa.and_(
                runs.c.state == RunState.QUEUED.value, runs.c.created_at < tx.now - UNCLAIMED_AFTER
            )
        case Due.STALE:
            is_due = sa.and_(runs.c.state == RunState.RUNNING.value, runs.c.lease_until < tx.now)
            # its lease ended after it was last found
            is_fresh = sa.or_(is_fresh, runs.c.swept_at < runs.c.lease_until)
        case Due.WOKEN:
            is_due = sa.and_(runs.c.state == RunState.WAITING.value, runs.c.wake_at <= tx.now)
            # its time came after it was last found
            is_fresh = sa.or_(is_fresh, runs.c.swept_at < runs.c.wake_at)
    return _listed(tx, sa.and_(runs.c.tenant_id == tenant_id, is_due, is_fresh), limit)


def _listed(tx: Transaction, where: sa.ColumnElement[bool], limit: int) -> list[Waking]:
    statement = (
        sa.select(runs.c.tenant_id, runs.c.id, runs.c.priority)
        .where(where)
        .order_by(runs.c.priority, runs.c.created_at, runs.c.id)
        .limit(limit)
    )
    return [
        Waking(RunRef(TenantId(row.tenant_id), RunId(row.id)), row.priority)
        for row in tx.execute(statement)
    ]
