"""A run in one worker's hands: what is known about it, and how its expressions see it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from quell.domain.ids import StepKey
from quell.domain.outcome import Succeeded
from quell.domain.playbook import Step
from quell.domain.ports import EntitySummary
from quell.domain.run import EffectState, TargetResult
from quell.domain.view import IncidentView
from quell.engine.match import believed_view
from quell.engine.order import ordered_entities
from quell.engine.plan import Node
from quell.engine.registry import Program
from quell.journal.approvals import Approval
from quell.journal.effects import EffectRow
from quell.journal.runs import Claim, RunRef, RunRow
from quell.journal.steps import StepRow, TargetEntry
from quell.playbooks import ResultItem, RunView, StepResults

__all__ = ["INCIDENT", "RunContext", "digest", "effect_key", "entry_of"]

#: kind of target of actions on the run's incident
INCIDENT = "incident"

RESULTS: Mapping[EffectState, TargetResult] = {
    EffectState.DONE: TargetResult.DONE,
    EffectState.ALREADY: TargetResult.ALREADY,
    EffectState.DENIED: TargetResult.DENIED,
    EffectState.FAILED: TargetResult.FAILED,
    EffectState.UNKNOWN: TargetResult.UNKNOWN,
}


@dataclass(slots=True, kw_only=True)
class RunContext:
    """Everything about a run while it is driven. Changed only by what was handed to the journal."""

    row: RunRow
    program: Program
    #: None for a run without an incident
    view: IncidentView | None
    known: dict[StepKey, StepRow] = field(default_factory=dict[StepKey, StepRow])
    effects: dict[str, EffectRow] = field(default_factory=dict[str, EffectRow])
    approvals: list[Approval] = field(default_factory=list[Approval])
    entities: Mapping[str, EntitySummary] = field(default_factory=dict[str, EntitySummary])
    #: nobody has let it go: what it does follows from what the product that detects says
    is_by_itself: bool = False
    #: effects that this drive wrote down and has certainly not sent
    unsent: set[str] = field(default_factory=set[str])
    is_cancelled: bool = False
    is_nudged: bool = False

    @classmethod
    def of(
        cls,
        claim: Claim,
        program: Program,
        view: IncidentView | None,
        *,
        is_strong: bool = False,
    ) -> RunContext:
        """Build the context of a run that was just claimed."""
        options = claim.run.options
        seen = {one.id: one for one in view.entities} if view is not None else {}
        context = cls(
            row=claim.run,
            program=program,
            view=view,
            entities={**ordered_entities(options.order), **seen},
            is_by_itself=is_strong and not (options.released_by or options.ordered_by),
        )
        context.take(claim)
        return context

    def take(self, claim: Claim) -> None:
        """Take over what the journal says now."""
        self.row = claim.run
        self.known = {row.key: row for row in claim.steps}
        self.effects = {row.key: row for row in claim.effects}
        self.approvals = list(claim.approvals)
        # the run of an incident that was merged away stops, too; what it sent is settled first
        is_merged = self.view is not None and self.view.merged_into is not None
        self.is_cancelled = claim.run.cancel_requested or is_merged
        self.is_nudged = False

    @property
    def ref(self) -> RunRef:
        """Give the run's reference."""
        return self.row.ref

    @property
    def steps(self) -> tuple[Step, ...]:
        """Give the playbook's steps."""
        return self.program.playbook.steps

    def effects_of(self, key: StepKey) -> list[EffectRow]:
        """List the effects of one step."""
        return [row for row in self.effects.values() if row.step_key == key]

    def deciding_view(self, node: Node) -> RunView:
        """Give what a step's conditions and targets are decided by."""
        view = self.run_view(node)
        if not self.is_by_itself:
            return view
        return replace(view, incident=believed_view(view.incident))

    def run_view(self, node: Node) -> RunView:
        """Give what a step's expressions may look at."""
        if self.view is None:
            raise RuntimeError("a run without an incident evaluates nothing")
        results: dict[str, StepResults] = {}
        # the lists around it from the outermost inwards: inner names win
        for prefix in _prefixes(node.prefix):
            for key, row in self.known.items():
                name = key[len(prefix) :]
                if key.startswith(prefix) and _is_id(name) and row.state.is_settled:
                    results[name] = self._results(row)
        return RunView(incident=self.view, results=results, bindings=node.bindings)

    def _results(self, row: StepRow) -> StepResults:
        lists: dict[str, list[ResultItem]] = {}
        for entry in row.results:
            summary = self.entities.get(entry.target_id)
            item = ResultItem(
                entity_id=entry.target_id,
                entity=summary.entity if summary is not None else None,
                reason=entry.reason,
                data=entry.data,
            )
            lists.setdefault(entry.result.value, []).append(item)
        return StepResults(**{name: tuple(items) for name, items in lists.items()})


def entry_of(row: EffectRow, target_id: str) -> TargetEntry:
    """Give the result list entry of a settled effect, for the target as the incident has it."""
    data: dict[str, Any] = row.outcome.data if isinstance(row.outcome, Succeeded) else {}
    return TargetEntry(target_id=target_id, result=RESULTS[row.state], reason=row.reason, data=data)


def effect_key(ref: RunRef, step: StepKey, target_id: str, action: str) -> str:
    """Give the idempotency key of an effect: the same for every attempt."""
    return digest(ref.tenant_id, ref.run_id, step, target_id, action)


def digest(*parts: object) -> str:
    """Give a short name for exactly these values."""
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:32]


def _prefixes(prefix: str) -> list[str]:
    """List the prefixes of the lists around a step: empty, `a[1].`, `a[1].b[0].`."""
    parts = prefix.split(".")[:-1]
    return ["".join(f"{part}." for part in parts[:count]) for count in range(len(parts) + 1)]


def _is_id(name: str) -> bool:
    return "." not in name and "[" not in name
