"""A worker's part of the isolation, with a plugin that is laid out on disk as a stranger's would be."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.core.isolation.bad_plugin import SOURCE

from quell.domain.action import Action, Call, Target, connector_types
from quell.domain.entity import Device, EntityKind
from quell.domain.ids import TenantId
from quell.domain.outcome import Outcome
from quell.domain.ports import Clock, EntitySummary
from quell.domain.secret import Secret
from quell.engine.calls import Calls
from quell.isolation.isolation import ChildProcesses, Isolation
from quell.isolation.stems import StemProcess
from quell.playbooks import Catalogue
from quell.plugins import Lock, Registry, enable, load_plugins
from quell.runtime.clock import SystemClock
from quell.runtime.connectors import Connectors
from quell.testing import FreeQuota, make_call, make_target, write_distribution

TENANT = TenantId("contoso")
TOKEN = "the-token-of-the-switch"  # planted, to be looked for
NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A plugin that is installed and enabled."""

    registry: Registry
    lock_path: Path
    module: Any

    def action(self, name: str) -> Action:
        """Give one of its actions."""
        (action,) = self.registry.find_actions(name)
        return action


def install(folder: Path) -> Iterator[Plugin]:
    """Install and enable the stranger's plugin."""
    site = folder / "site"
    site.mkdir()
    module = f"switch_plugin_{next(NUMBERS)}"
    write_distribution(
        site, {f"{module}.py": SOURCE}, name="quell-switch", plugins={"switch": module}
    )
    before = list(sys.path)
    sys.path.insert(0, str(site))
    try:
        lock, _ = enable("switch", Lock(folder / "plugins.lock"))
        lock.write()
        registry = load_plugins(lock)
        yield Plugin(registry=registry, lock_path=lock.path, module=sys.modules[module])
    finally:
        sys.path[:] = before
        sys.modules.pop(module, None)


@dataclass(slots=True, kw_only=True)
class Stage:
    """One tenant of a worker whose actions can run in child processes."""

    plugin: Plugin
    processes: ChildProcesses
    calls: Calls
    connectors: Connectors
    quota: FreeQuota

    def call(
        self, name: str, *targets: Target, host: str = "pc-1", **params: Any
    ) -> tuple[Action, Call[Any]]:
        """Give an action and a call of it."""
        action = self.plugin.action(name)
        found = make_call(
            action, *(targets or (make_target(Device(host_name=host)),)), params=params
        )
        return action, _until(found, datetime.now(UTC) + timedelta(minutes=10))

    def call_with(self, seconds: float, name: str, **params: Any) -> tuple[Action, Call[Any]]:
        """Give an action, and a call of it that must not be made after so many seconds."""
        action, call = self.call(name, **params)
        return action, _until(call, datetime.now(UTC) + timedelta(seconds=seconds))

    def isolation_at(self, clock: Clock) -> Isolation:
        """Give the tenant's isolation by another clock."""
        registry = self.plugin.registry
        return Isolation(self.processes, registry, self.connectors, TENANT, clock)

    def stems(self) -> list[StemProcess]:
        """List the stem processes that live."""
        return list(self.processes.stems.living())

    async def act(
        self, name: str, *targets: Target, within: float = 60.0, host: str = "pc-1", **params: Any
    ) -> Outcome:
        """Call an action for one target."""
        action, call = self.call(name, *targets, host=host, **params)
        (outcome,) = await self.calls.act(action, call, timedelta(seconds=within))
        return outcome


def _until(call: Call[Any], deadline: datetime) -> Call[Any]:
    return replace(call, deadline=deadline)


class TenantOffers:
    """What the engine asks plugins for, with a tenant's connectors."""

    def __init__(self, registry: Registry, connectors: Connectors) -> None:
        self._registry = registry
        self._connectors = connectors
        self.catalogue = Catalogue(registry.actions)

    def actions(self, name: str, system: str | None = None) -> tuple[Action, ...]:
        """List the implementations of an action."""
        return self._registry.find_actions(name, system)

    def resolver(self, target: type) -> Any:
        """Find the stranger's look-up."""
        return next(one for one in self._registry.find_resolvers(target) if one.system == "switch")

    def connectors(self, function: Any, identity: str) -> dict[str, Any]:
        """Give the connectors that a function asks for."""
        return {
            name: self._connectors.get(kind, identity)
            for name, kind in connector_types(function).items()
        }


def make_stage(plugin: Plugin, processes: ChildProcesses, **settings: Any) -> Stage:
    """Put one tenant together."""
    quota, clock, tenant_id = FreeQuota(), SystemClock(), TENANT
    section = plugin.module.SwitchSettings(token=Secret(TOKEN), **settings)
    connectors = Connectors(
        tenant_id, plugin.registry.connectors, lambda model: section, clock, quota
    )
    isolation = Isolation(processes, plugin.registry, connectors, tenant_id, clock)
    calls = Calls(TenantOffers(plugin.registry, connectors), tenant_id, isolation)
    return Stage(
        plugin=plugin, processes=processes, calls=calls, connectors=connectors, quota=quota
    )


def summary(host: str) -> EntitySummary:
    """Give a device as an incident names it."""
    return EntitySummary(id="device-1", kind=EntityKind.DEVICE, entity=Device(host_name=host))
