"""How far each source has been read, and what of it could not be read yet."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa

from quell.domain.ids import SourceId, TenantId
from quell.domain.offers import Notice
from quell.errors import StateError
from quell.journal import notices
from quell.journal.tables import cursors, parked_items
from quell.journal.upsert import insert_missing
from quell.journal.writer import Question, Transaction, Write

__all__ = [
    "Cursor",
    "ParkedItem",
    "due_items",
    "failed",
    "finished",
    "get",
    "listed_items",
    "move_to",
    "park",
    "restart",
    "unpark",
]

#: how many items that are parked at one moment people are told of one by one
TOLD_SINGLY = 3
#: waits before a parked item is looked at again; the last one repeats
RETRY_AFTER = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=8),
)


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """Where the next poll of a source goes on."""

    source_id: SourceId
    cursor: str | None = None
    version: int = 0
    polled_at: datetime | None = None
    #: when a poll last came to its end; None until the first full one
    succeeded_at: datetime | None = None
    error: str = ""


class ParkedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An incident of a source that could not be read, and when it is tried again."""

    source_id: SourceId
    native_id: str
    reason: str
    tries: int
    first_at: datetime
    retry_at: datetime


def get(tenant_id: TenantId, source_id: SourceId) -> Question[Cursor]:
    """Give how far a source has been read; a fresh cursor for one that never was."""

    def ask(tx: Transaction) -> Cursor:
        statement = sa.select(cursors).where(_is(tenant_id, source_id))
        row = tx.execute(statement).first()
        if row is None:
            return Cursor(source_id=source_id)
        return msgspec.convert(row, Cursor, from_attributes=True)

    return ask


def finished(tenant_id: TenantId, source_id: SourceId) -> Write[None]:
    """Write down that a poll came to its end."""

    def apply(tx: Transaction) -> None:
        _ensure(tx, tenant_id, source_id)
        tx.execute(
            sa.update(cursors)
            .where(_is(tenant_id, source_id))
            .values(polled_at=tx.now, succeeded_at=tx.now, error="")
        )

    return Write(apply, locks=("cursor", tenant_id, source_id))


def failed(tenant_id: TenantId, source_id: SourceId, error: str) -> Write[None]:
    """Write down why a poll stopped; the cursor stays where it is."""

    def apply(tx: Transaction) -> None:
        _ensure(tx, tenant_id, source_id)
        tx.execute(
            sa.update(cursors)
            .where(_is(tenant_id, source_id))
            .values(polled_at=tx.now, error=error[:1000])
        )

    return Write(apply, locks=("cursor", tenant_id, source_id))


def restart(tenant_id: TenantId, source_id: SourceId) -> Write[Cursor]:
    """Let a cursor begin again from nothing; gives it as it stands then."""

    def apply(tx: Transaction) -> Cursor:
        _ensure(tx, tenant_id, source_id)
        tx.execute(
            sa.update(cursors)
            .where(_is(tenant_id, source_id))
            .values(cursor=None, version=cursors.c.version + 1, error="")
        )
        return get(tenant_id, source_id)(tx)

    return Write(apply, locks=("cursor", tenant_id, source_id))


def move_to(tenant_id: TenantId, source_id: SourceId, version: int, to: str) -> Write[None]:
    """Move a cursor that no rows come with. Raises StateError when somebody else did."""
    return Write(
        lambda tx: move(tx, tenant_id, source_id, version, to),
        locks=("cursor", tenant_id, source_id),
    )


def park(tenant_id: TenantId, source_id: SourceId, native_id: str, reason: str) -> Write[bool]:
    """Put an incident aside that cannot be read; people are told the first time."""
    return Write(
        lambda tx: park_item(tx, tenant_id, source_id, native_id, reason, is_try=True),
        locks=("cursor", tenant_id, source_id),
    )


def unpark(tenant_id: TenantId, source_id: SourceId, native_id: str) -> Write[bool]:
    """Forget that an incident could not be read: it can be now, or is gone."""
    statement = sa.delete(parked_items).where(
        parked_items.c.tenant_id == tenant_id,
        parked_items.c.source_id == source_id,
        parked_items.c.native_id == native_id,
    )
    return Write(lambda tx: tx.changed(statement), locks=("cursor", tenant_id, source_id))


def due_items(
    tenant_id: TenantId, source_id: SourceId, limit: int = 20
) -> Question[list[ParkedItem]]:
    """List the parked incidents of a source whose time for another try has come, longest first."""
    return lambda tx: _items(
        tx,
        parked_items.c.tenant_id == tenant_id,
        parked_items.c.source_id == source_id,
        parked_items.c.retry_at <= tx.now,
        limit=limit,
    )


