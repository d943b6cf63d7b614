"""What the worker gives to a child process that asks: settings, quota, and what it may reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from quell.domain.action import Action, Resolver
from quell.domain.offers import Bridge
from quell.domain.ports import OperationClass, Quota
from quell.errors import NotFoundError, RequestRefused
from quell.isolation.loaded import CORE_BRIDGES
from quell.isolation.wire import Ask
from quell.plugins import Registry
from quell.plugins.offers import HOOKS, name_of_kind

__all__ = ["Answering", "Owners", "WorkerConnectors"]

T = TypeVar("T")


class WorkerConnectors(Protocol):
    """The connectors of one tenant, as they are in the worker."""

    quota: Quota

    def get(self, kind: Any, identity: str) -> Any:
        """Give a connector."""
        ...

    @property
    def section(self) -> Any:
        """Give what reads this tenant's values of a section's model."""
        ...


class Leave(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a child asks the quota."""

    cost: int = 1
    for_containment: bool = False


class Owners:
    """Which plugin offers what."""

    def __init__(self, registry: Registry) -> None:
        self._names: dict[str, dict[str, str]] = {}
        for report in registry.plugins:
            for kind, names in report.offers.items():
                owned = self._names.setdefault(kind, {})
                for name in names:
                    owned.setdefault(name, report.name)

    @property
    def connectors(self) -> Mapping[str, str]:
        """Give the plugin of each connector, by the connector's name."""
        return self._names.get("connectors", {})

    def of_action(self, action: Action) -> str | None:
        """Find the plugin that offers an action; the core's own have none."""
        return self._names.get("actions", {}).get(HOOKS["quell_actions"].name(action))

    def of_resolver(self, resolver: Resolver) -> str | None:
        """Find the plugin that offers a look-up."""
        return self._names.get("resolvers", {}).get(HOOKS["quell_resolvers"].name(resolver))


class Answering:
    """Answers what child processes of one tenant ask; believes nothing of it."""

    def __init__(self, registry: Registry, connectors: WorkerConnectors) -> None:
        self._connectors = connectors
        self._models = {name_of_kind(one.model): one.model for one in registry.sections}
        self._bridged: dict[str, tuple[type, Bridge]] = {
            name_of_kind(kind): (kind, spec.bridge)
            for kind, spec in registry.connectors.items()
            if spec.bridge is not None
        }
        self._bridged |= {name_of_kind(kind): (kind, one) for kind, one in CORE_BRIDGES.items()}
        self._stateless = {
            name_of_kind(kind) for kind, spec in registry.connectors.items() if spec.is_stateless
        }

    async def answer(self, question: Ask, identity: str) -> Any:
        """Give what a call of an identity asks for. Raises QuellError."""
        if question.about == "settings":
            return self._settings(question.name)
        if question.about == "bridge":
            return await self._over_bridge(question, identity)
        operation = OperationClass(api=question.identity, name=question.name)
        if question.about == "pause":
            seconds = _read(question.body, float)
            return await self._connectors.quota.pause(operation, seconds)
        leave = _read(question.body, Leave)
        return await self._connectors.quota.acquire(
            operation, cost=leave.cost, for_containment=leave.for_containment
        )

    def _settings(self, name: str) -> Any:
        if name not in self._models:
            raise NotFoundError(what="settings section", name=name)
        return self._connectors.section(self._models[name])

    def is_complete(self, kind: type) -> bool:
        """Tell whether a child process has all of a connector: over its bridge, or built anew."""
        name = name_of_kind(kind)
        return name in self._bridged or name in self._stateless

    async def _over_bridge(self, question: Ask, identity: str) -> Any:
        if question.name not in self._bridged:
            raise NotFoundError(what="connector", name=question.name)
        if question.identity != identity:
            # each identity has its own permissions; an action has one
            raise RequestRefused(
                endpoint=question.name,
                problem=f"not sent: the action is made as {identity!r}, not as another identity",
            )
        kind, bridge = self._bridged[question.name]
        return await bridge.serve(self._connectors.get(kind, identity), question.body)


def _read(body: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise RequestRefused(endpoint="quota", problem="cannot be read") from error
