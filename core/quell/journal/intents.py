"""The one transaction in which effects are decided: locks, facts, the guard's word, intents.

The guard itself is pure and lives in the engine; it is handed in, asked inside the
transaction about what stands there, and its word is what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.decision import Allowed, AskFirst, Decision, Denied, NotYet, Reason
from quell.domain.hold import HoldOwner
from quell.domain.ids import TenantId, WorkerId
from quell.domain.offers import Notice
from quell.domain.run import EffectState
from quell.journal import approvals, effects, holds
from quell.journal.approvals import Approval, AskedTarget, QuestionBody
from quell.journal.columns import EPOCH
from quell.journal.effects import EffectRow
from quell.journal.prepared import among, its, same
from quell.journal.progress import Advance, Signals, apply_advance
from quell.journal.run_rows import RunRef, RunRow, check_fence, extend, lock_ahead, locks_of
from quell.journal.standing import Standing, StepTerms, TargetStanding, Wanted, read_standing
from quell.journal.tables import acted, counters, targets
from quell.journal.tables import effects as effects_table
from quell.journal.upsert import insert_missing, insert_or_lock
from quell.journal.writer import Transaction, Write

__all__ = ["Conclude", "Intended", "Standing", "StepTerms", "TargetStanding", "Wanted", "intend"]

#: gives one decision for each wanted effect, in order
Decide = Callable[[Standing], Sequence[Decision]]
#: gives what the run should say about the decisions, in the same transaction
Conclude = Callable[[Sequence[Decision], datetime], Advance]

MOVE_TARGET = sa.update(targets).where(same(targets.c.tenant_id, targets.c.target_id))
WRITE_AGAIN = sa.update(effects_table).where(
    effects.IS_EFFECT, among(effects_table.c.state, [EffectState.INTENDED])
)
COUNT = (
    sa.update(counters)
    .where(same(counters.c.tenant_id, counters.c.name, counters.c.window_at))
    .values(count=counters.c.count + sa.bindparam("allowed", type_=sa.BigInteger))
)


class Intended(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided and written."""

    decisions: tuple[Decision, ...]
    #: every effect that is on record now, by key
    effects: dict[str, EffectRow]
    #: keys of those that may be sent now
    sendable: frozenset[str]
    #: how the journal stood, for those who explain a decision
    standing: Standing
    signals: Signals
    notice: Notice | None = None
    approval: Approval | None = None


def intend(
    ref: RunRef,
    fence: int,
    terms: StepTerms,
    wanted: Sequence[Wanted],
    *,
    decide: Decide,
    conclude: Conclude,
    worker: WorkerId,
    lease: timedelta,
) -> Write[Intended]:
    """Decide about effects and write the intents, the denials and the question down.

    An effect that is on record as intended is decided afresh and may be sent again: hand in
    only those that are certain not to have happened.
    """

    def apply(tx: Transaction) -> Intended:
        # what is decided here may be sent until the lease's end, so the lease begins anew
        row = extend(tx, check_fence(tx, ref, fence), tx.now + lease)
        seqs = _lock(tx, ref.tenant_id, terms, wanted)
        # whoever holds the run alone writes its effects, and so knows which are on record
        on_record = [one.key for one in wanted if not one.is_fresh]
        known = effects.of_keys(tx, ref.tenant_id, on_record)
        standing = read_standing(tx, row, terms, wanted, known, seqs)
        decisions = tuple(decide(standing))
        written = [
            _write(tx, row, terms, one, decision, known.get(one.key), seqs)
            for one, decision in zip(wanted, decisions, strict=True)
        ]
        _count(tx, ref.tenant_id, terms, decisions)
        _touch(tx, row, terms, wanted, decisions)
        notice, approval = _question(tx, ref, terms, wanted, decisions)
        apply_advance(tx, row, conclude(decisions, tx.now), worker=worker)
        return Intended(
            decisions=decisions,
            effects={
                **effects.of_keys(tx, ref.tenant_id, on_record),
                **{one.key: one for one in written if one is not None},
            },
            sendable=frozenset(
                one.key
                for one, decision in zip(wanted, decisions, strict=True)
                if _state(one, decision) is EffectState.INTENDED
            ),
            standing=standing,
            signals=Signals(
                cancel_requested=row.cancel_requested, is_nudged=row.wake_at is not None
            ),
            notice=notice,
            approval=approval,
        )

    return Write(apply, locks_of(ref), lock_ahead)


def _lock(
    tx: Transaction, tenant_id: TenantId, terms: StepTerms, wanted: Sequence[Wanted]
) -> dict[str, int]:
    """Lock what is counted and every target, in one order for everybody. Gives the targets' seqs."""
    if terms.is_guarded:
        name = _counter(terms)
        row = {"tenant_id": tenant_id, "name": name, "window_at": EPOCH, "count": 0}
        if tx.kept(counters, (tenant_id, name)) is None:
            insert_or_lock(tx, counters, [row], "count")
            tx.keep(counters, (tenant_id, name), row)
    ids = sorted({one.target_id for one in wanted})
    # what an earlier write of the group has locked, and perhaps moved on, is known
    seqs = {one: tx.kept(targets, (tenant_id, one)) for one in ids}
    rows = [
        {"tenant_id": tenant_id, "target_id": one, "seq": 0}
        for one, seq in seqs.items()
        if seq is None
    ]
    if rows:
        seqs |= {row.target_id: row.seq for row in insert_or_lock(tx, targets, rows, "seq")}
    for one, seq in seqs.items():
        tx.keep(targets, (tenant_id, one), seq)
    return seqs


