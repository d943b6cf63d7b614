"""How everything stands now, in numbers: one read for those who watch a fleet.

Each number comes from an index over what is still open, so a million finished runs cost it
nothing; nothing here is decided by.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.approval import Answer
from quell.domain.hub import WriteState
from quell.domain.ids import TenantId
from quell.domain.run import EffectState, RunState
from quell.journal import tables as t
from quell.journal.switches import ARMED, HALTED, is_on
from quell.journal.writer import Question, Transaction

__all__ = ["NEVER", "Picture", "picture"]

Labels = tuple[str, ...]
Numbers = Mapping[Labels, float]

#: the age of what has not happened yet
NEVER = float("inf")
#: a worker that was not heard of for so long has left its leases to the others
SILENT_AFTER = timedelta(seconds=20)
#: after this a dead worker is history, and not told of any more
FORGOTTEN_AFTER = timedelta(hours=1)
OPEN_RUNS = [state.value for state in RunState if not state.is_final]
OPEN_EFFECTS = [
    EffectState.INTENDED.value,
    EffectState.PENDING.value,
    # the engine is done with these, people are not
    EffectState.UNKNOWN.value,
]
OPEN_WRITES = [WriteState.PLANNED.value, WriteState.SENDING.value, WriteState.PARKED.value]


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers by labels, as of one moment. Ages are in seconds. An empty one knows nothing."""

    #: by tenant and state
    runs: Numbers = {}
    #: by tenant: for how long the run that is due longest has been due
    due_age: Numbers = {}
    #: by tenant and source: since a poll last came to its end
    poll_age: Numbers = {}
    #: by tenant: changes that no playbook was asked about yet, and the age of the oldest
    unmatched: Numbers = {}
    unmatched_age: Numbers = {}
    #: by tenant and state
    writes: Numbers = {}
    #: by tenant: since the oldest write that is not parked was planned
    write_age: Numbers = {}
    #: by tenant and state
    effects: Numbers = {}
    #: by tenant
    approvals: Numbers = {}
    approval_age: Numbers = {}
    conflicts: Numbers = {}
    held_starts: Numbers = {}
    #: by tenant and source: incidents that could not be read
    parked_items: Numbers = {}
    #: by tenant, sink and whether they are parked: batches of events on their way out
    event_batches: Numbers = {}
    #: by tenant and switch: 1 or 0
    switches: Numbers = {}
    #: by tenant, duty and worker: seconds that the lease still lasts
    duties: Mapping[tuple[str, str, str], float] = {}
    #: by version and state (`live`, `draining`, `silent`)
    workers: Numbers = {}


def picture(tenants: Collection[str]) -> Question[Picture]:
    """Ask how everything of some tenants stands."""
    return lambda tx: _picture(tx, sorted(tenants))


def _picture(tx: Transaction, tenants: list[str]) -> Picture:
    runs, writes, effects = t.runs.c, t.incident_writes.c, t.effects.c
    asked, unmatched = t.approvals.c, t.revisions.c.matched_at.is_(None)
    is_asked = asked.state == Answer.OPEN.value
    has_write = writes.state.in_(OPEN_WRITES[:2])
    count, oldest = _Counting(tx, tenants).count, _Counting(tx, tenants).oldest
    return Picture(
        runs=count(t.runs, runs.state.in_(OPEN_RUNS), runs.state),
        due_age=_due_age(tx, tenants),
        poll_age=_poll_age(tx, tenants),
        unmatched=count(t.revisions, unmatched),
        unmatched_age=oldest(t.revisions.c.at, unmatched),
        writes=count(t.incident_writes, writes.state.in_(OPEN_WRITES), writes.state),
        write_age=oldest(writes.planned_at, has_write),
        effects=count(t.effects, effects.state.in_(OPEN_EFFECTS), effects.state),
        approvals=count(t.approvals, is_asked),
        approval_age=oldest(asked.asked_at, is_asked),
        conflicts=count(t.conflicts, t.conflicts.c.settled_at.is_(None)),
        held_starts=count(t.held_starts, t.held_starts.c.released_at.is_(None)),
        parked_items=count(t.parked_items, sa.true(), t.parked_items.c.source_id),
        event_batches=count(
            t.event_batches, sa.true(), t.event_batches.c.sink_id, t.event_batches.c.is_parked
        ),
        switches=_switches(tx, tenants),
        duties=_duties(tx, tenants),
        workers=_workers(tx),
    )