def listed_items(tenant_id: TenantId) -> Question[list[ParkedItem]]:
    """List every parked incident of a tenant."""
    return lambda tx: _items(tx, parked_items.c.tenant_id == tenant_id)


# -- inside a transaction ------------------------------------------------------------------------


def move(tx: Transaction, tenant_id: TenantId, source_id: SourceId, version: int, to: str) -> None:
    """Move a cursor from the version that was read. Raises StateError when somebody else did."""
    _ensure(tx, tenant_id, source_id)
    statement = (
        sa.update(cursors)
        .where(_is(tenant_id, source_id), cursors.c.version == version)
        .values(cursor=to, version=version + 1, polled_at=tx.now)
    )
    if not tx.changed(statement):
        raise StateError(
            what=f"source {source_id}",
            problem="another worker polled it meanwhile; this page was not stored",
            remedy="Nothing to do: the other worker goes on with it.",
        )


def park_item(
    tx: Transaction,
    tenant_id: TenantId,
    source_id: SourceId,
    native_id: str,
    reason: str,
    *,
    is_try: bool = False,
) -> bool:
    """Put an item aside, or put off its next try if this was one; True for a new one."""
    row = {
        "tenant_id": tenant_id,
        "source_id": source_id,
        "native_id": native_id,
        "reason": reason[:1000],
        "tries": 1,
        "first_at": tx.now,
        "retry_at": tx.now + RETRY_AFTER[0],
    }
    if insert_missing(tx, parked_items, [row]):
        _tell(tx, tenant_id, source_id, native_id, reason)
        return True
    mine = sa.and_(
        parked_items.c.tenant_id == tenant_id,
        parked_items.c.source_id == source_id,
        parked_items.c.native_id == native_id,
    )
    found = _items(tx, mine)[0]
    if not is_try and found.retry_at > tx.now:
        return False  # an overlap shows it again
    wait = RETRY_AFTER[min(found.tries + 1, len(RETRY_AFTER)) - 1]
    tx.execute(
        sa.update(parked_items)
        .where(mine)
        .values(reason=reason[:1000], tries=found.tries + 1, retry_at=tx.now + wait)
    )
    return False


def _tell(
    tx: Transaction, tenant_id: TenantId, source_id: SourceId, native_id: str, reason: str
) -> None:
    """Tell people what was put aside; of what was at one moment, one by one only the first few."""
    together = sa.and_(
        parked_items.c.tenant_id == tenant_id,
        parked_items.c.source_id == source_id,
        parked_items.c.first_at == tx.now,
    )
    counted = sa.select(sa.func.count()).select_from(parked_items).where(together)
    count = int(tx.execute(counted).scalar_one())
    if count <= TOLD_SINGLY:
        notices.add(tx, _notice(tenant_id, source_id, native_id, reason))
        return
    rest = Notice(
        kind="parked",
        tenant_id=tenant_id,
        summary=f"{count - TOLD_SINGLY} more of {source_id} cannot be read and are tried again "
        "later: `quell sync status` lists them.",
        references={"source": source_id},
    )
    notices.put(tx, rest, name=f"{source_id}/{tx.now.isoformat()}")


def _notice(tenant_id: TenantId, source_id: SourceId, native_id: str, reason: str) -> Notice:
    return Notice(
        kind="parked",
        tenant_id=tenant_id,
        summary=f"Incident {native_id} of {source_id} cannot be read and is tried again later: "
        f"{reason[:300]}",
        references={"source": source_id, "native_id": native_id},
    )


def _items(
    tx: Transaction, *where: sa.ColumnElement[bool], limit: int | None = None
) -> list[ParkedItem]:
    statement = sa.select(parked_items).where(*where).order_by(parked_items.c.retry_at).limit(limit)
    return [msgspec.convert(row, ParkedItem, from_attributes=True) for row in tx.execute(statement)]


def _ensure(tx: Transaction, tenant_id: TenantId, source_id: SourceId) -> None:
    row = {"tenant_id": tenant_id, "source_id": source_id, "version": 0, "error": ""}
    insert_missing(tx, cursors, [row])


def _is(tenant_id: TenantId, source_id: SourceId) -> sa.ColumnElement[bool]:
    return sa.and_(cursors.c.tenant_id == tenant_id, cursors.c.source_id == source_id)
