"""Steps of a run: where each stands, what was fixed when it began, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.ids import RunId, StepKey, TenantId, WorkerId
from quell.domain.run import StepState, TargetResult
from quell.journal import blobs
from quell.journal.prepared import its, same
from quell.journal.tables import attempts, steps
from quell.journal.upsert import insert_missing_later, insert_or_update_later
from quell.journal.writer import Question, Transaction

__all__ = [
    "StepPlan",
    "StepRow",
    "TargetEntry",
    "listed",
    "of_run",
    "record_attempt",
    "save",
]

OF_RUN = same(steps.c.tenant_id, steps.c.run_id)
READ = sa.select(steps).where(OF_RUN).order_by(steps.c.step_key)
#: what stays as it was when a step is written again
KEPT = frozenset({"tenant_id", "run_id", "step_key", "started_at"})
CHANGED = tuple(column.name for column in steps.columns if column.name not in KEPT)


class TargetEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One target in one of a step's result lists."""

    target_id: str
    result: TargetResult
    reason: str = ""
    #: what a reading action found
    data: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class StepPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was fixed when the step began, so that every later attempt means the same."""

    #: canonical ids
    targets: tuple[str, ...] = ()
    params: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    #: which system's implementation was chosen
    system: str = ""
    #: how many bodies a `for_each` has, and the item of each
    items: tuple[Any, ...] | None = None
    #: end of a `wait`, or of the pause before another attempt
    until: datetime | None = None


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    """A step as the journal has it."""

    key: StepKey
    state: StepState
    #: tries begun so far
    attempt: int = 0
    plan: StepPlan | None = None
    results: tuple[TargetEntry, ...] = ()
    wake_at: datetime | None = None
    error: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None


def save(tx: Transaction, tenant_id: TenantId, run_id: RunId, row: StepRow) -> None:
    """Write a step down as it stands now. The run's fence must have been checked."""
    values = {
        "tenant_id": tenant_id,
        "run_id": run_id,
        "step_key": row.key,
        "state": row.state.value,
        "attempt": row.attempt,
        "plan": blobs.keep(tx, tenant_id, row.plan),
        "results": blobs.keep(tx, tenant_id, row.results or None),
        "wake_at": row.wake_at,
        "error": row.error,
        "started_at": row.started_at or tx.now,
        "ended_at": tx.now if row.state.is_settled else None,
    }
    insert_or_update_later(tx, steps, values, update=CHANGED)


def of_run(tx: Transaction, tenant_id: TenantId, run_id: RunId) -> list[StepRow]:
    """List the steps of a run that have begun or were skipped."""
    return [_row(row) for row in tx.execute(READ, its(tenant_id=tenant_id, run_id=run_id))]


def listed(tenant_id: TenantId, run_id: RunId) -> Question[list[StepRow]]:
    """List the steps of a run that have begun or were skipped."""
    return lambda tx: of_run(tx, tenant_id, run_id)


def record_attempt(
    tx: Transaction,
    tenant_id: TenantId,
    run_id: RunId,
    *,
    step_key: StepKey,
    attempt: int,
    worker: WorkerId,
    outcome: str,
) -> None:
    """Write down that a worker tried a step, and how it went; the first record of a try stays."""
    row = {
        "tenant_id": tenant_id,
        "run_id": run_id,
        "step_key": step_key,
        "attempt": attempt,
        "worker": worker,
        "started_at": tx.now,
        "ended_at": tx.now,
        "outcome": outcome,
    }
    insert_missing_later(tx, attempts, row)


def _row(row: sa.Row[Any]) -> StepRow:
    return StepRow(
        key=StepKey(row.step_key),
        state=StepState(row.state),
        attempt=row.attempt,
        plan=msgspec.convert(row.plan, StepPlan) if row.plan is not None else None,
        results=msgspec.convert(row.results or (), tuple[TargetEntry, ...]),
        wake_at=row.wake_at,
        error=row.error,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
