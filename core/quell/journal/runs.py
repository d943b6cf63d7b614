"""Runs: who drives one, until when, when it is due, and what people ask of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.ids import RunId, TenantId, WorkerId
from quell.domain.offers import Notice
from quell.domain.run import RunState
from quell.errors import StateError
from quell.journal import approvals, audit, effects, notices, run_events, steps
from quell.journal.approvals import Approval
from quell.journal.effects import EffectRow
from quell.journal.run_events import RunEvent
from quell.journal.run_rows import (
    ActOrder,
    NewRun,
    RunOptions,
    RunRef,
    RunRow,
    change_run,
    check_fence,
    events,
    find,
    get,
    insert,
    listed,
    lock,
    lock_ahead,
    locks_of,
    move,
    move_locked,
)
from quell.journal.steps import StepRow
from quell.journal.tables import runs
from quell.journal.writer import Question, Transaction, Write

__all__ = [
    "ActOrder",
    "Claim",
    "NewRun",
    "RunOptions",
    "RunRef",
    "RunRow",
    "cancel",
    "check_fence",
    "claim",
    "create",
    "events",
    "find",
    "get",
    "insert",
    "listed",
    "lock",
    "move",
    "park",
    "release",
    "reload",
    "renew",
    "rest",
    "resume",
    "snapshot",
]

#: takeovers without progress after which a run is not tried again by itself
TAKEOVER_LIMIT = 3


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A run in the hands of one worker, with everything that is on record about it."""

    run: RunRow
    steps: tuple[StepRow, ...]
    effects: tuple[EffectRow, ...]
    approvals: tuple[Approval, ...]
    at: datetime


def create(tenant_id: TenantId, run: NewRun) -> Write[bool]:
    """Write a run down as queued. False when its cause has started one already."""
    return Write(lambda tx: insert(tx, tenant_id, run), locks=("run", tenant_id, run.id))


def claim(
    ref: RunRef,
    worker: WorkerId,
    lasting: timedelta,
    may: Callable[[Transaction, RunRow], bool] = lambda tx, row: True,
) -> Write[Claim | None]:
    """Take a run that is queued, due, or past its lease. None when it is not to be had.

    A run that was taken over too often without progress is parked instead. `may` is asked last.
    """

    def apply(tx: Transaction) -> Claim | None:
        row = lock(tx, ref)
        if not _can_claim(row, tx.now) or not may(tx, row):
            return None
        takeovers = row.takeovers + (row.state is RunState.RUNNING)
        if takeovers > TAKEOVER_LIMIT:
            _park(tx, row, f"taken over {TAKEOVER_LIMIT} times without progress")
            return None
        taken: dict[str, Any] = {
            "owner": worker,
            "fence": row.fence + 1,
            "lease_until": tx.now + lasting,
            "wake_at": None,
            "takeovers": takeovers,
        }
        move_locked(tx, row, RunState.RUNNING, **taken)
        claimed = msgspec.structs.replace(row, state=RunState.RUNNING, **taken)
        # before its first claim nothing can be on record about it
        return _claim(tx, claimed) if row.fence else _first_claim(tx, claimed)

    return Write(apply, locks_of(ref), lock_ahead)


def reload(ref: RunRef, fence: int) -> Write[Claim]:
    """Read again what is on record about a run that is ours. Raises FenceLost."""

    def apply(tx: Transaction) -> Claim:
        row = check_fence(tx, ref, fence)
        if row.wake_at is not None:
            change_run(tx, ref, wake_at=None)
            row = lock(tx, ref)
        return _claim(tx, row)

    return Write(apply, locks_of(ref), lock_ahead)


def snapshot(ref: RunRef) -> Question[Claim]:
    """Read everything that is on record about a run, without claiming it."""
    return lambda tx: _claim(tx, get(ref)(tx))


def renew(worker: WorkerId, run_ids: Collection[RunId], lasting: timedelta) -> Write[int]:
    """Hold on to all runs of a worker that are named, in one statement. Gives how many."""

    def apply(tx: Transaction) -> int:
        mine = sa.and_(
            runs.c.owner == worker,
            runs.c.state == RunState.RUNNING.value,
            runs.c.id.in_(sorted(run_ids)),
        )
        renewed = sa.update(runs).where(mine).values(lease_until=tx.now + lasting)
        return tx.execute(renewed).rowcount

    return Write(apply, locks=("lease", worker))


def rest(ref: RunRef, fence: int, wake_at: datetime | None) -> Write[bool]:
    """Let a run wait and hold nothing. False when something came in meanwhile: look again."""

    def apply(tx: Transaction) -> bool:
        row = check_fence(tx, ref, fence)
        if row.wake_at is not None:
            return False
        return move(tx, ref, RunState.WAITING, wake_at=wake_at)

    return Write(apply, locks_of(ref), lock_ahead)


def release(ref: RunRef, fence: int) -> Write[bool]:
    """Give a run back to the queue, at the end of a worker in good order."""

    def apply(tx: Transaction) -> bool:
        check_fence(tx, ref, fence)
        return move(tx, ref, RunState.QUEUED)

    return Write(apply, locks_of(ref), lock_ahead)


