"""What the engine asks of its surroundings: actions, look-ups, connectors, compiled playbooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from quell.domain.action import Action, Resolver
from quell.domain.playbook import Playbook, Step
from quell.playbooks import Catalogue, RunView

__all__ = ["EngineRegistry", "Program"]


class EngineRegistry(Protocol):
    """What plugins offer to one tenant."""

    @property
    def catalogue(self) -> Catalogue:
        """Give the actions that playbooks are checked against."""
        ...

    def actions(self, name: str, system: str | None = None) -> Sequence[Action]:
        """List the implementations of an action."""
        ...

    def resolver(self, target: type) -> Resolver | None:
        """Find how entities of a class are looked up."""
        ...

    def connectors(self, function: Callable[..., Any], identity: str) -> Mapping[str, Any]:
        """Give the connectors that a function asks for, by parameter name."""
        ...


class Program(Protocol):
    """A playbook ready to be run; `quell.playbooks.PlaybookProgram` is one."""

    @property
    def playbook(self) -> Playbook:
        """Give what was compiled."""
        ...

    def targets(self, step: Step, view: RunView) -> tuple[str, ...]:
        """Give the canonical ids that a step is to act on."""
        ...

    def condition(self, step: Step, view: RunView) -> bool:
        """Tell whether a step's `when` holds."""
        ...

    def items(self, step: Step, view: RunView) -> list[Any]:
        """Give the items of a `for_each`."""
        ...

    def params(self, step: Step, view: RunView) -> dict[str, Any]:
        """Fill a step's parameters."""
        ...
