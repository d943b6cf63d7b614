"""What of the journal may go, and its going: details of runs that ended long ago, and no more.

A run loses its details as a whole or not at all. It keeps them while anything may still come of
it: while it is open or parked, while an effect of it is unclear or to be looked at again, while
a hold stands that it made (so it can be taken back), and while its incident is open. Its row
stays where its incident does, so that the same cause starts nothing again; what it acted on
stays in the ledger for the same reason.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from quell.domain.hold import HoldOwner
from quell.domain.ids import TenantId
from quell.domain.incident import Status
from quell.domain.run import EffectState, RunState
from quell.errors import StateError
from quell.journal import migrate
from quell.journal.prepared import among
from quell.journal.tables import (
    acted,
    approvals,
    attempts,
    effects,
    holds,
    incidents,
    notices,
    run_events,
    runs,
    steps,
)
from quell.journal.writer import Question, Transaction, Write

__all__ = [
    "BATCH",
    "DETAILS",
    "Candidate",
    "Place",
    "candidates",
    "count",
    "forget_notices",
    "remove",
    "require_level",
    "tenants",
]

#: runs in one transaction: short enough that nobody waits for it
BATCH = 100
#: what belongs to a run and goes with it
DETAILS = (steps, attempts, run_events, effects, approvals)
FINAL = [state.value for state in RunState if state.is_final]
#: effects that a person or a worker still has to settle
UNCLEAR = [EffectState.INTENDED.value, EffectState.PENDING.value, EffectState.UNKNOWN.value]
#: effects that count as acted upon
REAL = (EffectState.DONE, EffectState.ALREADY)


class Place(NamedTuple):
    """Where in the order of runs a walk is."""

    created_at: datetime
    run_id: str


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run, and why it keeps its details; empty where it does not."""

    tenant_id: TenantId
    run_id: str
    playbook_id: str
    incident_id: str | None
    created_at: datetime
    kept_for: str

    @property
    def place(self) -> Place:
        """Give where a walk goes on behind it."""
        return Place(self.created_at, self.run_id)


def require_level(tx: Transaction) -> None:
    """Make sure that nobody works here who does not know what is archived. Raises StateError."""
    if migrate.marks(tx.conn).keeps_apart:
        return
    raise StateError(
        what="The journal",
        problem="may still be used by workers of an older release, which do not know what pruning "
        "leaves behind",
        remedy="Once all of them are upgraded, say so with `quell journal upgrade`.",
    )


def tenants() -> Question[list[TenantId]]:
    """List every tenant that has runs on record."""
    statement = sa.select(runs.c.tenant_id).distinct().order_by(runs.c.tenant_id)
    return lambda tx: [TenantId(one) for one in tx.execute(statement).scalars()]


def count(tenant_id: TenantId, before: datetime) -> Question[int]:
    """Count the finished runs that have details from before a moment."""
    statement = sa.select(sa.func.count()).select_from(runs).where(_is_old(tenant_id, before))
    return lambda tx: int(tx.execute(statement).scalar_one())


def candidates(
    tenant_id: TenantId, before: datetime, *, after: Place | None = None, limit: int = BATCH
) -> Question[list[Candidate]]:
    """List finished runs from before a moment, oldest first, with why some keep their details."""
    columns = (runs.c.id, runs.c.playbook_id, runs.c.incident_id, runs.c.created_at)
    # a run ends after it began: the index over beginnings finds all that ended early enough
    statement = sa.select(*columns).where(_is_old(tenant_id, before), runs.c.created_at < before)
    if after is not None:
        here = sa.and_(runs.c.created_at == after.created_at, runs.c.id > after.run_id)
        statement = statement.where(
            runs.c.created_at >= after.created_at,
            sa.or_(runs.c.created_at > after.created_at, here),
        )
    ordered = statement.order_by(runs.c.created_at, runs.c.id).limit(limit)
    return lambda tx: _judged(tx, tenant_id, tx.execute(ordered).all())


def remove(tenant_id: TenantId, run_ids: Collection[str]) -> Write[int]:
    """Remove the details of runs, of those that may still lose them now. Gives how many runs."""

    def apply(tx: Transaction) -> int:
        require_level(tx)
        mine = sa.and_(
            runs.c.tenant_id == tenant_id,
            runs.c.id.in_(sorted(run_ids)),
            runs.c.state.in_(FINAL),
            runs.c.pruned_at.is_(None),
        )
        columns = (runs.c.id, runs.c.playbook_id, runs.c.incident_id, runs.c.created_at)
        rows = tx.lock(sa.select(*columns).where(mine).order_by(runs.c.id))
        free = [one for one in _judged(tx, tenant_id, rows) if not one.kept_for]
        _remove(tx, tenant_id, free)
        return len(free)

    return Write(apply, locks=("prune", tenant_id))


