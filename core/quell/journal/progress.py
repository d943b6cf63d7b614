"""One change of a run as a whole: steps, effects, events, notices and its end, or none of them."""

from __future__ import annotations

import msgspec

from quell.domain.ids import StepKey, WorkerId
from quell.domain.offers import Notice
from quell.domain.run import RunState
from quell.journal import approvals, audit, effects, notices, run_events, steps
from quell.journal.approvals import Approval
from quell.journal.effects import EffectChange
from quell.journal.run_events import RunEvent
from quell.journal.run_rows import (
    RunRef,
    RunRow,
    change_run,
    check_fence,
    lock_ahead,
    locks_of,
    move_locked,
)
from quell.journal.steps import StepRow
from quell.journal.writer import Transaction, Write

__all__ = ["Advance", "Attempt", "Signals", "advance", "apply_advance"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a step, for the record."""

    step_key: StepKey
    number: int
    outcome: str


class Advance(msgspec.Struct, frozen=True, kw_only=True):
    """What has changed in a run."""

    steps: tuple[StepRow, ...] = ()
    effects: tuple[EffectChange, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    events: tuple[RunEvent, ...] = ()
    notices: tuple[Notice, ...] = ()
    #: what the audit trail says about it, if anything: action, and its body
    audits: tuple[tuple[str, dict[str, object]], ...] = ()
    #: the run ends with this
    finish: RunState | None = None
    #: how many steps must then be settled: none may have been lost on the way
    settled: int = 0


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    """What the run's driver should know after a write."""

    cancel_requested: bool = False
    #: an answer or a cancellation came in since the run was read
    is_nudged: bool = False


def advance(ref: RunRef, fence: int, change: Advance, *, worker: WorkerId) -> Write[Signals]:
    """Write down that a run has come further. Raises FenceLost, and writes nothing then."""

    def apply(tx: Transaction) -> Signals:
        row = check_fence(tx, ref, fence)
        apply_advance(tx, row, change, worker=worker)
        return Signals(cancel_requested=row.cancel_requested, is_nudged=row.wake_at is not None)

    return Write(apply, locks_of(ref), lock_ahead)


def close_questions(ref: RunRef, fence: int, expired: tuple[Approval, ...]) -> Write[list[Notice]]:
    """Close questions that nobody answered in time. Gives the pages that follow from it."""

    def apply(tx: Transaction) -> list[Notice]:
        check_fence(tx, ref, fence)
        found = [approvals.expire(tx, approval) for approval in expired]
        return [notice for notice in found if notice is not None]

    return Write(apply, locks_of(ref), lock_ahead)


def apply_advance(tx: Transaction, row: RunRow, change: Advance, *, worker: WorkerId) -> None:
    """Write a change of a run whose fence was checked in this transaction."""
    for effect in change.effects:
        effects.record_change(tx, row.tenant_id, effect)
    for step in change.steps:
        steps.save(tx, row.tenant_id, row.id, step)
    for attempt in change.attempts:
        steps.record_attempt(
            tx,
            row.tenant_id,
            row.id,
            step_key=attempt.step_key,
            attempt=attempt.number,
            worker=worker,
            outcome=attempt.outcome,
        )
    _record(tx, row, change, worker)
    if row.takeovers and any(step.state.is_settled for step in change.steps):
        change_run(tx, row.ref, takeovers=0)
    if change.finish is not None:
        _finish(tx, row, change)


def _record(tx: Transaction, row: RunRow, change: Advance, worker: WorkerId) -> None:
    run_events.append(tx, row.tenant_id, row.id, change.events)
    for notice in change.notices:
        notices.add(tx, notice)
    for action, body in change.audits:
        audit.append(
            tx,
            row.tenant_id,
            worker,
            actor=row.options.ordered_by or f"playbook {row.playbook_id}",
            action=action,
            body={"run": row.id, **body},
        )


def _finish(tx: Transaction, row: RunRow, change: Advance) -> None:
    assert change.finish is not None  # noqa: S101 # the caller looked
    approvals.withdraw(tx, row.ref)
    move_locked(tx, row, change.finish, settled=change.settled)
    ended = RunEvent("run_ended", {"state": change.finish.value})
    run_events.append(tx, row.tenant_id, row.id, [ended])
