"""Approvals: questions to people, each answered once by a guarded update."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.approval import Answer, Otherwise
from quell.domain.decision import Reason
from quell.domain.ids import ApprovalId, RunId, StepKey, TenantId, WorkerId
from quell.domain.offers import Notice
from quell.domain.run import RunState
from quell.errors import NotFoundError, StateError
from quell.journal import audit, notices, run_events
from quell.journal.prepared import its, same
from quell.journal.run_events import RunEvent
from quell.journal.run_rows import RunRef, change_run, lock, move
from quell.journal.tables import approvals
from quell.journal.writer import Question, Transaction, Write

__all__ = [
    "Approval",
    "AskedTarget",
    "QuestionBody",
    "answer",
    "expire",
    "get",
    "listed",
    "of_run",
    "open_question",
    "withdraw",
]

OF_RUN = same(approvals.c.tenant_id, approvals.c.run_id)
READ_OF_RUN = sa.select(approvals).where(OF_RUN).order_by(approvals.c.asked_at, approvals.c.id)
IS_OPEN = approvals.c.state == sa.literal(Answer.OPEN.value)
WITHDRAW = sa.update(approvals).where(OF_RUN, IS_OPEN)


class AskedTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One target of a question, as it was shown, with why it is asked about."""

    target_id: str
    #: a name for people; attacker-controlled
    name: str
    reasons: tuple[Reason, ...]