def _write(
    tx: Transaction,
    row: RunRow,
    terms: StepTerms,
    one: Wanted,
    decision: Decision,
    own: EffectRow | None,
    seqs: dict[str, int],
) -> EffectRow | None:
    """Write one decision down; gives the effect if it is new."""
    state = _state(one, decision)
    if state is None:
        return None
    reason = "; ".join(reason.text for reason in _reasons(decision))
    if state is EffectState.ALREADY and not isinstance(decision, Denied):
        _apply_holds(tx, row.tenant_id, one)
    if own is not None:
        _write_again(tx, row, own, state, reason)
        return None
    if state is EffectState.INTENDED:
        seqs[one.target_id] += 1
        mine = its(tenant_id=row.tenant_id, target_id=one.target_id)
        tx.later(MOVE_TARGET, {**mine, "seq": seqs[one.target_id]})
        tx.keep(targets, (row.tenant_id, one.target_id), seqs[one.target_id])
    effect = _effect(tx, row, terms, one, state, reason, seqs[one.target_id])
    effects.insert(tx, effect)
    return effect


def _effect(
    tx: Transaction,
    row: RunRow,
    terms: StepTerms,
    one: Wanted,
    state: EffectState,
    reason: str,
    seq: int,
) -> EffectRow:
    return EffectRow(
        tenant_id=row.tenant_id,
        key=one.key,
        seq=seq,
        run_id=row.id,
        step_key=terms.step_key,
        action=terms.action,
        system=terms.system,
        kind=terms.kind,
        incident_id=row.incident_id,
        target_id=one.target_id,
        target_kind=one.target_kind,
        target=one.target,
        params=terms.params,
        params_digest=terms.params_digest,
        state=state,
        vendor_key=one.vendor_key,
        before=one.before,
        outcome=None,
        operation=None,
        reason=reason,
        by=terms.by,
        approval_id=None,
        policy=terms.policy,
        decided_at=tx.now,
        deadline=row.lease_until or tx.now,
        sent_at=None,
        settled_at=tx.now if state.is_settled else None,
        poll_at=None,
        verify_at=None,
        verified=None,
    )


def _apply_holds(tx: Transaction, tenant_id: TenantId, one: Wanted) -> None:
    for dropped in one.drops:
        effects.drop_holds(tx, tenant_id, dropped)
    for hold in one.adds:
        held = holds.on(tx, tenant_id, hold.entity_id, hold.state)
        # where somebody of ours holds the state already, it is not the vendor's
        if hold.owner is not HoldOwner.VENDOR or not held:
            holds.add(tx, tenant_id, hold, effect_key=one.key)


def _write_again(
    tx: Transaction, row: RunRow, own: EffectRow, state: EffectState, reason: str
) -> None:
    values: dict[str, Any] = {"reason": reason, "outcome": None, "poll_at": None}
    if state is EffectState.INTENDED:
        values["deadline"] = row.lease_until or tx.now
    else:
        values |= {"state": state.value, "settled_at": tx.now}
    tx.execute(WRITE_AGAIN, {**its(tenant_id=row.tenant_id, effect_key=own.key), **values})


def _state(one: Wanted, decision: Decision) -> EffectState | None:
    if isinstance(decision, NotYet):
        return None
    if one.is_already:
        return EffectState.ALREADY
    if isinstance(decision, Allowed):
        return EffectState.INTENDED
    return EffectState.DENIED if isinstance(decision, Denied) else None


def _reasons(decision: Decision) -> tuple[Reason, ...]:
    return () if isinstance(decision, Allowed) else decision.reasons


def _count(
    tx: Transaction, tenant_id: TenantId, terms: StepTerms, decisions: Sequence[Decision]
) -> None:
    allowed = sum(isinstance(decision, Allowed) for decision in decisions)
    if not (terms.is_guarded and allowed):
        return
    mine = its(tenant_id=tenant_id, name=_counter(terms), window_at=EPOCH)
    tx.later(COUNT, {**mine, "allowed": allowed})


def _touch(
    tx: Transaction,
    row: RunRow,
    terms: StepTerms,
    wanted: Sequence[Wanted],
    decisions: Sequence[Decision],
) -> None:
    """Enter the targets in the ledger, so that later runs leave them alone."""
    if not terms.is_guarded or row.incident_id is None:
        return
    rows = [
        {
            "tenant_id": row.tenant_id,
            "playbook_id": row.playbook_id,
            "incident_id": row.incident_id,
            "target_id": one.asked_id,
            "run_id": row.id,
            "at": tx.now,
        }
        for one, decision in zip(wanted, decisions, strict=True)
        if _state(one, decision) in {EffectState.ALREADY, EffectState.INTENDED}
    ]
    insert_missing(tx, acted, rows)


def _question(
    tx: Transaction,
    ref: RunRef,
    terms: StepTerms,
    wanted: Sequence[Wanted],
    decisions: Sequence[Decision],
) -> tuple[Notice | None, Approval | None]:
    asked = [
        (AskedTarget(target_id=one.asked_id, name=one.name, reasons=decision.reasons), decision)
        for one, decision in zip(wanted, decisions, strict=True)
        if isinstance(decision, AskFirst) and not one.is_already
    ]
    if not asked:
        return None, None
    question = QuestionBody(
        action=terms.action,
        system=terms.system,
        params=terms.params,
        params_digest=terms.params_digest,
        targets=tuple(target for target, _ in asked),
    )
    notice = approvals.open_question(
        tx,
        ref,
        approval_id=terms.approval_id,
        step_key=terms.step_key,
        question=question,
        who=terms.ask.who,
        within=terms.ask.within,
        otherwise=terms.ask.otherwise,
        pages=any(decision.pages for _, decision in asked),
    )
    return notice, approvals.get(ref.tenant_id, terms.approval_id)(tx)


def _counter(terms: StepTerms) -> str:
    return f"decided/{terms.kind}"
