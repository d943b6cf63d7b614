"""The actions that playbooks may use, by name and system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from quell.domain.action import Action

__all__ = ["INCIDENT", "Catalogue", "target_kind"]

#: what actions without an entity class act on
INCIDENT = "incident"


def target_kind(action: Action) -> str:
    """Give the kind of entity that an action acts on, or `incident`."""
    if action.target is None:
        return INCIDENT
    info = msgspec.inspect.type_info(action.target)
    return str(getattr(info, "tag", None) or action.target.__name__.lower())


class Catalogue:
    """Actions as plugins offer them; immutable."""

    def __init__(self, actions: Sequence[Action]) -> None:
        found: dict[str, tuple[Action, ...]] = {}
        for action in actions:
            found[action.name] = (*found.get(action.name, ()), action)
        self._actions: Mapping[str, tuple[Action, ...]] = MappingProxyType(found)

    def find(self, name: str, system: str | None = None) -> tuple[Action, ...]:
        """List the implementations of an action, of one system where named; may be empty."""
        actions = self._actions.get(name, ())
        return tuple(action for action in actions if system in (None, action.system))

    def names(self) -> tuple[str, ...]:
        """List the names of all actions, sorted."""
        return tuple(sorted(self._actions))

    def actions(self) -> tuple[Action, ...]:
        """List every implementation of every action."""
        return tuple(action for actions in self._actions.values() for action in actions)
