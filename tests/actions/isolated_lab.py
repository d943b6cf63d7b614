"""The lab with every function of a plugin called in a child process, as the engine has it done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from tests.actions.conftest import SECTIONS, Lab, OpenQuota

from quell import (
    Action,
    Call,
    Observation,
    Outcome,
    Pending,
    Resolution,
    Resolver,
    Target,
    Unresolved,
)
from quell.domain.entity import Entity
from quell.domain.ids import TenantId
from quell.domain.ports import Quota
from quell.domain.secret import decode_secret
from quell.isolation.isolation import ChildProcesses, Isolation
from quell.plugins import Lock, load_plugins
from quell.settings import IsolationSettings

if TYPE_CHECKING:
    from quell_microsoft.simulator.server import RunningSimulator

__all__ = ["IsolatedLab"]


class LabConnectors:
    """The lab's connectors, as a worker has them."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.quota: Quota = OpenQuota()

    def get(self, kind: Any, identity: str) -> Any:
        """Give a connector."""
        return self._lab.connector(kind, identity)

    def section(self, model: Any) -> Any:
        """Give a section's values."""
        values = self._lab.sections.get(SECTIONS[model], {})
        return msgspec.convert(values, model, dec_hook=decode_secret)


class IsolatedLab(Lab):
    """A lab whose worker calls nothing itself."""

    def __init__(self, simulator: RunningSimulator) -> None:
        super().__init__(simulator)
        lock = Path("/nonexistent/plugins.lock")
        self.processes = ChildProcesses(IsolationSettings(), lock)
        self.registry = load_plugins(Lock(lock))
        self.isolation = self.isolated_by(self.processes)

    def isolated_by(self, processes: ChildProcesses) -> Isolation:
        """Give the tenant's isolation in these child processes."""
        return Isolation(processes, self.registry, LabConnectors(self), TenantId("t"), self.clock)

    async def close(self) -> None:
        """Close what was opened, and leave no process."""
        await self.processes.close()
        await super().close()

    async def resolve(self, resolver: Resolver, entity: Entity) -> Resolution | Unresolved:
        """Look an entity up."""
        return await self.isolation.resolve(resolver, entity)

    async def observe(self, action: Action, target: Target) -> Observation:
        """Ask for the present state."""
        found = await self.isolation.observe(action, target)
        assert found is not None
        return found

    async def act(self, action: Action, call: Call[Any]) -> list[Outcome]:
        """Make a call."""
        outcomes: Sequence[Outcome] = await self.isolation.act(action, call, action.timeout)
        return list(outcomes)

    async def poll(self, action: Action, pending: Outcome) -> Outcome:
        """Ask about an operation."""
        assert isinstance(pending, Pending), pending
        outcome = await self.isolation.poll(action, pending.operation)
        assert outcome is not None
        return outcome

    async def cancel(self, action: Action, pending: Outcome) -> None:
        """Cancel an operation."""
        assert isinstance(pending, Pending), pending
        assert await self.isolation.cancel(action, pending.operation)
