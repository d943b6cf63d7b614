"""Writes to incidents: every one of them is a row before it is a request."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.hub import IncidentWrite, WriteKind, WriteState
from quell.domain.ids import IncidentId, TenantId, WorkerId
from quell.journal import audit
from quell.journal.prepared import its, same
from quell.journal.tables import incident_writes
from quell.journal.upsert import insert_or_update
from quell.journal.writer import Question, Transaction, Write

__all__ = ["counts", "due", "find", "has_open", "listed", "parked", "parked_of", "retry", "waiting"]

#: what a hub is loaded with: unfinished, or refused and not to be tried again by itself
UNFINISHED = (WriteState.PLANNED.value, WriteState.SENDING.value, WriteState.PARKED.value)
READ_UNFINISHED = (
    sa.select(incident_writes)
    .where(
        same(incident_writes.c.tenant_id, incident_writes.c.incident_id),
        incident_writes.c.state.in_([sa.literal(state) for state in UNFINISHED]),
    )
    .order_by(incident_writes.c.planned_at, incident_writes.c.seq, incident_writes.c.id)
)
#: writes of one incident that are looked at to find the incidents that wait
WRITES_EACH = 20
#: the order in which writes that were planned together are sent
ORDER = {kind: place for place, kind in enumerate(WriteKind)}


def due(tenant_id: TenantId, limit: int) -> Question[list[IncidentId]]:
    """List the incidents with writes that can be sent now, longest waiting first."""

    def ask(tx: Transaction) -> list[IncidentId]:
        # grouped here: grouping there would walk through every write that was ever made
        statement = (
            sa.select(incident_writes.c.incident_id)
            .where(_is_due(tx, tenant_id))
            .order_by(incident_writes.c.planned_at, incident_writes.c.incident_id)
            .limit(limit * WRITES_EACH)
        )
        waiting = dict.fromkeys(IncidentId(row.incident_id) for row in tx.execute(statement))
        return list(waiting)[:limit]

    return ask


def waiting(tenant_id: TenantId, limit: int) -> Question[list[IncidentId]]:
    """List the incidents with writes that are not finished, whatever they wait for."""
    table = incident_writes.c
    statement = (
        sa.select(table.incident_id)
        .where(table.tenant_id == tenant_id, table.state.in_(UNFINISHED))
        .group_by(table.incident_id)
        .order_by(sa.func.min(table.planned_at), table.incident_id)
        .limit(limit)
    )
    return lambda tx: [IncidentId(row.incident_id) for row in tx.execute(statement)]


def has_open(tenant_id: TenantId) -> Question[bool]:
    """Tell whether any write is planned or being sent."""
    statement = sa.select(incident_writes.c.id).where(
        incident_writes.c.tenant_id == tenant_id,
        incident_writes.c.state.in_([WriteState.PLANNED.value, WriteState.SENDING.value]),
    )
    return lambda tx: tx.execute(statement.limit(1)).first() is not None


def listed(tenant_id: TenantId, incident_id: IncidentId) -> Question[list[IncidentWrite]]:
    """List all writes of an incident, finished ones too, oldest first."""
    table = incident_writes.c
    statement = (
        sa.select(incident_writes)
        .where(table.tenant_id == tenant_id, table.incident_id == incident_id)
        .order_by(table.planned_at, table.seq, table.id)
    )
    return lambda tx: [_write(row) for row in tx.execute(statement).mappings()]


def parked(tenant_id: TenantId, *, limit: int = 100) -> Question[list[IncidentWrite]]:
    """List writes that a product refused and that a person has to look at."""
    ask = parked_of(tenant_id, limit=limit)
    return lambda tx: [write for _, write in ask(tx)]


def counts(tenant_id: TenantId) -> Question[dict[str, dict[WriteState, int]]]:
    """Count the writes that are not finished, by source and state."""
    table = incident_writes.c
    statement = (
        sa.select(table.source_id, table.state, sa.func.count().label("count"))
        .where(
            table.tenant_id == tenant_id,
            table.state.not_in([WriteState.APPLIED.value, WriteState.SUPERSEDED.value]),
        )
        .group_by(table.source_id, table.state)
    )

    def ask(tx: Transaction) -> dict[str, dict[WriteState, int]]:
        found: dict[str, dict[WriteState, int]] = {}
        for row in tx.execute(statement).mappings():
            found.setdefault(row["source_id"], {})[WriteState(row["state"])] = int(row["count"])
        return found

    return ask


def parked_of(
    tenant_id: TenantId, *, limit: int = 1000
) -> Question[list[tuple[IncidentId, IncidentWrite]]]:
    """List parked writes, each with the incident that it is about."""
    table = incident_writes.c
    statement = (
        sa.select(incident_writes)
        .where(table.tenant_id == tenant_id, table.state == WriteState.PARKED.value)
        .order_by(table.planned_at, table.id)
        .limit(limit)
    )
    return lambda tx: [
        (IncidentId(row["incident_id"]), _write(row)) for row in tx.execute(statement).mappings()
    ]


def retry(
    tenant_id: TenantId, write_id: str, *, by: str = "", chain: WorkerId | None = None
) -> Write[bool]:
    """Let a parked write be tried again. False when it is not parked.

    `chain` is the audit trail that says `by` whom.
    """

    def apply(tx: Transaction) -> bool:
        table = incident_writes.c
        statement = (
            sa.update(incident_writes)
            .where(
                table.tenant_id == tenant_id,
                table.id == write_id,
                table.state == WriteState.PARKED.value,
            )
            .values(state=WriteState.PLANNED.value, not_before=None, attempts=0, answer=None)
        )
        is_tried = tx.changed(statement)
        if is_tried and chain is not None:
            body = {"write": write_id}
            audit.append(tx, tenant_id, chain, actor=by, action="sync.retry", body=body)
        return is_tried

    return Write(apply, locks=("incident_write", tenant_id, write_id))


def find(tenant_id: TenantId, key: str) -> Question[IncidentWrite | None]:
    """Find a write by its key."""
    statement = sa.select(incident_writes).where(
        incident_writes.c.tenant_id == tenant_id, incident_writes.c.write_key == key
    )

    def ask(tx: Transaction) -> IncidentWrite | None:
        row = tx.execute(statement).mappings().first()
        return _write(row) if row is not None else None

    return ask


# -- inside a transaction ------------------------------------------------------------------------


def unfinished(tx: Transaction, tenant_id: TenantId, incident_id: str) -> tuple[IncidentWrite, ...]:
    asked = its(tenant_id=tenant_id, incident_id=incident_id)
    return tuple(_write(row) for row in tx.execute(READ_UNFINISHED, asked).mappings())


def save_write(
    tx: Transaction,
    tenant_id: TenantId,
    incident_id: IncidentId,
    write: IncidentWrite,
    *,
    seq: int,
    is_new: bool,
) -> None:
    values: dict[str, Any] = {
        name: getattr(write, name) for name in write.__struct_fields__ if name != "key"
    }
    values |= {"kind": write.kind.value, "state": write.state.value, "write_key": write.key}
    row = {"tenant_id": tenant_id, **values, "incident_id": incident_id, "seq": seq}
    changing = ["state", "intended", "base", "answer", "attempts", "not_before", "error"]
    if write.state is WriteState.SENDING:
        row["sent_at"] = tx.now
        changing.append("sent_at")
    elif not is_new and write.state is not WriteState.PLANNED:
        row["answered_at"] = tx.now
        changing.append("answered_at")
    insert_or_update(tx, incident_writes, row, update=changing)


def _is_due(tx: Transaction, tenant_id: TenantId) -> sa.ColumnElement[bool]:
    table = incident_writes.c
    return sa.and_(
        table.tenant_id == tenant_id,
        table.state.in_([WriteState.PLANNED.value, WriteState.SENDING.value]),
        table.not_before.is_(None) | (table.not_before <= tx.now),
    )


def _write(row: sa.RowMapping) -> IncidentWrite:
    values = dict(row)
    values["key"] = values["write_key"]
    return msgspec.convert(
        {name: values[name] for name in IncidentWrite.__struct_fields__}, IncidentWrite
    )
