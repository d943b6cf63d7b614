"""Notices: what people should hear about, kept until it was passed on."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime

import msgspec
import sqlalchemy as sa

from quell.domain.ids import TenantId
from quell.domain.offers import Notice
from quell.journal.tables import notices
from quell.journal.upsert import insert_or_update
from quell.journal.writer import Question, Transaction, Write

__all__ = ["StoredNotice", "add", "listed", "mark_sent", "put", "unsent"]


INSERT = sa.insert(notices)


class StoredNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice with its place in the journal."""

    id: str
    notice: Notice
    at: datetime
    sent_at: datetime | None = None


def add(tx: Transaction, notice: Notice) -> None:
    """Write a notice down, in the transaction of what it is about."""
    row = {
        "tenant_id": notice.tenant_id,
        "id": uuid.uuid4().hex,
        "kind": notice.kind,
        "body": msgspec.to_builtins(notice),
        "at": tx.now,
    }
    tx.later(INSERT, row)


def put(tx: Transaction, notice: Notice, *, name: str) -> None:
    """Write a notice down that grows: what was written under its name before is replaced."""
    row = {
        "tenant_id": notice.tenant_id,
        "id": hashlib.sha256(name.encode()).hexdigest()[:32],
        "kind": notice.kind,
        "body": msgspec.to_builtins(notice),
        "at": tx.now,
    }
    insert_or_update(tx, notices, row, update=["body"])


def unsent(tenant_id: TenantId, *, limit: int = 50) -> Question[list[StoredNotice]]:
    """List notices that nobody was told of yet, oldest first."""
    statement = (
        sa.select(notices)
        .where(notices.c.tenant_id == tenant_id, notices.c.sent_at.is_(None))
        .order_by(notices.c.at)
        .limit(limit)
    )
    return lambda tx: [_stored(row) for row in tx.execute(statement)]


def listed(tenant_id: TenantId, *, limit: int = 50) -> Question[list[StoredNotice]]:
    """List the newest notices, sent or not."""
    statement = (
        sa.select(notices)
        .where(notices.c.tenant_id == tenant_id)
        .order_by(notices.c.at.desc())
        .limit(limit)
    )
    return lambda tx: [_stored(row) for row in tx.execute(statement)]


def mark_sent(tenant_id: TenantId, notice_id: str) -> Write[bool]:
    """Write down that a notice was passed on. False when somebody else did so first."""

    def apply(tx: Transaction) -> bool:
        open_one = sa.and_(
            notices.c.tenant_id == tenant_id,
            notices.c.id == notice_id,
            notices.c.sent_at.is_(None),
        )
        return tx.changed(sa.update(notices).where(open_one).values(sent_at=tx.now))

    return Write(apply, locks=("notice", tenant_id, notice_id))


def _stored(row: sa.Row[tuple[object, ...]]) -> StoredNotice:
    return StoredNotice(
        id=row.id, notice=msgspec.convert(row.body, Notice), at=row.at, sent_at=row.sent_at
    )