def park(ref: RunRef, fence: int, reason: str) -> Write[Notice]:
    """Stop a run until a person has looked at it. Gives what people are told."""

    def apply(tx: Transaction) -> Notice:
        return _park(tx, check_fence(tx, ref, fence), reason)

    return Write(apply, locks_of(ref), lock_ahead)


def cancel(ref: RunRef, *, by: str, chain: WorkerId, reason: str = "") -> Write[RunState]:
    """Stop a run at its next step. What is open at a vendor is settled first, if anything is.

    Raises StateError when the run has ended. Gives where it stands afterwards.
    """

    def apply(tx: Transaction) -> RunState:
        row = lock(tx, ref)
        if row.state.is_final:
            raise StateError(
                what=f"Run {ref.run_id}",
                problem=f"has ended already ({row.state.value})",
                remedy="To take its effects back, use `quell undo RUN`.",
            )
        body = {"run": ref.run_id, "reason": reason}
        audit.append(tx, ref.tenant_id, chain, actor=by, action="run.cancel", body=body)
        return _ask_to_stop(tx, row, {"by": by, "reason": reason})

    return Write(apply, locks_of(ref), lock_ahead)


def stop_of(tx: Transaction, tenant_id: TenantId, incident_id: str, reason: str) -> None:
    """Stop an incident's runs at their next step; what is open at a vendor is settled first."""
    final = [state.value for state in RunState if state.is_final]
    statement = sa.select(runs.c.id).where(
        runs.c.tenant_id == tenant_id,
        runs.c.incident_id == incident_id,
        runs.c.state.not_in(final),
    )
    for run_id in tx.execute(statement.order_by(runs.c.id)).scalars().all():
        _ask_to_stop(tx, lock(tx, RunRef(tenant_id, RunId(run_id))), {"reason": reason})


def _ask_to_stop(tx: Transaction, row: RunRow, why: dict[str, str]) -> RunState:
    if row.state.is_final:
        return row.state
    run_events.append(tx, row.tenant_id, row.id, [RunEvent("cancel_requested", dict(why))])
    approvals.withdraw(tx, row.ref)
    # also tells whoever drives it that something came in
    change_run(tx, row.ref, cancel_requested=True, wake_at=tx.now)
    return _stop(tx, row)


def resume(ref: RunRef, *, by: str, chain: WorkerId) -> Write[None]:
    """Let a parked run go on. Raises StateError when it is not parked."""

    def apply(tx: Transaction) -> None:
        row = lock(tx, ref)
        if row.state is not RunState.PARKED:
            raise StateError(
                what=f"Run {ref.run_id}",
                problem=f"is not parked but {row.state.value}",
                remedy="`quell runs` shows where each run stands.",
            )
        move(tx, ref, RunState.QUEUED, takeovers=0, error="")
        body = {"run": ref.run_id}
        audit.append(tx, ref.tenant_id, chain, actor=by, action="run.resume", body=body)
        run_events.append(tx, ref.tenant_id, ref.run_id, [RunEvent("resumed", {"by": by})])

    return Write(apply, locks_of(ref), lock_ahead)


def _can_claim(row: RunRow, now: datetime) -> bool:
    if row.state is RunState.QUEUED:
        return True
    if row.state is RunState.RUNNING:
        return row.lease_until is not None and row.lease_until < now
    return row.state is RunState.WAITING and row.wake_at is not None and row.wake_at <= now


def _first_claim(tx: Transaction, row: RunRow) -> Claim:
    return Claim(run=row, steps=(), effects=(), approvals=(), at=tx.now)


def _claim(tx: Transaction, row: RunRow) -> Claim:
    return Claim(
        run=row,
        steps=tuple(steps.of_run(tx, row.tenant_id, row.id)),
        effects=tuple(effects.of_run(tx, row.tenant_id, row.id)),
        approvals=tuple(approvals.of_run(tx, row.ref)),
        at=tx.now,
    )


def _stop(tx: Transaction, row: RunRow) -> RunState:
    if row.state is RunState.RUNNING:
        return RunState.RUNNING  # whoever drives it sees the mark at its next write
    is_open = any(
        not effect.state.is_settled for effect in effects.of_run(tx, row.tenant_id, row.id)
    )
    if not is_open:
        move(tx, row.ref, RunState.CANCELLED)
        return RunState.CANCELLED
    if row.state is not RunState.QUEUED:
        move(tx, row.ref, RunState.QUEUED)
    return RunState.QUEUED


def _park(tx: Transaction, row: RunRow, reason: str) -> Notice:
    move(tx, row.ref, RunState.PARKED, error=reason)
    run_events.append(tx, row.tenant_id, row.id, [RunEvent("parked", {"reason": reason})])
    notice = Notice(
        kind="parked",
        tenant_id=row.tenant_id,
        summary=f"Run {row.id} of {row.playbook_id} waits for a person: {reason}",
        references={"run": row.id, "playbook": row.playbook_id},
    )
    notices.add(tx, notice)
    return notice
