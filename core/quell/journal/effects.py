"""Effects: what was written down before it was sent, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.hold import Hold, HoldOwner
from quell.domain.ids import ApprovalId, IncidentId, RunId, StepKey, TenantId, WorkerId
from quell.domain.offers import Notice
from quell.domain.outcome import Observation, Operation, Outcome
from quell.domain.run import EFFECT_MOVES, EffectState, sources_of
from quell.errors import NotFoundError, StateError
from quell.journal import audit, holds, notices
from quell.journal.prepared import among, its, same
from quell.journal.prepared import listed as one_of
from quell.journal.tables import effects
from quell.journal.writer import Question, Transaction, Write

__all__ = [
    "DroppedHolds",
    "EffectChange",
    "EffectRow",
    "Verification",
    "apply_change",
    "change_alone",
    "drop_holds",
    "due",
    "get",
    "insert",
    "listed",
    "of_keys",
    "of_run",
    "record_change",
    "settle_unknown",
    "verify",
]


IS_EFFECT = same(effects.c.tenant_id, effects.c.effect_key)
READ = sa.select(effects).where(IS_EFFECT)
READ_OF_RUN = (
    sa.select(effects)
    .where(same(effects.c.tenant_id, effects.c.run_id))
    .order_by(effects.c.decided_at, effects.c.effect_key)
)
READ_MANY = sa.select(effects).where(same(effects.c.tenant_id), one_of(effects.c.effect_key))
INSERT = sa.insert(effects)
CHANGE = sa.update(effects).where(IS_EFFECT)
#: by where it goes: the change of an effect, from wherever the table of moves allows it
MOVE = {
    to: CHANGE.where(among(effects.c.state, sources_of(EFFECT_MOVES, to)))
    for to in EffectState
    if sources_of(EFFECT_MOVES, to)
}


class EffectRow(msgspec.Struct, frozen=True, kw_only=True):
    """One effect on one target, as the journal has it."""

    tenant_id: TenantId
    #: idempotency key
    key: str
    seq: int
    run_id: RunId | None
    step_key: StepKey | None
    action: str
    system: str
    kind: str
    incident_id: IncidentId | None
    target_id: str
    target_kind: str
    #: `{"name", "entity", "aliases"}`, enough to look it up again
    target: dict[str, Any]
    params: dict[str, Any]
    params_digest: str
    state: EffectState
    vendor_key: str
    before: Observation | None
    outcome: Outcome | None
    operation: Operation | None
    reason: str
    by: str
    approval_id: ApprovalId | None
    policy: str
    decided_at: datetime
    deadline: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    poll_at: datetime | None
    verify_at: datetime | None
    verified: bool | None


class DroppedHolds(msgspec.Struct, frozen=True, kw_only=True):
    """Holds that end with an effect: one owner's, or everybody's but the vendor's."""

    entity_id: str
    state: str
    owner: HoldOwner | None = None
    owner_id: str | None = None