class _Counting:
    """Counts and ages of rows of some tenants."""

    def __init__(self, tx: Transaction, tenants: list[str]) -> None:
        self._tx = tx
        self._tenants = tenants

    def count(
        self, table: sa.Table, where: sa.ColumnElement[bool], *by: sa.ColumnElement[Any]
    ) -> Numbers:
        """Count rows by tenant and whatever else; what has none is missing."""
        keys = (table.c.tenant_id, *by)
        number = sa.func.count().label("number")
        counted = sa.select(*keys, number).where(table.c.tenant_id.in_(self._tenants), where)
        rows = [tuple(row) for row in self._tx.execute(counted.group_by(*keys))]
        return {tuple(_label(one) for one in row[:-1]): float(row[-1]) for row in rows}

    def oldest(self, moment: sa.Column[Any], where: sa.ColumnElement[bool]) -> Numbers:
        """Give by tenant the age of the oldest row; 0 for a tenant without any."""
        tenant = moment.table.c.tenant_id
        first = sa.select(tenant, sa.func.min(moment, type_=moment.type))
        grouped = first.where(tenant.in_(self._tenants), where).group_by(tenant)
        rows = [tuple(row) for row in self._tx.execute(grouped)]
        found = {str(one): _age(self._tx.now, moment) for one, moment in rows}
        return {(one,): found.get(one, 0.0) for one in self._tenants}


def _due_age(tx: Transaction, tenants: list[str]) -> Numbers:
    """Give since when work waits: for a claim, for its time that has come, for a dead worker."""
    runs, oldest = t.runs.c, _Counting(tx, tenants).oldest
    kinds = (
        oldest(runs.created_at, runs.state == RunState.QUEUED.value),
        oldest(runs.wake_at, sa.and_(runs.state == RunState.WAITING.value, runs.wake_at <= tx.now)),
        oldest(
            runs.lease_until,
            sa.and_(runs.state == RunState.RUNNING.value, runs.lease_until < tx.now),
        ),
    )
    return {(one,): max(ages[(one,)] for ages in kinds) for one in tenants}


def _poll_age(tx: Transaction, tenants: list[str]) -> Numbers:
    cursors = t.cursors.c
    rows = tx.execute(
        sa.select(cursors.tenant_id, cursors.source_id, cursors.succeeded_at).where(
            cursors.tenant_id.in_(tenants)
        )
    )
    return {
        (str(row.tenant_id), str(row.source_id)): (
            NEVER if row.succeeded_at is None else _age(tx.now, row.succeeded_at)
        )
        for row in rows
    }


def _switches(tx: Transaction, tenants: list[str]) -> Numbers:
    return {
        (one, name): float(is_on(tx, TenantId(one), name))
        for one in tenants
        for name in (ARMED, HALTED)
    }


def _duties(tx: Transaction, tenants: list[str]) -> dict[tuple[str, str, str], float]:
    leases = t.leases.c
    # a range of the key: rows of incidents, of which there are very many, are not looked at
    is_duty = sa.and_(leases.name >= "duty/", leases.name < "duty0")
    rows = tx.execute(sa.select(t.leases).where(leases.tenant_id.in_(tenants), is_duty))
    return {
        (str(row.tenant_id), str(row.name).removeprefix("duty/"), str(row.owner)): max(
            0.0, (row.until - tx.now).total_seconds()
        )
        for row in rows
    }


def _workers(tx: Transaction) -> Numbers:
    counts: dict[Labels, float] = {}
    lately = t.workers.c.beat_at > tx.now - FORGOTTEN_AFTER
    for row in tx.execute(sa.select(t.workers).where(lately)):
        state = "draining" if row.is_draining else "live"
        key = (str(row.version), "silent" if tx.now - row.beat_at > SILENT_AFTER else state)
        counts[key] = counts.get(key, 0) + 1
    return counts


def _age(now: datetime, moment: datetime) -> float:
    return max(0.0, (now - moment).total_seconds())


def _label(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