def forget_notices(
    tenant_id: TenantId, before: datetime, *, after: str = "", limit: int = 1000
) -> Write[tuple[int, str | None]]:
    """Remove notices that were passed on before a moment, among the next ones by id.

    Gives how many, and behind which id to go on; None at the end.
    """

    def apply(tx: Transaction) -> tuple[int, str | None]:
        looked = sa.select(notices.c.id).where(
            notices.c.tenant_id == tenant_id, notices.c.id > after
        )
        ids = list(tx.execute(looked.order_by(notices.c.id).limit(limit)).scalars())
        if not ids:
            return 0, None
        old = sa.and_(
            notices.c.tenant_id == tenant_id,
            notices.c.id.between(ids[0], ids[-1]),
            notices.c.sent_at < before,
        )
        gone = tx.execute(sa.delete(notices).where(old)).rowcount
        return gone, ids[-1] if len(ids) == limit else None

    return Write(apply, locks=("prune", tenant_id))


def _is_old(tenant_id: TenantId, before: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(
        runs.c.tenant_id == tenant_id,
        runs.c.state.in_(FINAL),
        runs.c.finished_at < before,
        runs.c.pruned_at.is_(None),
    )


def _judged(tx: Transaction, tenant_id: TenantId, rows: Sequence[sa.Row[Any]]) -> list[Candidate]:
    kept = _kept(tx, tenant_id, rows)
    return [
        Candidate(
            tenant_id=tenant_id,
            run_id=row.id,
            playbook_id=row.playbook_id,
            incident_id=row.incident_id,
            created_at=row.created_at,
            kept_for=kept.get(row.id, ""),
        )
        for row in rows
    ]


def _kept(tx: Transaction, tenant_id: TenantId, rows: Sequence[sa.Row[Any]]) -> dict[str, str]:
    """Say, by run, why it keeps its details."""
    ids = [row.id for row in rows]
    open_ones = _open_incidents(tx, tenant_id, {row.incident_id for row in rows} - {None})
    kept = {row.id: "its incident is open" for row in rows if row.incident_id in open_ones}
    owned = sa.select(holds.c.owner_id).where(
        holds.c.tenant_id == tenant_id,
        holds.c.owner == HoldOwner.RUN.value,
        holds.c.owner_id.in_(ids),
    )
    kept |= dict.fromkeys(tx.execute(owned).scalars(), "a hold stands")
    of_runs = sa.select(
        effects.c.run_id, effects.c.effect_key, effects.c.state, effects.c.verify_at
    ).where(effects.c.tenant_id == tenant_id, effects.c.run_id.in_(ids))
    found = tx.execute(of_runs).all()
    held = _held(tx, tenant_id, [row.effect_key for row in found])
    for row in found:
        if row.state in UNCLEAR or row.verify_at is not None:
            kept[row.run_id] = "an effect is not settled"
        elif row.effect_key in held:
            kept[row.run_id] = "a hold stands"
    return kept


def _open_incidents(tx: Transaction, tenant_id: TenantId, ids: Collection[str]) -> set[str]:
    statement = sa.select(incidents.c.id).where(
        incidents.c.tenant_id == tenant_id,
        incidents.c.id.in_(sorted(ids)),
        incidents.c.status != Status.CLOSED.value,
        incidents.c.merged_into.is_(None),
    )
    return set(tx.execute(statement).scalars())


def _held(tx: Transaction, tenant_id: TenantId, keys: Sequence[str]) -> set[str]:
    if not keys:
        return set()
    statement = sa.select(holds.c.effect_key).where(
        holds.c.tenant_id == tenant_id, holds.c.effect_key.in_(keys)
    )
    return set(tx.execute(statement).scalars())


def _remove(tx: Transaction, tenant_id: TenantId, free: Sequence[Candidate]) -> None:
    if not free:
        return
    _note_what_is_real(tx, tenant_id, free)
    for table in DETAILS:
        of_runs = sa.and_(
            table.c.tenant_id == tenant_id, table.c.run_id.in_([one.run_id for one in free])
        )
        tx.execute(sa.delete(table).where(of_runs))
    without = [one.run_id for one in free if one.incident_id is None]
    mine = runs.c.tenant_id == tenant_id
    tx.execute(sa.delete(runs).where(mine, runs.c.id.in_(without)))
    thin = [one.run_id for one in free if one.incident_id is not None]
    marked = sa.update(runs).where(mine, runs.c.id.in_(thin))
    tx.execute(marked.values(pruned_at=tx.now))


def _note_what_is_real(tx: Transaction, tenant_id: TenantId, free: Sequence[Candidate]) -> None:
    """Note in the ledger which targets were acted on: the effects that say so go."""
    came = sa.exists().where(
        effects.c.tenant_id == acted.c.tenant_id,
        effects.c.run_id == acted.c.run_id,
        effects.c.target_id == acted.c.target_id,
        among(effects.c.state, REAL),
    )
    mine = sa.and_(
        acted.c.tenant_id == tenant_id,
        acted.c.playbook_id == sa.bindparam("playbook"),
        acted.c.incident_id == sa.bindparam("incident"),
        acted.c.run_id == sa.bindparam("run"),
    )
    noted = [
        {"playbook": one.playbook_id, "incident": one.incident_id, "run": one.run_id}
        for one in free
        if one.incident_id is not None
    ]
    if noted:
        tx.execute(sa.update(acted).where(mine).values(is_real=came), noted)
