"""From what a call, a poll or a look gave to what the journal is told about the effect. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from quell.domain.action import Action, Effect
from quell.domain.hold import Hold
from quell.domain.offers import Notice
from quell.domain.outcome import Failed, Operation, Outcome, Pending, Succeeded, Unknown
from quell.domain.playbook import Retry
from quell.domain.run import EffectState
from quell.engine.recover import Next, Verdict
from quell.journal.effects import DroppedHolds, EffectChange, EffectRow

__all__ = ["after_call", "after_look", "after_poll", "applied", "page_for"]

#: how soon after it was sent a vendor operation is asked about first
FIRST_PAUSE = timedelta(seconds=2)
#: how long between two questions where the action does not say
LONGEST_PAUSE = timedelta(seconds=10)

Holds = tuple[tuple[Hold, ...], tuple[DroppedHolds, ...]]


def after_call(
    row: EffectRow,
    action: Action,
    outcome: Outcome,
    *,
    now: datetime,
    sent_at: datetime,
    holds: Holds,
    retry: Retry | None,
) -> EffectChange:
    """Say what a call's outcome makes of its effect. `retry` None: this was the last try."""
    match outcome:
        case Succeeded():
            return _done(row, action, outcome, now=now, sent_at=sent_at, holds=holds)
        case Pending():
            return EffectChange(
                key=row.key,
                state=EffectState.PENDING,
                outcome=outcome,
                operation=outcome.operation,
                sent_at=sent_at,
                poll_at=now + _pause(outcome.operation, sent_at, now),
            )
        case Failed() if outcome.retryable and retry is not None:
            pause = max(retry.wait, timedelta(seconds=outcome.retry_after or 0))
            # it stays intended: that it did not happen is on record with it
            return EffectChange(
                key=row.key, outcome=outcome, reason=outcome.reason, poll_at=now + pause
            )
        case Failed():
            return _failed(row, outcome, sent_at=sent_at)
        case Unknown() if action.observe_function is not None:
            # asked about once the vendor has settled; never sent again before that
            return EffectChange(
                key=row.key,
                outcome=outcome,
                reason=outcome.reason,
                sent_at=sent_at,
                poll_at=now + action.settle,
            )
        case Unknown():
            return _unknown(row, outcome, sent_at=sent_at)


def after_poll(
    row: EffectRow, action: Action, outcome: Outcome | None, *, now: datetime, holds: Holds
) -> EffectChange:
    """Say what a vendor's word about its operation makes of the effect. None: it said nothing."""
    match outcome:
        case Succeeded():
            return _done(row, action, outcome, now=now, sent_at=None, holds=holds)
        case Failed():
            return _failed(row, outcome, sent_at=None)
        case Unknown():
            return _unknown(row, outcome, sent_at=None)
        case _:
            operation = outcome.operation if isinstance(outcome, Pending) else row.operation
            pause = _pause(operation, row.sent_at, now)
            return EffectChange(
                key=row.key, outcome=row.outcome, operation=operation, poll_at=now + pause
            )


def after_look(
    row: EffectRow, action: Action, verdict: Verdict, *, now: datetime, holds: Holds
) -> EffectChange | None:
    """Say what a look makes of an effect of unknown fate. None: it is decided on afresh."""
    match verdict.next:
        case Next.DONE:
            found = Succeeded(proof=verdict.reason)
            change = _done(row, action, found, now=now, sent_at=None, holds=holds)
            return msgspec.structs.replace(change, reason=verdict.reason)
        case Next.ALREADY:
            adds, drops = holds
            return EffectChange(
                key=row.key,
                state=EffectState.ALREADY,
                reason=verdict.reason,
                adds=adds,
                drops=drops,
            )
        case Next.ADOPT:
            operation = verdict.operation
            sent_at = row.sent_at or row.decided_at
            return EffectChange(
                key=row.key,
                state=EffectState.PENDING,
                operation=operation,
                reason=verdict.reason,
                sent_at=sent_at,
                poll_at=now + _pause(operation, sent_at, now),
            )
        case Next.FAILED:
            return _failed(row, Failed(reason=verdict.reason), sent_at=None)
        case Next.UNKNOWN:
            look_at = row.outcome.look_at if isinstance(row.outcome, Unknown) else ""
            return _unknown(row, Unknown(reason=verdict.reason, look_at=look_at), sent_at=None)
        case Next.SEND:
            return None


def _pause(operation: Operation | None, sent_at: datetime | None, now: datetime) -> timedelta:
    """Ask soon at first, then ever less often: what has taken long may take as long again."""
    longest = operation.poll_every if operation is not None else LONGEST_PAUSE
    age = now - sent_at if sent_at is not None else FIRST_PAUSE
    return min(longest, max(FIRST_PAUSE, age))


def applied(row: EffectRow, change: EffectChange) -> EffectRow:
    """Give the effect as it stands after a change, as the journal will have it."""
    return msgspec.structs.replace(
        row,
        state=change.state or row.state,
        outcome=change.outcome,
        operation=change.operation,
        reason=change.reason,
        sent_at=change.sent_at or row.sent_at,
        poll_at=change.poll_at,
        verify_at=change.verify_at,
        verified=change.verified,
    )


def page_for(row: EffectRow, change: EffectChange) -> Notice | None:
    """Tell people about an effect that cannot be known; they find out and settle it."""
    if change.state is not EffectState.UNKNOWN:
        return None
    look_at = change.outcome.look_at if isinstance(change.outcome, Unknown) else ""
    hint = f"; look at {look_at}" if look_at else ""
    return Notice(
        kind="page",
        tenant_id=row.tenant_id,
        summary=f"It is unclear whether {row.action} happened ({change.reason}){hint}",
        references={"effect": row.key, "run": row.run_id or "", "target": row.target_id},
    )


def _done(
    row: EffectRow,
    action: Action,
    outcome: Succeeded,
    *,
    now: datetime,
    sent_at: datetime | None,
    holds: Holds,
) -> EffectChange:
    adds, drops = holds
    verifies = action.observe_function is not None and (
        action.is_guarded or action.effect is Effect.RESTORE
    )
    return EffectChange(
        key=row.key,
        state=EffectState.DONE,
        outcome=outcome,
        operation=row.operation,
        reason=outcome.caveat,
        sent_at=sent_at,
        verify_at=now + action.settle if verifies else None,
        adds=adds,
        drops=drops,
    )


def _failed(row: EffectRow, outcome: Failed, *, sent_at: datetime | None) -> EffectChange:
    return EffectChange(
        key=row.key,
        state=EffectState.FAILED,
        outcome=outcome,
        operation=row.operation,
        reason=outcome.reason,
        sent_at=sent_at,
    )


def _unknown(row: EffectRow, outcome: Unknown, *, sent_at: datetime | None) -> EffectChange:
    return EffectChange(
        key=row.key,
        state=EffectState.UNKNOWN,
        outcome=outcome,
        operation=row.operation,
        reason=outcome.reason,
        sent_at=sent_at,
    )
