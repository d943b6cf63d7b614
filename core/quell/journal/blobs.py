"""Bodies too big for their rows: written once under their digest, swept when nothing names them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from quell.domain.ids import TenantId
from quell.journal import tables
from quell.journal.columns import Body
from quell.journal.payloads import (
    APART,
    LIMIT,
    REFERENCE,
    Apart,
    digest_of,
    is_reference,
    pack,
)
from quell.journal.tables import blobs
from quell.journal.upsert import insert_or_update
from quell.journal.writer import Question, Transaction, Write

__all__ = ["keep", "named", "sweep"]

#: what nothing names is swept after this: a write under way may be about to name it
UNNAMED_FOR = timedelta(days=1)
PLAIN = Body()


def keep(tx: Transaction, tenant_id: TenantId, value: Any) -> Apart | None:
    """Give what stands in the row for a body: its text, or a reference when it is too big.

    For columns of type `BigBody` only. None stays None.
    """
    text = PLAIN.process_bind_param(value, tx.conn.dialect)
    if text is None:
        return None
    if len(text) <= LIMIT or not tx.conn.get_execution_options().get("quell_keeps_apart"):
        return Apart(text)
    digest = digest_of(text)
    row = {"tenant_id": tenant_id, "digest": digest, "body": pack(text), "size": len(text)}
    insert_or_update(tx, blobs, {**row, "at": tx.now}, update=["at"])
    return Apart(f'{REFERENCE}{digest}"}}')


def named(tenant_id: TenantId) -> Question[set[str]]:
    """List the digests that rows of a tenant refer to."""

    def ask(tx: Transaction) -> set[str]:
        found: set[str] = set()
        for table, column in APART:
            found |= _named_in(tx, tenant_id, tables.metadata.tables[table].c[column])
        return found

    return ask


def sweep(tenant_id: TenantId, still_named: Collection[str], *, limit: int = 500) -> Write[int]:
    """Remove bodies that nothing names and nobody wrote lately. Gives how many.

    What is written again meanwhile is younger than the limit then, and stays.
    """

    def apply(tx: Transaction) -> int:
        old = sa.and_(blobs.c.tenant_id == tenant_id, blobs.c.at < tx.now - UNNAMED_FOR)
        digests = set(tx.execute(sa.select(blobs.c.digest).where(old)).scalars())
        unnamed = sorted(digests - set(still_named))[:limit]
        gone = sa.delete(blobs).where(old, blobs.c.digest.in_(unnamed))
        return tx.execute(gone).rowcount

    return Write(apply, locks=("blobs", tenant_id))


def _named_in(tx: Transaction, tenant_id: TenantId, column: sa.Column[Any]) -> set[str]:
    plain = sa.type_coerce(column, sa.Text)
    digest = sa.func.substr(plain, len(REFERENCE) + 1, 64)
    statement = sa.select(sa.type_coerce(digest, sa.Text)).where(
        column.table.c.tenant_id == tenant_id, is_reference(column)
    )
    return set(tx.execute(statement).scalars())
