"""What a person is told about effects that they ordered or took back."""

from __future__ import annotations

import msgspec

from quell.domain.ids import RunId
from quell.domain.run import EffectState, RunState
from quell.journal.effects import EffectRow
from quell.journal.runs import Claim, RunRow
from quell.journal.steps import StepRow

__all__ = ["ActRequest", "EffectReport", "report_of_run"]


class ActRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One action on one entity, ordered by a person."""

    action: str
    #: which kind of entity, e.g. `device`
    kind: str
    #: any of its names, as a person would write it
    target: str
    by: str
    reason: str = ""
    system: str | None = None
    params: dict[str, object] = msgspec.field(default_factory=dict[str, object])
    is_dry: bool = False


class EffectReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one effect stands."""

    action: str
    target_id: str
    #: a name for people; attacker-controlled
    name: str
    #: done, already, denied, failed, unknown, pending, asked, kept or read
    result: str
    reason: str = ""
    key: str = ""
    run_id: RunId | None = None
    #: the question that has to be answered first, if there is one
    approval_id: str | None = None
    data: dict[str, object] = msgspec.field(default_factory=dict[str, object])


def report_of_run(snapshot: Claim) -> list[EffectReport]:
    """Report on everything that a run did, asked or has under way."""
    asked = [
        EffectReport(
            action=approval.question.action,
            target_id=target.target_id,
            name=target.name,
            result="asked",
            reason="; ".join(reason.text for reason in target.reasons),
            run_id=snapshot.run.id,
            approval_id=approval.id,
        )
        for approval in snapshot.approvals
        if approval.state.value == "open"
        for target in approval.question.targets
    ]
    waiting = {one.target_id for one in asked}
    effects = [_effect(row) for row in snapshot.effects if row.target_id not in waiting]
    read = [one for step in snapshot.steps for one in _read(step, snapshot.run, effects)]
    return [*effects, *asked, *read]


def _effect(row: EffectRow) -> EffectReport:
    is_open = row.state in {EffectState.INTENDED, EffectState.PENDING}
    return EffectReport(
        action=row.action,
        target_id=row.target_id,
        name=str(row.target.get("name") or row.target_id),
        result="pending" if is_open else row.state.value,
        reason=row.reason,
        key=row.key,
        run_id=row.run_id,
    )


def _read(step: StepRow, run: RunRow, effects: list[EffectReport]) -> list[EffectReport]:
    """Report what a step found that has no effects on record: it only read, or it failed whole."""
    if effects or run.options.order is None:
        return []
    action = run.options.order.action
    if step.error and not step.results:
        ended = "failed" if run.state is RunState.FAILED else step.state.value
        return [
            EffectReport(
                action=action, target_id="", name="", result=ended, reason=step.error, run_id=run.id
            )
        ]
    return [
        EffectReport(
            action=action,
            target_id=entry.target_id,
            name=entry.target_id,
            result=entry.result.value,
            reason=entry.reason,
            run_id=run.id,
            data=dict(entry.data),
        )
        for entry in step.results
    ]
