"""What a child process has loaded: the plugin whose action it runs, and those it stands on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from quell.domain.action import Action, Resolver
from quell.domain.offers import Bridge, ConnectorSpec
from quell.domain.ports import IncidentDesk
from quell.errors import NotFoundError
from quell.isolation.desk import DESK_BRIDGE
from quell.isolation.wire import decoder
from quell.plugins import Lock, PluginState, Registry, list_plugins, load_plugins
from quell.plugins.offers import name_of_kind

__all__ = ["CORE_BRIDGES", "LoadedPlugins"]

#: connectors of the core itself, and how a child process uses them
CORE_BRIDGES: Mapping[type, Bridge] = {IncidentDesk: DESK_BRIDGE}


class LoadedPlugins:
    """Plugins loaded one by one, each held to what `plugins.lock` says of it."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._registries: dict[str, Registry] = {}
        self._problems: dict[str, str] = {}

    def load(self, plugin: str) -> str:
        """Load a plugin, once. Gives what keeps it from being used; empty for nothing."""
        if plugin not in self._problems:
            found = [one for one in list_plugins() if one.name == plugin]
            registry = load_plugins(self._lock, found)
            report = next((one for one in registry.plugins if one.name == plugin), None)
            if report is None:
                self._problems[plugin] = f"Plugin {plugin} is not installed"
            elif report.state is not PluginState.ENABLED:
                self._problems[plugin] = f"Plugin {plugin} {report.problem or 'is not enabled'}"
            else:
                self._problems[plugin] = ""
                self._registries[plugin] = registry
        return self._problems[plugin]

    def warm(self) -> None:
        """Have what every call needs made once, before the first child process is."""
        for registry in self._registries.values():
            for action in registry.actions:
                decoder(action.params)
        asyncio.run(asyncio.sleep(0))

    def action(self, plugin: str, name: str, system: str) -> Action:
        """Give an action that a plugin offers. Raises NotFoundError."""
        for action in self._registry(plugin).find_actions(name, system):
            return action
        raise NotFoundError(what="action", name=f"{name} ({system})")

    def resolver(self, plugin: str, target: str, system: str) -> Resolver:
        """Give the look-up that a plugin offers for an entity class. Raises NotFoundError."""
        for resolver in self._registry(plugin).resolvers:
            if resolver.target.__name__ == target and resolver.system == system:
                return resolver
        raise NotFoundError(what="resolver", name=f"{target} ({system})")

    def connector(self, kind: type, owners: Mapping[str, str]) -> ConnectorSpec:
        """Tell how a connector is built; loads the plugin that offers it. Raises NotFoundError."""
        if kind in CORE_BRIDGES:
            return ConnectorSpec(kind=kind, build=lambda _: None, bridge=CORE_BRIDGES[kind])
        owner = owners.get(name_of_kind(kind))
        spec = self._registry(owner).connectors.get(kind) if owner else None
        if spec is None:
            raise NotFoundError(
                what="connector",
                name=f"{kind.__module__}.{kind.__qualname__}",
                remedy="Enable the plugin that offers it: `quell plugins`.",
            )
        return spec

    def _registry(self, plugin: str) -> Registry:
        problem = self.load(plugin)
        if problem:
            raise NotFoundError(what="plugin", name=plugin, remedy=f"{problem}.")
        return self._registries[plugin]
