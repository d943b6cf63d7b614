"""A fresh simulated tenant for every test of an action, and what the engine would do with it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
import pytest

import quell_defender
import quell_device
import quell_microsoft
import quell_user
from quell import (
    Action,
    Call,
    ConnectorSpec,
    Observation,
    OperationClass,
    Outcome,
    Pending,
    Resolution,
    Resolver,
    Target,
    Unresolved,
)
from quell.domain.action import connector_types
from quell.domain.entity import Entity
from quell.domain.ids import TenantId
from quell.domain.ports import Clock, Quota
from quell.domain.secret import decode_secret
from quell_microsoft.simulator.config import changed
from quell_microsoft.simulator.server import RunningSimulator, SimulatorOptions, start
from quell_microsoft.simulator.state.faults import FaultRule

T = TypeVar("T")
ParamsT = TypeVar("ParamsT", bound=msgspec.Struct)

SPECS: dict[type, ConnectorSpec] = {
    spec.kind: spec
    for plugin in (quell_microsoft, quell_defender, quell_device, quell_user)
    for spec in plugin.quell_connectors()
}
#: sections of settings by the model that declares them
SECTIONS: dict[Any, str] = {
    section.model: section.name
    for plugin in (quell_microsoft, quell_device, quell_user)
    for section in plugin.quell_settings()
}


class TenantClock:
    """The simulated tenant's own time."""

    def __init__(self, simulator: RunningSimulator) -> None:
        self._simulator = simulator

    def now(self) -> datetime:
        """Tell the time."""
        return self._simulator.tenant.clock.now()

    async def sleep(self, seconds: float) -> None:
        """Let the tenant's time pass."""
        self._simulator.tenant.clock.advance(seconds)


class OpenQuota:
    """Lets every call pass."""

    async def acquire(
        self, operation: OperationClass, *, cost: int = 1, for_containment: bool = False
    ) -> None:
        """Give leave at once."""

    async def pause(self, operation: OperationClass, seconds: float) -> None:
        """Note nothing."""


class Context:
    """What a connector is built with, for one identity."""

    tenant_id: TenantId
    identity: str
    clock: Clock
    quota: Quota

    def __init__(self, lab: Lab, identity: str) -> None:
        self._lab = lab
        self.tenant_id = TenantId("t")
        self.identity = identity
        self.clock = lab.clock
        self.quota = OpenQuota()

    def settings(self, model: type[T]) -> T:
        """Give a section's values."""
        values = self._lab.sections.get(SECTIONS[model], {})
        return msgspec.convert(values, model, dec_hook=decode_secret)

    def connector(self, kind: type[T], *, identity: str | None = None) -> T:
        """Give another connector."""
        found: T = self._lab.connector(kind, identity or self.identity)
        return found


