"""Leases: one worker's right to a duty or an incident until a deadline.

Claimed and renewed by guarded updates; past its deadline a lease can be taken over by anybody.
The fence grows with every claim, so that a late holder can be told from the present one.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec
import sqlalchemy as sa

from quell.domain.ids import TenantId, WorkerId
from quell.journal.prepared import its, same
from quell.journal.tables import leases
from quell.journal.upsert import insert_missing
from quell.journal.writer import Question, Transaction, Write

__all__ = ["Lease", "claim", "holds", "is_free", "listed", "release", "renew"]


LOCK = (
    sa.select(leases.c.owner, leases.c.fence)
    .where(same(leases.c.tenant_id, leases.c.name))
    .with_for_update()
)


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds what, as the journal has it."""

    name: str
    owner: str
    fence: int
    seconds_left: float


def claim(tenant_id: TenantId, name: str, owner: WorkerId, lasting: timedelta) -> Write[int | None]:
    """Take a free, an expired or one's own lease. Gives its fence, or None while another holds it."""

    def apply(tx: Transaction) -> int | None:
        row = {"tenant_id": tenant_id, "name": name, "owner": owner, "fence": 1}
        if insert_missing(tx, leases, [{**row, "until": tx.now + lasting}]):
            return 1
        statement = (
            sa.update(leases)
            .where(_is(tenant_id, name), (leases.c.until < tx.now) | (leases.c.owner == owner))
            .values(owner=owner, fence=leases.c.fence + 1, until=tx.now + lasting)
            .returning(leases.c.fence)
        )
        return tx.execute(statement).scalar_one_or_none()

    return Write(apply, locks=("lease", tenant_id, name))


def renew(
    tenant_id: TenantId, name: str, owner: WorkerId, fence: int, lasting: timedelta
) -> Write[bool]:
    """Hold on to a lease. False when it was taken over: stop what it was for, at once."""

    def apply(tx: Transaction) -> bool:
        mine = sa.and_(_is(tenant_id, name), leases.c.owner == owner, leases.c.fence == fence)
        return tx.changed(sa.update(leases).where(mine).values(until=tx.now + lasting))

    return Write(apply, locks=("lease", tenant_id, name))


def release(tenant_id: TenantId, name: str, owner: WorkerId, fence: int) -> Write[bool]:
    """Give a lease back. False when it was not ours any more."""

    def apply(tx: Transaction) -> bool:
        mine = sa.and_(_is(tenant_id, name), leases.c.owner == owner, leases.c.fence == fence)
        # the row stays: its fence must go on growing
        return tx.changed(sa.update(leases).where(mine).values(until=tx.now - timedelta(seconds=1)))

    return Write(apply, locks=("lease", tenant_id, name))


def holds(tx: Transaction, tenant_id: TenantId, name: str, owner: WorkerId, fence: int) -> bool:
    """Tell, inside a transaction, whether a lease is still held, and keep it so until the end."""
    row = tx.execute(LOCK, its(tenant_id=tenant_id, name=name)).first()
    return row is not None and (row.owner, row.fence) == (owner, fence)


def is_free(tenant_id: TenantId, name: str) -> Question[bool]:
    """Tell whether nobody holds a lease now: a look that costs no write."""
    held = sa.select(leases.c.until).where(_is(tenant_id, name))

    def ask(tx: Transaction) -> bool:
        until = tx.execute(held).scalar_one_or_none()
        return until is None or until < tx.now

    return ask


def listed(tenant_id: TenantId) -> Question[list[Lease]]:
    """List all leases that are held now."""

    def ask(tx: Transaction) -> list[Lease]:
        statement = sa.select(leases).where(
            leases.c.tenant_id == tenant_id, leases.c.until >= tx.now
        )
        return [
            Lease(
                name=row.name,
                owner=row.owner,
                fence=row.fence,
                seconds_left=(row.until - tx.now).total_seconds(),
            )
            for row in tx.execute(statement.order_by(leases.c.name))
        ]

    return ask


def _is(tenant_id: TenantId, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(leases.c.tenant_id == tenant_id, leases.c.name == name)
