"""What a run shows to its playbook's expressions: the incident, results so far, loop items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quell.domain.entity import Entity
from quell.domain.view import IncidentView

__all__ = ["ResultItem", "RunView", "StepResults", "TargetItem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultItem:
    """One target of a step, as it ended: the entity (None for the incident), why, what was found."""

    entity_id: str
    entity: Entity | None = None
    reason: str = ""
    #: what `Succeeded.data` held
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResults:
    """A step's targets by how they ended; all empty for a step that was skipped whole."""

    done: tuple[ResultItem, ...] = ()
    already: tuple[ResultItem, ...] = ()
    denied: tuple[ResultItem, ...] = ()
    failed: tuple[ResultItem, ...] = ()
    unknown: tuple[ResultItem, ...] = ()
    skipped: tuple[ResultItem, ...] = ()

    @property
    def ok(self) -> tuple[ResultItem, ...]:
        """Give those in the wanted state: done, and already so."""
        return self.done + self.already


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """Everything that an expression may look at.

    `results` holds the steps that have ended, by id; inside a body, the body's own steps are
    those of the same item. `bindings` holds the items of `for_each` by their `as` names, as
    `PlaybookProgram.items` gave them.
    """

    incident: IncidentView
    results: Mapping[str, StepResults] = field(default_factory=dict[str, StepResults])
    bindings: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetItem:
    """An entity that an expression selected."""

    entity_id: str
    kind: str