class Lab:
    """One tenant over real HTTPS, and the part of the engine that a test of one action needs."""

    def __init__(self, simulator: RunningSimulator) -> None:
        self.simulator = simulator
        self.tenant = simulator.tenant
        self.clock = TenantClock(simulator)
        ready = quell_microsoft.quell_simulators()[0].settings_from(simulator.ready())
        self.sections: dict[str, Mapping[str, Any]] = dict(ready)
        # repeated tries would only make the tests of faults slow
        self.sections["microsoft"] = {**ready["microsoft"], "attempts": 2}
        self._connectors: dict[tuple[type, str], Any] = {}
        self._ids = itertools.count(1)

    def connector(self, kind: type[Any], identity: str) -> Any:
        """Give the connector of a type for an identity, made when first asked for."""
        key = (kind, identity)
        if key not in self._connectors:
            context = Context(self, identity)
            self._connectors[key] = SPECS[kind].build(context)
        return self._connectors[key]

    async def close(self) -> None:
        """Close what was opened."""
        for (kind, _), connector in self._connectors.items():
            close = SPECS[kind].close
            if close is not None:
                await close(connector)

    # -- what the engine does ------------------------------------------------------------------

    def _given(self, function: Any, identity: str) -> dict[str, Any]:
        return {
            name: self.connector(kind, identity) for name, kind in connector_types(function).items()
        }

    async def resolve(self, resolver: Resolver, entity: Entity) -> Resolution | Unresolved:
        """Look an entity up."""
        given = self._given(resolver.resolve, resolver.identity)
        return await resolver.resolve(entity, **given)

    async def target(self, resolver: Resolver, entity: Entity) -> Target:
        """Look an entity up that must be there."""
        found = await self.resolve(resolver, entity)
        assert isinstance(found, Resolution), found
        return Target(
            id=f"e-{next(self._ids)}",
            kind=str(entity.__struct_config__.tag),
            entity=found.entity,
            aliases=found.aliases,
            traits=found.traits,
            is_classified=True,
            facts=found.facts,
        )

    async def observe(self, action: Action, target: Target) -> Observation:
        """Ask for the present state."""
        assert action.observe_function is not None
        given = self._given(action.observe_function, action.identity)
        return await action.observe_function(target, **given)

    async def call(
        self,
        action: Action,
        *targets: Target,
        key: str = "key-00001",
        note: str = "playbook contain, incident 7, run r-1",
        params: msgspec.Struct | None = None,
        deadline: datetime | None = None,
    ) -> list[Outcome]:
        """Send the effect once, and give one outcome for each target."""
        call: Call[Any] = Call(
            params=params or action.params(),
            targets=targets,
            key=key,
            note=f"{note}, {key}",
            deadline=deadline or self.clock.now() + timedelta(seconds=60),
            tenant_id="t",
        )
        return await self.act(action, call)

    async def act(self, action: Action, call: Call[Any]) -> list[Outcome]:
        """Make a call."""
        outcome = await action.call(call, **self._given(action.call, action.identity))
        if isinstance(outcome, Sequence):
            assert action.batch > 1
            return list(outcome)
        assert action.batch == 1
        return [outcome]

    async def only(self, action: Action, target: Target, **options: Any) -> Outcome:
        """Send the effect to one target."""
        (outcome,) = await self.call(action, target, **options)
        return outcome

    async def poll(self, action: Action, pending: Outcome) -> Outcome:
        """Ask about an operation."""
        assert isinstance(pending, Pending), pending
        assert action.poll_function is not None
        given = self._given(action.poll_function, action.identity)
        return await action.poll_function(pending.operation, **given)

    async def cancel(self, action: Action, pending: Outcome) -> None:
        """Cancel an operation."""
        assert isinstance(pending, Pending), pending
        assert action.cancel_function is not None
        given = self._given(action.cancel_function, action.identity)
        await action.cancel_function(pending.operation, **given)

    async def finish(self, action: Action, pending: Outcome, *, within: float = 60) -> Outcome:
        """Let tenant time pass until an operation is through."""
        outcome = pending
        for _ in range(10):
            if not isinstance(outcome, Pending):
                break
            await self.clock.sleep(within / 10)
            outcome = await self.poll(action, outcome)
        return outcome

    # -- what happens in the tenant ------------------------------------------------------------

    def fault(self, kind: str, path: str, **more: Any) -> None:
        """Order a fault for the next request to a path."""
        self.tenant.faults.replace([FaultRule(kind=kind, path=path, **more)])

    def configure(self, **knobs: Any) -> None:
        """Turn knobs of the simulator."""
        self.tenant.configure(changed(self.tenant.config, knobs))

    def writes(self, path: str) -> list[dict[str, Any]]:
        """List the accepted writes whose path ends so, as the tenant recorded them."""
        return [entry for entry in self.tenant.ledger.writes if entry["path"].endswith(path)]


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    """Start an empty tenant, and close everything that was opened towards it."""
    with start(SimulatorOptions(config={"throttle_scale": 0})) as simulator:
        made = Lab(simulator)
        yield made
        await made.close()
