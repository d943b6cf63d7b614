"""The audit trail: who did or decided what, in hash chains, one per tenant and worker.

Each record's digest covers the record and the digest before it, so that a changed, removed
or reordered record shows. What a chain alone cannot show is that its end was cut off: for
that its head has to be kept elsewhere. The beginning of a chain may have moved to an archive: the
digest of the last record there stays here, and is what the rest has to follow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.ids import TenantId
from quell.journal.columns import to_micros
from quell.journal.prepared import its, same
from quell.journal.tables import audit, audit_heads
from quell.journal.writer import Question, Transaction, Write

__all__ = ["Record", "append", "archived", "check", "listed", "record", "verify"]

NOTHING = "0" * 64
INSERT = sa.insert(audit)
HEAD = (
    sa.select(audit.c.seq, audit.c.digest)
    .where(same(audit.c.tenant_id, audit.c.chain))
    .order_by(audit.c.seq.desc())
    .limit(sa.literal_column("1"))
)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One audit record."""

    chain: str
    seq: int
    at: datetime
    actor: str
    action: str
    body: dict[str, Any]
    previous: str
    digest: str


def append(
    tx: Transaction,
    tenant_id: TenantId,
    chain: str,
    *,
    actor: str,
    action: str,
    body: Mapping[str, Any],
) -> None:
    """Add a record to a chain, in the transaction of what it is about. One writer per chain."""
    seq, previous = _head(tx, tenant_id, chain)
    digest = digest_of(previous, seq + 1, tx.now, actor, action, body)
    row = {
        "tenant_id": tenant_id,
        "chain": chain,
        "seq": seq + 1,
        "at": tx.now,
        "actor": actor,
        "action": action,
        "body": dict(body),
        "previous": previous,
        "digest": digest,
    }
    tx.execute(INSERT, row)


def record(
    tenant_id: TenantId, chain: str, *, actor: str, action: str, body: Mapping[str, Any]
) -> Write[None]:
    """Add a record by itself."""
    return Write(
        lambda tx: append(tx, tenant_id, chain, actor=actor, action=action, body=body),
        locks=("audit", tenant_id, chain),
    )


def listed(tenant_id: TenantId, *, limit: int = 100) -> Question[list[Record]]:
    """List the newest records of all chains, newest first."""

    def ask(tx: Transaction) -> list[Record]:
        statement = (
            sa.select(audit)
            .where(audit.c.tenant_id == tenant_id)
            .order_by(audit.c.at.desc(), audit.c.chain, audit.c.seq.desc())
            .limit(limit)
        )
        return [_record(row) for row in tx.execute(statement).mappings()]

    return ask


def verify(tenant_id: TenantId) -> Question[list[str]]:
    """Check every chain; gives a sentence for each break, none when all records fit.

    What is in archives is not looked at: there the chain begins with the digest kept of it.
    """

    def ask(tx: Transaction) -> list[str]:
        statement = (
            sa.select(audit)
            .where(audit.c.tenant_id == tenant_id)
            .order_by(audit.c.chain, audit.c.seq)
        )
        problems: list[str] = []
        heads = archived(tenant_id)(tx)
        for row in tx.execute(statement).mappings():
            found = _record(row)
            heads[found.chain] = check(found, heads.get(found.chain, (0, NOTHING)), problems)
        return problems

    return ask


def archived(tenant_id: TenantId) -> Question[dict[str, tuple[int, str]]]:
    """Tell, by chain, the number and the digest of the last record that moved to an archive."""
    statement = sa.select(audit_heads).where(audit_heads.c.tenant_id == tenant_id)
    return lambda tx: {row.chain: (row.seq, row.digest) for row in tx.execute(statement)}


def check(found: Record, head: tuple[int, str], problems: list[str]) -> tuple[int, str]:
    """Check that a record follows a chain's head, and was not changed. Gives the new head."""
    seq, previous = head
    if found.seq != seq + 1:
        problems.append(f"chain {found.chain}: record {seq + 1} is missing")
    elif found.previous != previous:
        problems.append(f"chain {found.chain}: record {found.seq} does not follow the one before")
    digest = digest_of(found.previous, found.seq, found.at, found.actor, found.action, found.body)
    if digest != found.digest:
        problems.append(f"chain {found.chain}: record {found.seq} was changed")
    return found.seq, found.digest


def _head(tx: Transaction, tenant_id: TenantId, chain: str) -> tuple[int, str]:
    row = tx.execute(HEAD, its(tenant_id=tenant_id, chain=chain)).first()
    return (row.seq, row.digest) if row is not None else (0, NOTHING)


def digest_of(
    previous: str, seq: int, at: datetime, actor: str, action: str, body: Mapping[str, Any]
) -> str:
    content = [previous, seq, to_micros(at), actor, action, body]
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def _record(row: sa.RowMapping) -> Record:
    return Record(**{name: row[name] for name in Record.__struct_fields__})
