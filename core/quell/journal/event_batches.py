"""Batches of events on their way out: stored with the checkpoint, deleted when taken in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa

from quell.domain.ids import SourceId, TenantId, WorkerId
from quell.domain.offers import Notice
from quell.journal import audit, cursors, notices
from quell.journal.tables import event_batches
from quell.journal.writer import Question, Transaction, Write

__all__ = [
    "Batch",
    "NewBatch",
    "Waiting",
    "delay",
    "drop_parked",
    "due",
    "park",
    "replace",
    "retry_parked",
    "store",
    "taken",
    "waiting",
]

#: longest text of an error that is kept
ERROR_LIMIT = 2000


class NewBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Rows for one stream of one sink, as compressed JSON."""

    id: str
    sink_id: str
    stream: str
    body: bytes
    rows: int
    #: bytes before compression
    size: int


class Batch(NewBatch, frozen=True, kw_only=True):
    """A stored batch."""

    attempts: int
    is_parked: bool


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for one stream of one sink."""

    sink_id: str
    stream: str
    batches: int
    rows: int
    size: int
    parked: int
    oldest: datetime
    #: why the last attempt of any of them failed; empty where none did
    error: str
    #: when a stream that was refused is tried again; None where it is not refused
    retry_at: datetime | None


def store(
    tenant_id: TenantId, cursor_id: SourceId, version: int, to: str, batches: Sequence[NewBatch]
) -> Write[None]:
    """Store batches and move the checkpoint: both happen, or neither.

    Raises StateError where somebody else moved the checkpoint first.
    """

    def apply(tx: Transaction) -> None:
        cursors.move(tx, tenant_id, cursor_id, version, to)
        _insert(tx, tenant_id, batches)

    return Write(apply, locks=("cursor", tenant_id, cursor_id))


def due(tenant_id: TenantId, sink_id: str, *, limit: int) -> Question[list[Batch]]:
    """List batches to be sent now, oldest first.

    A stream that was refused is stopped as a whole: only the refused batch itself is due again,
    when its time comes.
    """
    return lambda tx: [
        msgspec.convert(row, Batch, from_attributes=True)
        for row in tx.execute(_due(tenant_id, sink_id, tx.now).limit(limit))
    ]


def taken(tenant_id: TenantId, batch_id: str) -> Write[bool]:
    """Forget a batch that was taken in."""
    statement = sa.delete(event_batches).where(_is(tenant_id, batch_id))
    return Write(lambda tx: tx.changed(statement), locks=_locks(tenant_id, batch_id))


def replace(tenant_id: TenantId, batch_id: str, parts: Sequence[NewBatch]) -> Write[bool]:
    """Put parts in the place of a batch. Does nothing where the batch is gone."""

    def apply(tx: Transaction) -> bool:
        is_there = tx.changed(sa.delete(event_batches).where(_is(tenant_id, batch_id)))
        if is_there:
            _insert(tx, tenant_id, parts)
        return is_there

    return Write(apply, locks=_locks(tenant_id, batch_id))


def delay(tenant_id: TenantId, batch_id: str, error: str, until: datetime) -> Write[bool]:
    """Try a batch again later; the stream goes on."""
    return _note(tenant_id, batch_id, error, is_parked=False, not_before=until)


def park(tenant_id: TenantId, batch: Batch, error: str, retry_at: datetime | None) -> Write[bool]:
    """Put a refused batch aside; people are told the first time.

    With `retry_at`, the refusal is the stream's: it stops until this batch is taken. Without, it
    is the batch's own, and only a person has it tried again.
    """
    noted = _note(tenant_id, batch.id, error, is_parked=True, not_before=retry_at)
    if batch.is_parked:
        return noted
    notice = Notice(
        kind="parked",
        tenant_id=tenant_id,
        summary=f"Events for {batch.stream} of {batch.sink_id} are refused: {error[:300]}",
        references={"sink": batch.sink_id, "stream": batch.stream},
    )
    return noted.then(lambda tx, is_there: notices.add(tx, notice) if is_there else None)


def retry_parked(
    tenant_id: TenantId, stream: str | None = None, *, by: str = "", chain: WorkerId | None = None
) -> Write[int]:
    """Have refused batches tried again at once; gives how many. Put on record as `drop_parked` is."""
    statement = (
        sa.update(event_batches)
        .where(event_batches.c.tenant_id == tenant_id, event_batches.c.is_parked)
        .values(is_parked=False, not_before=None, attempts=0)
    )
    if stream is not None:
        statement = statement.where(event_batches.c.stream == stream)
    return _audited(statement, tenant_id, stream, "events.retry", by, chain)


def drop_parked(
    tenant_id: TenantId, stream: str | None = None, *, by: str = "", chain: WorkerId | None = None
) -> Write[int]:
    """Delete refused batches; gives how many. `chain` is the audit trail that says `by` whom."""
    statement = sa.delete(event_batches).where(
        event_batches.c.tenant_id == tenant_id, event_batches.c.is_parked
    )
    if stream is not None:
        statement = statement.where(event_batches.c.stream == stream)
    return _audited(statement, tenant_id, stream, "events.drop", by, chain)


def _audited(
    statement: sa.Update | sa.Delete,
    tenant_id: TenantId,
    stream: str | None,
    action: str,
    by: str,
    chain: WorkerId | None,
) -> Write[int]:
    """Do what a person asked for, and put it on record where anything came of it."""

    def apply(tx: Transaction) -> int:
        count = tx.execute(statement).rowcount
        if count and chain is not None:
            body = {"stream": stream, "batches": count}
            audit.append(tx, tenant_id, chain, actor=by, action=action, body=body)
        return count

    return Write(apply, locks=("events", tenant_id))


def waiting(tenant_id: TenantId) -> Question[list[Waiting]]:
    """Sum up what waits, by sink and stream."""
    batch = event_batches.c
    statement = (
        sa.select(
            batch.sink_id,
            batch.stream,
            sa.func.count().label("batches"),
            sa.func.sum(batch.rows).label("rows"),
            sa.func.sum(batch.size).label("size"),
            sa.func.sum(sa.case((batch.is_parked, 1), else_=0)).label("parked"),
            sa.type_coerce(sa.func.min(batch.at), batch.at.type).label("oldest"),
            sa.func.max(batch.error).label("error"),
            sa.type_coerce(
                sa.func.min(sa.case((batch.is_parked, batch.not_before))), batch.at.type
            ).label("retry_at"),
        )
        .where(batch.tenant_id == tenant_id)
        .group_by(batch.sink_id, batch.stream)
        .order_by(batch.sink_id, batch.stream)
    )
    return lambda tx: [
        msgspec.convert(row, Waiting, from_attributes=True, strict=False)
        for row in tx.execute(statement)
    ]


# -- inside a transaction ------------------------------------------------------------------------


def _insert(tx: Transaction, tenant_id: TenantId, batches: Sequence[NewBatch]) -> None:
    rows = [
        {
            **msgspec.structs.asdict(batch),
            "tenant_id": tenant_id,
            "attempts": 0,
            "error": "",
            "is_parked": False,
            "at": tx.now,
        }
        for batch in batches
    ]
    if rows:
        tx.execute(sa.insert(event_batches), rows)


def _due(tenant_id: TenantId, sink_id: str, now: datetime) -> sa.Select[*tuple[object, ...]]:
    batch, other = event_batches.c, event_batches.alias().c
    is_refused = (
        sa.exists()
        .where(other.tenant_id == tenant_id, other.sink_id == sink_id)
        .where(other.stream == batch.stream, other.is_parked, other.not_before.is_not(None))
    )
    goes_on = sa.and_(
        sa.not_(batch.is_parked),
        sa.or_(batch.not_before.is_(None), batch.not_before <= now),
        sa.not_(is_refused),
    )
    is_tried_again = sa.and_(batch.is_parked, batch.not_before <= now)
    return (
        sa.select(event_batches)
        .where(batch.tenant_id == tenant_id, batch.sink_id == sink_id)
        .where(sa.or_(goes_on, is_tried_again))
        .order_by(batch.at, batch.id)
    )


def _note(
    tenant_id: TenantId,
    batch_id: str,
    error: str,
    *,
    is_parked: bool,
    not_before: datetime | None,
) -> Write[bool]:
    statement = (
        sa.update(event_batches)
        .where(_is(tenant_id, batch_id))
        .values(
            attempts=event_batches.c.attempts + 1,
            error=error[:ERROR_LIMIT],
            is_parked=is_parked,
            not_before=not_before,
        )
    )
    return Write(lambda tx: tx.changed(statement), locks=_locks(tenant_id, batch_id))


def _is(tenant_id: TenantId, batch_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(event_batches.c.tenant_id == tenant_id, event_batches.c.id == batch_id)


def _locks(tenant_id: TenantId, batch_id: str) -> tuple[str, ...]:
    return ("events", tenant_id, batch_id)
