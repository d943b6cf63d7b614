"""What the engine counts, once it is on record: claims, ends, decisions and outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from quell.domain.decision import Allowed, Decision
from quell.domain.ids import TenantId
from quell.domain.outcome import Failed
from quell.domain.run import RunState
from quell.engine.context import RunContext
from quell.journal.effects import EffectChange
from quell.journal.intents import Intended, Wanted
from quell.journal.runs import Claim
from quell.meters import (
    EFFECT_SECONDS,
    EFFECTS,
    GUARDED,
    RETRIES,
    RUN_WAIT,
    RUNS_ENDED,
    TAKEOVERS,
)

__all__ = ["count_changes", "count_claim", "count_decisions", "count_end"]


def count_claim(claim: Claim) -> None:
    """Count how long a run waited for its first claim, and claims after a worker that was lost."""
    run = claim.run
    if run.fence == 1:
        RUN_WAIT.note((claim.at - run.created_at).total_seconds(), run.tenant_id)
    if run.takeovers:
        TAKEOVERS.add(run.tenant_id)


def count_end(tenant_id: TenantId, state: RunState) -> None:
    """Count a run that this worker ended or parked."""
    if state.is_final or state is RunState.PARKED:
        RUNS_ENDED.add(tenant_id, state.value)


def count_decisions(
    tenant_id: TenantId, action: str, wanted: Sequence[Wanted], intended: Intended
) -> None:
    """Count what the guard said other than yes, and effects that ended with its word."""
    for decision in intended.decisions:
        if not isinstance(decision, Allowed):
            for reason in decision.reasons:
                GUARDED.add(tenant_id, action, _word(decision), reason.code)
    for one in wanted:
        row = intended.effects.get(one.key)
        if row is not None and row.state.is_settled:
            EFFECTS.add(tenant_id, action, row.state.value)


def count_changes(
    context: RunContext, action: str, changes: Sequence[EffectChange], now: datetime
) -> None:
    """Count outcomes and how long they took, and what is going to be tried again."""
    tenant_id = context.ref.tenant_id
    for change in changes:
        if change.state is not None and change.state.is_settled:
            EFFECTS.add(tenant_id, action, change.state.value)
            took = now - context.effects[change.key].decided_at
            EFFECT_SECONDS.note(max(0.0, took.total_seconds()), tenant_id, action)
        elif change.state is None and isinstance(change.outcome, Failed):
            RETRIES.add(tenant_id, action)


def _word(decision: Decision) -> str:
    return str(type(decision).__struct_config__.tag)