class QuestionBody(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: an approval covers exactly this and nothing else."""

    action: str
    system: str
    params: dict[str, Any]
    params_digest: str
    targets: tuple[AskedTarget, ...]


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A question as the journal has it."""

    tenant_id: TenantId
    id: ApprovalId
    run_id: RunId
    step_key: StepKey
    question: QuestionBody
    state: Answer
    who: str
    otherwise: Otherwise
    asked_at: datetime
    expires_at: datetime
    answered_at: datetime | None
    answered_by: str
    reason: str

    @property
    def run(self) -> RunRef:
        """Give the run that waits for it."""
        return RunRef(self.tenant_id, self.run_id)

    def target(self, target_id: str) -> AskedTarget | None:
        """Find what was asked about one target."""
        return next((one for one in self.question.targets if one.target_id == target_id), None)


def open_question(
    tx: Transaction,
    ref: RunRef,
    *,
    approval_id: ApprovalId,
    step_key: StepKey,
    question: QuestionBody,
    who: str,
    within: timedelta,
    otherwise: Otherwise,
    pages: bool,
) -> Notice:
    """Write a question down, in the transaction of the decision that led to it."""
    tx.execute(
        sa.insert(approvals).values(
            tenant_id=ref.tenant_id,
            id=approval_id,
            run_id=ref.run_id,
            step_key=step_key,
            question=msgspec.to_builtins(question),
            state=Answer.OPEN.value,
            who=who,
            otherwise=otherwise.value,
            asked_at=tx.now,
            expires_at=tx.now + within,
            reason="",
        )
    )
    notice = Notice(
        kind="page" if pages else "approval",
        tenant_id=ref.tenant_id,
        summary=f"{question.action} on {len(question.targets)} target(s) needs an answer"
        f" from {who}: `quell approve {approval_id}`",
        references={"approval": approval_id, "run": ref.run_id},
    )
    notices.add(tx, notice)
    return notice


def answer(
    tenant_id: TenantId,
    approval_id: ApprovalId,
    decision: Answer,
    *,
    by: str,
    chain: WorkerId,
    reason: str = "",
) -> Write[RunRef]:
    """Answer an open question, once, and give the run that was waiting, to be woken.

    Raises NotFoundError, and StateError when it was answered, withdrawn or has expired.
    """

    def apply(tx: Transaction) -> RunRef:
        found = get(tenant_id, approval_id)(tx)
        # the run first, then the question: the order in which its driver locks them
        lock(tx, found.run)
        if not _settle(tx, found, decision, by=by, reason=reason, at_most=tx.now):
            raise _refused(get(tenant_id, approval_id)(tx))
        body = {"approval": approval_id, "run": found.run_id, "answer": decision.value}
        audit.append(
            tx,
            tenant_id,
            chain,
            actor=by,
            action="approval.answer",
            body={**body, "reason": reason},
        )
        event = RunEvent("answered", {**body, "by": by})
        run_events.append(tx, tenant_id, found.run_id, [event])
        _nudge(tx, found.run)
        return found.run

    return Write(apply, locks=("run", tenant_id, approval_id))


def expire(tx: Transaction, approval: Approval) -> Notice | None:
    """Close a question that nobody answered in time; its run must be locked.

    Gives the notice when somebody is to be paged for it.
    """
    if approval.expires_at > tx.now:
        return None
    if not _settle(tx, approval, Answer.EXPIRED, by="", reason="nobody answered in time"):
        return None
    event = RunEvent("expired", {"approval": approval.id})
    run_events.append(tx, approval.tenant_id, approval.run_id, [event])
    if approval.otherwise is not Otherwise.PAGE:
        return None
    notice = Notice(
        kind="page",
        tenant_id=approval.tenant_id,
        summary=f"Nobody of {approval.who} answered in time:"
        f" {approval.question.action} was not done",
        references={"approval": approval.id, "run": approval.run_id},
    )
    notices.add(tx, notice)
    return notice


def withdraw(tx: Transaction, ref: RunRef) -> None:
    """Take back a run's open questions, because it ends."""
    taken = {"state": Answer.WITHDRAWN.value, "answered_at": tx.now}
    tx.later(WITHDRAW, {**its(tenant_id=ref.tenant_id, run_id=ref.run_id), **taken})


def get(tenant_id: TenantId, approval_id: ApprovalId) -> Question[Approval]:
    """Read a question. Raises NotFoundError."""
    statement = sa.select(approvals).where(
        approvals.c.tenant_id == tenant_id, approvals.c.id == approval_id
    )

    def ask(tx: Transaction) -> Approval:
        row = tx.execute(statement).first()
        if row is None:
            raise NotFoundError(what="approval", name=approval_id)
        return _approval(row)

    return ask


def listed(
    tenant_id: TenantId, *, state: Answer | None = Answer.OPEN, limit: int = 50
) -> Question[list[Approval]]:
    """List questions, those that end soonest first."""
    statement = sa.select(approvals).where(approvals.c.tenant_id == tenant_id)
    if state is not None:
        statement = statement.where(approvals.c.state == state.value)
    statement = statement.order_by(approvals.c.expires_at, approvals.c.id).limit(limit)
    return lambda tx: [_approval(row) for row in tx.execute(statement)]


def of_run(tx: Transaction, ref: RunRef) -> list[Approval]:
    """List all questions of a run, oldest first."""
    mine = its(tenant_id=ref.tenant_id, run_id=ref.run_id)
    return [_approval(row) for row in tx.execute(READ_OF_RUN, mine)]


def _settle(
    tx: Transaction,
    approval: Approval,
    to: Answer,
    *,
    by: str,
    reason: str,
    at_most: datetime | None = None,
) -> bool:
    guard = sa.and_(
        approvals.c.tenant_id == approval.tenant_id,
        approvals.c.id == approval.id,
        approvals.c.state == Answer.OPEN.value,
    )
    if at_most is not None:
        guard = sa.and_(guard, approvals.c.expires_at > at_most)
    values = {"state": to.value, "answered_at": tx.now, "answered_by": by, "reason": reason}
    return tx.changed(sa.update(approvals).where(guard).values(**values))


def _nudge(tx: Transaction, ref: RunRef) -> None:
    """Have the run driven: from the queue, or by telling its driver that something came in."""
    row = lock(tx, ref)
    if row.state is RunState.WAITING:
        move(tx, ref, RunState.QUEUED)
    elif row.state is RunState.RUNNING:
        change_run(tx, ref, wake_at=tx.now)


def _refused(found: Approval) -> StateError:
    is_late = found.state is Answer.OPEN
    return StateError(
        what=f"Approval {found.id}",
        problem="has expired" if is_late else f"was settled before ({found.state.value})",
        remedy="`quell approvals` lists the questions that are open.",
    )


def _approval(row: sa.Row[Any]) -> Approval:
    return Approval(
        tenant_id=TenantId(row.tenant_id),
        id=ApprovalId(row.id),
        run_id=RunId(row.run_id),
        step_key=StepKey(row.step_key),
        question=msgspec.convert(row.question, QuestionBody),
        state=Answer(row.state),
        who=row.who,
        otherwise=Otherwise(row.otherwise),
        asked_at=row.asked_at,
        expires_at=row.expires_at,
        answered_at=row.answered_at,
        answered_by=row.answered_by or "",
        reason=row.reason,
    )
