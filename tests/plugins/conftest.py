"""A fresh simulated tenant over HTTPS, and incident sources that are built for it as quell would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import pytest

import quell_microsoft
from quell import ObservedIncident, PolledPage
from quell.domain.ids import TenantId
from quell.domain.ports import Clock, IncidentSource, Quota
from quell.domain.secret import decode_secret
from quell.testing import FreeQuota
from quell_microsoft.simulator.config import changed
from quell_microsoft.simulator.server import RunningSimulator, SimulatorOptions, start
from quell_microsoft.simulator.state.faults import FaultRule

T = TypeVar("T")


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


@dataclass(kw_only=True)
class Context:
    """What a source is built with; connectors are made once for each type and identity."""

    desk: SourceDesk
    clock: Clock
    identity: str = "reader"
    tenant_id: TenantId = field(default=TenantId("t"))
    quota: Quota = field(default_factory=FreeQuota)

    def settings(self, model: type[T]) -> T:
        """Give a section's values."""
        return self.desk.settings(model)

    def connector(self, kind: type[T], *, identity: str | None = None) -> T:
        """Give another connector."""
        found: T = self.desk.connector(kind, identity or self.identity)
        return found


class SourceDesk:
    """One simulated tenant, and how a test gets at it from both sides."""

    def __init__(self, simulator: RunningSimulator) -> None:
        self.simulator = simulator
        self.tenant = simulator.tenant
        self.clock = TenantClock(simulator)
        self.context = Context(desk=self, clock=self.clock)
        ready = quell_microsoft.quell_simulators()[0].settings_from(simulator.ready())
        self.sections: dict[str, dict[str, Any]] = {
            name: dict(part) for name, part in ready.items()
        }
        # repeated tries would only make the tests of faults slow
        self.sections["microsoft"]["attempts"] = 1
        self._specs = {spec.kind: spec for spec in quell_microsoft.quell_connectors()}
        self._connectors: dict[tuple[type, str], Any] = {}

    def settings(self, model: type[T]) -> T:
        """Give a section's values; it is named as its model is."""
        values = self.sections.get(model.__name__.removesuffix("Settings").lower(), {})
        return msgspec.convert(values, model, dec_hook=decode_secret)

    def connector(self, kind: type[Any], identity: str) -> Any:
        """Give the connector of a type for an identity, made when first asked for."""
        key = (kind, identity)
        if key not in self._connectors:
            context = Context(desk=self, clock=self.clock, identity=identity)
            self._connectors[key] = self._specs[kind].build(context)
        return self._connectors[key]

    async def close(self) -> None:
        """Close what was opened."""
        for (kind, _), connector in self._connectors.items():
            close = self._specs[kind].close
            if close is not None:
                await close(connector)

    # -- the tenant's side ---------------------------------------------------------------------

    def turn(self, **knobs: Any) -> None:
        """Turn knobs of the simulated tenant."""
        changed_config = changed(self.tenant.config, knobs)
        for name in knobs:
            setattr(self.tenant.config, name, getattr(changed_config, name))

    def fail(self, **rule: Any) -> None:
        """Order a fault."""
        self.tenant.faults.replace([*self.tenant.faults.rules, FaultRule(**rule)])

    def mend(self) -> None:
        """Take all faults away."""
        self.tenant.faults.replace([])

    # -- the source's side ---------------------------------------------------------------------

    async def poll(self, source: IncidentSource, cursor: str | None = None) -> Polled:
        """Poll once, to the end."""
        return Polled([page async for page in source.poll(cursor)])


@dataclass(slots=True)
class Polled:
    """What one poll gave."""

    pages: list[PolledPage]

    @property
    def cursor(self) -> str:
        """Give the cursor that would be stored."""
        return self.pages[-1].cursor

    @property
    def incidents(self) -> list[ObservedIncident]:
        """List all incidents of all pages."""
        return [incident for page in self.pages for incident in page.incidents]

    @property
    def ids(self) -> list[str]:
        """List the ids of all incidents of all pages."""
        return [incident.native_id for incident in self.incidents]

    @property
    def poison(self) -> dict[str, str]:
        """Give what could not be read."""
        return {name: reason for page in self.pages for name, reason in page.poison.items()}


@pytest.fixture
async def desk() -> AsyncIterator[SourceDesk]:
    """Run an empty simulated tenant for one test."""
    with start(SimulatorOptions()) as simulator:
        found = SourceDesk(simulator)
        yield found
        await found.close()
