"""What goes into an archive: the rows of runs, and the old part of each audit chain."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.ids import TenantId
from quell.journal.retention import DETAILS, require_level
from quell.journal.tables import audit, audit_heads, runs
from quell.journal.upsert import insert_or_update
from quell.journal.writer import Question, Transaction, Write

__all__ = ["ChainPart", "audit_tenants", "chain_parts", "counted", "cut", "records", "rows_of"]

#: audit records in one transaction
RECORDS = 1000

Rows = list[tuple[str, dict[str, Any]]]


class ChainPart(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an audit chain that is old enough to go, from behind its head."""

    tenant_id: TenantId
    chain: str
    #: the last record that is in an archive already; 0 for none
    head: int
    #: the last one that may go: never the chain's own last, which the next one follows
    last: int


def rows_of(tenant_id: TenantId, run_ids: Collection[str]) -> Question[Rows]:
    """Read runs with their details, run by run."""

    def ask(tx: Transaction) -> Rows:
        by_run: dict[str, Rows] = {one: [] for one in sorted(run_ids)}
        for table, column in ((runs, runs.c.id), *((one, one.c.run_id) for one in DETAILS)):
            statement = (
                sa.select(table)
                .where(table.c.tenant_id == tenant_id, column.in_(list(by_run)))
                .order_by(*table.primary_key.columns)
            )
            for row in tx.execute(statement).mappings():
                by_run[row[column.name]].append((str(table.name), _plain(row)))
        return [row for rows in by_run.values() for row in rows]

    return ask


def chain_parts(tenant_id: TenantId, before: datetime) -> Question[list[ChainPart]]:
    """List, by chain, the records from before a moment that are not in an archive yet."""

    def ask(tx: Transaction) -> list[ChainPart]:
        heads = _heads(tx, tenant_id)
        bounds = sa.select(audit.c.chain, sa.func.max(audit.c.seq).label("last")).where(
            audit.c.tenant_id == tenant_id
        )
        # the first that is too young ends the part, and with it the chain's contiguous beginning
        young = (
            sa.select(audit.c.chain, sa.func.min(audit.c.seq).label("first"))
            .where(audit.c.tenant_id == tenant_id, audit.c.at >= before)
            .group_by(audit.c.chain)
        )
        first_young = {row.chain: row.first for row in tx.execute(young)}
        found: list[ChainPart] = []
        for row in tx.execute(bounds.group_by(audit.c.chain).order_by(audit.c.chain)):
            last = min(row.last, first_young.get(row.chain, row.last)) - 1
            head = heads.get(row.chain, 0)
            if last > head:
                part = ChainPart(tenant_id=tenant_id, chain=row.chain, head=head, last=last)
                found.append(part)
        return found

    return ask


def records(part: ChainPart, after: int) -> Question[list[dict[str, Any]]]:
    """Read the next records of a part."""
    statement = (
        sa.select(audit)
        .where(_of(part), audit.c.seq > after, audit.c.seq <= part.last)
        .order_by(audit.c.seq)
        .limit(RECORDS)
    )
    return lambda tx: [_plain(row) for row in tx.execute(statement).mappings()]


def cut(part: ChainPart, upto: int, digest: str) -> Write[int]:
    """Remove the records of a chain up to one that is in an archive, and keep that one's digest.

    The digest is what the next record has to follow: the rest can still be checked.
    """

    def apply(tx: Transaction) -> int:
        require_level(tx)
        gone = sa.delete(audit).where(_of(part), audit.c.seq <= upto)
        row = {"tenant_id": part.tenant_id, "chain": part.chain, "seq": upto, "digest": digest}
        insert_or_update(tx, audit_heads, {**row, "at": tx.now})
        return tx.execute(gone).rowcount

    return Write(apply, locks=("prune", part.tenant_id))


def audit_tenants() -> Question[list[TenantId]]:
    """List every tenant that has audit records."""
    statement = sa.select(audit.c.tenant_id).distinct().order_by(audit.c.tenant_id)
    return lambda tx: [TenantId(one) for one in tx.execute(statement).scalars()]


def counted(tenant_id: TenantId) -> Question[tuple[int, int]]:
    """Count a tenant's audit records, and the chains that they are in."""
    statement = sa.select(
        sa.func.count().label("records"),
        sa.func.count(sa.distinct(audit.c.chain)).label("chains"),
    ).where(audit.c.tenant_id == tenant_id)

    def ask(tx: Transaction) -> tuple[int, int]:
        row = tx.execute(statement).one()
        return int(row.records), int(row.chains)

    return ask


def _heads(tx: Transaction, tenant_id: TenantId) -> dict[str, int]:
    statement = sa.select(audit_heads.c.chain, audit_heads.c.seq).where(
        audit_heads.c.tenant_id == tenant_id
    )
    return {row.chain: row.seq for row in tx.execute(statement)}


def _of(part: ChainPart) -> sa.ColumnElement[bool]:
    return sa.and_(audit.c.tenant_id == part.tenant_id, audit.c.chain == part.chain)


def _plain(row: sa.RowMapping) -> dict[str, Any]:
    return {str(name): value for name, value in row.items() if name != "tenant_id"}
