"""One action ordered outside of any playbook, run as if it were a playbook of one step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from quell.domain.entity import Alias, Entity, EntityKind
from quell.domain.playbook import HoldTerms, Playbook, Step
from quell.domain.ports import EntitySummary
from quell.journal.run_rows import ActOrder
from quell.playbooks import RunView

__all__ = ["OrderProgram", "ordered_entities", "target_body"]

#: id of the one step
STEP = "act"


class OrderProgram:
    """The program of a run that was ordered: one step, on the targets named in the order."""

    def __init__(self, playbook_id: str, order: ActOrder) -> None:
        self._order = order
        step = Step(id=STEP, do=order.action, system=order.system or None, hold=HoldTerms())
        self.playbook = Playbook(id=playbook_id, language=1, digest="", trigger=None, steps=(step,))

    def targets(self, step: Step, view: RunView) -> tuple[str, ...]:
        """Give the targets that the order names."""
        return tuple(str(target["id"]) for target in self._order.targets)

    def condition(self, step: Step, view: RunView) -> bool:
        """Hold always."""
        return True

    def items(self, step: Step, view: RunView) -> list[Any]:
        """Give none: there is no `for_each` here."""
        return []

    def params(self, step: Step, view: RunView) -> dict[str, Any]:
        """Give the parameters as ordered; nothing in them is evaluated."""
        return dict(self._order.params)


def target_body(
    target_id: str, entity: Entity | None, aliases: tuple[Alias, ...], *, kind: str, name: str
) -> dict[str, Any]:
    """Write a target down so that it can be looked up again, whatever becomes of the incident."""
    return {
        "id": target_id,
        "kind": kind,
        "name": name,
        "entity": msgspec.to_builtins(entity),
        "aliases": msgspec.to_builtins(aliases),
    }


def ordered_entities(order: ActOrder | None) -> Mapping[str, EntitySummary]:
    """Read the entities that an order names."""
    if order is None:
        return {}
    found = [read_target(body) for body in order.targets]
    return {one.id: one for one in found if one is not None}


def read_target(body: Mapping[str, Any]) -> EntitySummary | None:
    """Read a target that was written down; None for an incident."""
    if body.get("entity") is None:
        return None
    entity: Entity = msgspec.convert(body["entity"], Entity)
    return EntitySummary(id=str(body["id"]), kind=EntityKind(str(body["kind"])), entity=entity)
