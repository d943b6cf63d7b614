"""What a playbook would do to an incident as it stands: nothing is called and nothing written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from quell.errors import ExpressionError

if TYPE_CHECKING:
    from quell.domain.playbook import Step
    from quell.domain.view import IncidentView
    from quell.playbooks import PlaybookProgram, RunView, StepResults

__all__ = ["starts_here", "step_rows"]

#: what stands where an answer needs what a product will say
LATER = "known when it runs"


def starts_here(program: PlaybookProgram, view: IncidentView) -> str:
    """Say whether the playbook's `when` holds for the incident."""
    from quell.playbooks import RunView

    try:
        return "yes" if program.holds(RunView(incident=view)) else "no: `when` does not hold"
    except ExpressionError as error:
        return f"a person decides: {error.fields['problem']}"


def step_rows(program: PlaybookProgram, view: IncidentView) -> list[dict[str, Any]]:
    """Describe each step, as if every step before it succeeded on all of its targets."""
    from quell.playbooks import RunView

    results: dict[str, StepResults] = {}
    rows: list[dict[str, Any]] = []
    for step in program.playbook.steps:
        run = RunView(incident=view, results=dict(results))
        targets = _targets(program, step, run)
        rows.append(_row(program, step, run, targets))
        results[step.id] = _assumed(view, targets or ())
    return rows


def _row(
    program: PlaybookProgram, step: Step, run: RunView, targets: tuple[str, ...] | None
) -> dict[str, Any]:
    actions = program.catalogue.find(step.do or "", step.system)
    return {
        "step": step.id,
        "does": step.do or ("for each" if step.for_each else "wait"),
        "effect": actions[0].effect.value if actions else "",
        "system": sorted({action.system for action in actions}),
        "targets": LATER if targets is None else list(_names(run.incident, targets)),
        "target_ids": list(targets or ()),
        "with": _params(program, step, run),
        "runs": _condition(program, step, run),
        "asks": step.ask.who if step.ask else "",
    }


def _targets(program: PlaybookProgram, step: Step, run: RunView) -> tuple[str, ...] | None:
    try:
        return program.targets(step, run)
    except ExpressionError:
        return None


def _params(program: PlaybookProgram, step: Step, run: RunView) -> Any:
    try:
        return program.params(step, run) if step.do else {}
    except ExpressionError:
        return LATER


def _condition(program: PlaybookProgram, step: Step, run: RunView) -> str:
    try:
        return "yes" if program.condition(step, run) else "no"
    except ExpressionError:
        return LATER


def _names(view: IncidentView, ids: tuple[str, ...]) -> Iterator[str]:
    known = {one.id: one.entity for one in view.entities}
    for found in ids:
        entity = known[found]
        yield entity.name or next((alias.value for alias in entity.aliases()), found)


def _assumed(view: IncidentView, ids: tuple[str, ...]) -> StepResults:
    from quell.playbooks import ResultItem, StepResults

    known = {one.id: one.entity for one in view.entities}
    return StepResults(done=tuple(ResultItem(entity_id=one, entity=known.get(one)) for one in ids))