class EffectChange(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of an effect. `state` None leaves it where it is."""

    key: str
    state: EffectState | None = None
    outcome: Outcome | None = None
    operation: Operation | None = None
    reason: str = ""
    sent_at: datetime | None = None
    poll_at: datetime | None = None
    verify_at: datetime | None = None
    verified: bool | None = None
    adds: tuple[Hold, ...] = ()
    drops: tuple[DroppedHolds, ...] = ()


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a look after the settle time showed: the state, its absence, or nothing (None)."""

    key: str
    verified: bool | None
    reason: str
    verify_at: datetime | None = None


def insert(tx: Transaction, row: EffectRow) -> None:
    """Write an effect down, in the transaction that decided about it."""
    values = {name: getattr(row, name) for name in PLAIN}
    values |= {"effect_key": row.key, "state": row.state.value}
    values |= {name: msgspec.to_builtins(getattr(row, name)) for name in STRUCTS}
    tx.later(INSERT, values)


def record_change(tx: Transaction, tenant_id: TenantId, change: EffectChange) -> None:
    """Write down what became of an effect, together with others of the group.

    Spoils the transaction, with StateError, where the table of moves does not allow it.
    """
    problem = StateError(
        what=f"Effect {change.key}",
        problem="was settled otherwise meanwhile",
        remedy="Nothing to do: the run is read again.",
    )
    statement = CHANGE if change.state is None else MOVE.get(change.state)
    if statement is None:
        raise problem
    mine = its(tenant_id=tenant_id, effect_key=change.key)
    tx.later(statement, {**mine, **_values(tx, change)}, problem)
    _move_holds(tx, tenant_id, change)


def apply_change(tx: Transaction, tenant_id: TenantId, change: EffectChange) -> bool:
    """Write down what became of an effect. False when the table of moves does not allow it."""
    statement = CHANGE if change.state is None else MOVE.get(change.state)
    mine = its(tenant_id=tenant_id, effect_key=change.key)
    if statement is None or not tx.changed(statement, {**mine, **_values(tx, change)}):
        return False
    _move_holds(tx, tenant_id, change)
    return True


def _values(tx: Transaction, change: EffectChange) -> dict[str, Any]:
    values: dict[str, Any] = {
        "outcome": msgspec.to_builtins(change.outcome),
        "operation": msgspec.to_builtins(change.operation),
        "reason": change.reason,
        "poll_at": change.poll_at,
        "verify_at": change.verify_at,
        "verified": change.verified,
    }
    if change.sent_at is not None:
        values["sent_at"] = change.sent_at
    if change.state is not None:
        values |= {"state": change.state.value}
        values |= {"settled_at": tx.now} if change.state.is_settled else {}
    return values


def _move_holds(tx: Transaction, tenant_id: TenantId, change: EffectChange) -> None:
    # the end of one wish comes before the beginning of another
    for dropped in change.drops:
        drop_holds(tx, tenant_id, dropped)
    for hold in change.adds:
        holds.add(tx, tenant_id, hold, effect_key=change.key)


def change_alone(tenant_id: TenantId, change: EffectChange) -> Write[bool]:
    """Write down what became of an effect, outside of a run's drive."""
    return Write(
        lambda tx: apply_change(tx, tenant_id, change), locks=("effect", tenant_id, change.key)
    )


def verify(row: EffectRow, found: Verification, notice: Notice | None) -> Write[bool]:
    """Write down what a look after the settle time showed. False when another look came first."""

    def apply(tx: Transaction) -> bool:
        due = sa.and_(
            effects.c.tenant_id == row.tenant_id,
            effects.c.effect_key == row.key,
            effects.c.verify_at == row.verify_at,
        )
        values = {
            "verified": found.verified,
            "reason": found.reason,
            "verify_at": found.verify_at,
        }
        if not tx.changed(sa.update(effects).where(due).values(**values)):
            return False
        if notice is not None:
            notices.add(tx, notice)
        return True

    return Write(apply, locks=("effect", row.tenant_id, row.key))


def settle_unknown(
    tenant_id: TenantId, key: str, *, happened: bool, by: str, chain: WorkerId, reason: str
) -> Write[None]:
    """Write down what a person found out about an effect that could not be known.

    Raises NotFoundError, and StateError when it is not unknown.
    """

    def apply(tx: Transaction) -> None:
        row = get(tenant_id, key)(tx)
        if row.state is not EffectState.UNKNOWN:
            raise StateError(
                what=f"Effect {key}",
                problem=f"is not unknown but {row.state.value}",
                remedy="`quell runs show RUN` lists a run's effects.",
            )
        to = EffectState.DONE if happened else EffectState.FAILED
        text = f"settled by {by}: {reason}"
        change = EffectChange(key=key, state=to, outcome=row.outcome, reason=text)
        apply_change(tx, tenant_id, change)
        body = {"effect": key, "state": to.value, "reason": reason}
        audit.append(tx, tenant_id, chain, actor=by, action="effect.settle", body=body)

    return Write(apply, locks=("effect", tenant_id, key))


def get(tenant_id: TenantId, key: str) -> Question[EffectRow]:
    """Read an effect. Raises NotFoundError."""

    def ask(tx: Transaction) -> EffectRow:
        row = tx.execute(READ, its(tenant_id=tenant_id, effect_key=key)).first()
        if row is None:
            raise NotFoundError(what="effect", name=key)
        return row_of(row)

    return ask


def of_run(tx: Transaction, tenant_id: TenantId, run_id: RunId) -> list[EffectRow]:
    """List the effects of a run in the order in which they were decided."""
    mine = its(tenant_id=tenant_id, run_id=run_id)
    return [row_of(row) for row in tx.execute(READ_OF_RUN, mine)]


def of_keys(tx: Transaction, tenant_id: TenantId, keys: Sequence[str]) -> dict[str, EffectRow]:
    """Give those effects that are on record, by key."""
    if not keys:
        return {}
    rows = tx.execute(READ_MANY, its(tenant_id=tenant_id, effect_key=list(keys)))
    return {row.effect_key: row_of(row) for row in rows}


def listed(
    tenant_id: TenantId,
    *,
    run_id: RunId | None = None,
    target_id: str | None = None,
    incident_id: IncidentId | None = None,
    states: Sequence[EffectState] = (),
    limit: int = 100,
) -> Question[list[EffectRow]]:
    """List effects, newest first."""
    statement = sa.select(effects).where(effects.c.tenant_id == tenant_id)
    if run_id is not None:
        statement = statement.where(effects.c.run_id == run_id)
    if target_id is not None:
        statement = statement.where(effects.c.target_id == target_id)
    if incident_id is not None:
        statement = statement.where(effects.c.incident_id == incident_id)
    if states:
        statement = statement.where(effects.c.state.in_([state.value for state in states]))
    ordered = statement.order_by(effects.c.decided_at.desc(), effects.c.effect_key).limit(limit)
    return lambda tx: [row_of(row) for row in tx.execute(ordered)]


def due(tenant_id: TenantId, *, limit: int = 50) -> Question[list[EffectRow]]:
    """List settled effects that should be looked at again now, the longest due first."""

    def ask(tx: Transaction) -> list[EffectRow]:
        statement = (
            sa.select(effects)
            .where(effects.c.tenant_id == tenant_id, effects.c.verify_at <= tx.now)
            .order_by(effects.c.verify_at)
            .limit(limit)
        )
        return [row_of(row) for row in tx.execute(statement)]

    return ask


def row_of(row: sa.Row[Any]) -> EffectRow:
    """Read a row into a value."""
    values: dict[str, Any] = {name: getattr(row, name) for name in PLAIN}
    for name, kind in STRUCTS.items():
        stored = getattr(row, name)
        values[name] = msgspec.convert(stored, kind) if stored is not None else None
    return EffectRow(**values, key=row.effect_key, state=EffectState(row.state))


STRUCTS: dict[str, Any] = {"before": Observation, "outcome": Outcome, "operation": Operation}
#: what a row of the table holds as it is
PLAIN = tuple(
    name for name in EffectRow.__struct_fields__ if name not in {"key", "state", *STRUCTS}
)


def drop_holds(tx: Transaction, tenant_id: TenantId, dropped: DroppedHolds) -> None:
    """Drop what an effect ends, inside its transaction."""
    owners = [dropped.owner] if dropped.owner else [HoldOwner.RUN, HoldOwner.PERSON]
    for owner in owners:
        holds.drop(
            tx,
            tenant_id,
            dropped.entity_id,
            dropped.state,
            owner=owner,
            owner_id=dropped.owner_id,
        )
