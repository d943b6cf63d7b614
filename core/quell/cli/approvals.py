"""`quell approvals`, `approve` and `deny`: questions to people and their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.output import json_option, say, show
from quell.cli.tenants import tenant_option

if TYPE_CHECKING:
    from quell.domain.approval import Answer
    from quell.journal.approvals import Approval

__all__ = ["approvals", "approve", "deny"]


@click.command()
@tenant_option
@click.option("--all", "show_all", is_flag=True, help="Show questions that were settled too.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@json_option
@pass_invocation
def approvals(invocation: Invocation, tenant: str | None, show_all: bool, limit: int) -> None:
    """List open questions, those that end soonest first."""
    from quell.domain.approval import Answer
    from quell.journal import approvals as journal_approvals

    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        question = journal_approvals.listed(
            chosen.id, state=None if show_all else Answer.OPEN, limit=limit
        )
        found = runtime.journal.ask_now(question)
    rows = [_row(one) for one in found]
    columns = ("id", "action", "targets", "why", "who", "expires_at", "state")
    show(rows, columns, empty="no open questions")


def _row(approval: Approval) -> dict[str, Any]:
    targets = approval.question.targets
    reasons = {str(reason.text) for target in targets for reason in target.reasons}
    return {
        "id": approval.id,
        "action": approval.question.action,
        "targets": [target.name or target.target_id for target in targets],
        "target_ids": [target.target_id for target in targets],
        "why": sorted(reasons),
        "who": approval.who,
        "otherwise": approval.otherwise.value,
        "asked_at": approval.asked_at,
        "expires_at": approval.expires_at,
        "state": approval.state.value,
        "answered_by": approval.answered_by,
        "run": approval.run_id,
        "step": approval.step_key,
    }


@click.command()
@click.argument("approval_id")
@tenant_option
@click.option("--reason", default="", help="Why, for the record.")
@json_option
@pass_invocation
def approve(invocation: Invocation, approval_id: str, tenant: str | None, reason: str) -> None:
    """Approve exactly what a question shows.

    The guard still looks again before anything is done.
    """
    from quell.domain.approval import Answer

    _answer(invocation, approval_id, tenant, Answer.APPROVED, reason)


@click.command()
@click.argument("approval_id")
@tenant_option
@click.option("--reason", default="", help="Why, for the record.")
@json_option
@pass_invocation
def deny(invocation: Invocation, approval_id: str, tenant: str | None, reason: str) -> None:
    """Deny what a question asks.

    Its targets end up in the step's `denied`.
    """
    from quell.domain.approval import Answer

    _answer(invocation, approval_id, tenant, Answer.DENIED, reason)


def _answer(
    invocation: Invocation, approval_id: str, tenant: str | None, answer: Answer, reason: str
) -> None:
    from quell.domain.ids import ApprovalId
    from quell.journal import approvals as journal_approvals

    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        run = runtime.journal.commit_now(
            journal_approvals.answer(
                chosen.id,
                ApprovalId(approval_id),
                answer,
                by=invocation.person,
                chain=runtime.worker_id,
                reason=reason,
            )
        )
    text = f"{answer.value}: {approval_id}; run {run.run_id} goes on"
    say(text, approval=approval_id, answer=answer.value, run=run.run_id)
