"""What the engine asks for: actions of one tenant, called in child processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from quell.domain.action import (
    Action,
    Call,
    Resolution,
    Resolver,
    Target,
    Unresolved,
    connector_types,
)
from quell.domain.entity import Entity
from quell.domain.ids import TenantId
from quell.domain.outcome import (
    Failed,
    Observation,
    Operation,
    Outcome,
    Unknown,
    cannot_tell,
)
from quell.domain.ports import Clock
from quell.isolation.answering import Answering, Owners, WorkerConnectors
from quell.isolation.calling import LOOK_TIMEOUT
from quell.isolation.exchange import Exchange, Lost
from quell.isolation.stems import Stems
from quell.isolation.wire import CallBody, Garbled, Kind, Limits, LookedUp, Order, decode, encode
from quell.plugins import Registry
from quell.plugins.offers import name_of_kind
from quell.settings import IsolationSettings

__all__ = ["ChildProcesses", "Isolation"]

# the type checkers take a union for a value, not for a type
OUTCOMES: Any = list[Outcome]
OUTCOME: Any = Outcome | None


class ChildProcesses:
    """The child processes of one worker, shared by its tenants."""

    def __init__(self, settings: IsolationSettings, lock_path: Path) -> None:
        self.settings = settings
        limits = Limits(
            memory_mb=settings.memory_mb,
            cpu_seconds=settings.cpu_seconds,
            open_files=settings.open_files,
        )
        self.stems = Stems(lock_path, limits)
        self.exchange = Exchange(self.stems, limits, settings.processes)

    async def close(self) -> None:
        """End them all."""
        await self.stems.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owned:
    """What is called, of which plugin, as which identity."""

    plugin: str
    name: str
    system: str
    identity: str
    functions: Sequence[Any]


class Isolation:
    """Calls one tenant's actions in child processes; what is lost there becomes a value here."""

    def __init__(
        self,
        processes: ChildProcesses,
        registry: Registry,
        connectors: WorkerConnectors,
        tenant_id: TenantId,
        clock: Clock,
    ) -> None:
        self._exchange = processes.exchange
        self._names = frozenset(processes.settings.actions)
        self._plugins = frozenset(processes.settings.plugins)
        self._owners = Owners(registry)
        self._answering = Answering(registry, connectors)
        self._tenant_id = tenant_id
        self._clock = clock

    def wants(self, action: Action) -> bool:
        """Tell whether the action is never called in the worker."""
        owner = self._owners.of_action(action)
        return action.isolate or (
            owner is not None and (owner in self._plugins or action.name in self._names)
        )

    def wants_look_up(self, resolver: Resolver) -> bool:
        """Tell whether a plugin's look-up is never called in the worker."""
        return self._owners.of_resolver(resolver) in self._plugins

    def can(self, offer: Action | Resolver) -> bool:
        """Tell whether it can be isolated unasked: nothing that outlives a call would be missed.

        It is a plugin's, and each connector that it asks for stays in the worker, behind a
        bridge, or is declared to be stateless. Any other that is built in the child forgets
        with it what it has counted.
        """
        kinds = (
            kind for function in _functions(offer) for kind in connector_types(function).values()
        )
        return self._owner(offer) is not None and all(map(self._answering.is_complete, kinds))

    async def act(self, action: Action, call: Call[Any], within: timedelta) -> list[Outcome]:
        """Make the call; gives one outcome for each target, in order."""
        left = min(within, call.deadline - self._clock.now())
        try:
            body = _body(call)
            found = await self._run("act", self._of(action), left, call=body)
            outcomes: list[Outcome] = decode(found, OUTCOMES)
        except Lost as lost:
            return [_outcome_of(lost, action)] * len(call.targets)
        except Garbled as error:
            return [_unclear(f"its process {error}", action)] * len(call.targets)
        except (TypeError, OverflowError) as error:
            reason = f"the call cannot be handed to a child process: {error}"
            return [Failed(reason=reason)] * len(call.targets)
        if len(outcomes) != len(call.targets):
            unclear = _unclear("it did not give one outcome for each target", action)
            return [unclear] * len(call.targets)
        return outcomes

    async def observe(self, action: Action, target: Target) -> Observation | None:
        """Look how the state stands; None where the action cannot tell at all."""
        if action.observe_function is None:
            return None
        try:
            found = await self._run("observe", self._of(action), target=target)
            observation: Observation = decode(found, Observation)
        except (Lost, Garbled, TypeError, OverflowError) as error:
            return cannot_tell(f"looking in a child process failed: {error}")
        return observation

    async def poll(self, action: Action, operation: Operation) -> Outcome | None:
        """Ask about a vendor's operation; None when no answer could be had this time."""
        if action.poll_function is None:
            return Unknown(reason=f"{action.name} has no way to ask about its operation")
        try:
            found = await self._run("poll", self._of(action), operation=operation)
            outcome: Outcome | None = decode(found, OUTCOME)
        except (Lost, Garbled):
            return None
        return outcome

    async def cancel(self, action: Action, operation: Operation) -> bool:
        """Cancel a vendor's operation; False when that is not certain."""
        if action.cancel_function is None:
            return False
        try:
            found = await self._run("cancel", self._of(action), operation=operation)
            is_cancelled: bool = decode(found, bool)
        except (Lost, Garbled):
            return False
        return is_cancelled

    async def resolve(self, resolver: Resolver, entity: Entity) -> Resolution | Unresolved:
        """Look an entity up in its system. What cannot be told is not acted on."""
        owned = _Owned(
            plugin=self._owner(resolver) or "",
            name=resolver.target.__name__,
            system=resolver.system,
            identity=resolver.identity,
            functions=_functions(resolver),
        )
        try:
            looked: LookedUp = decode(await self._run("resolve", owned, entity=entity), LookedUp)
        except (Lost, Garbled) as error:
            return Unresolved(reason=f"the look-up in a child process failed: {error}")
        return looked.found or Unresolved(reason=looked.unresolved)

    def _owner(self, offer: Action | Resolver) -> str | None:
        if isinstance(offer, Action):
            return self._owners.of_action(offer)
        return self._owners.of_resolver(offer)

    def _of(self, action: Action) -> _Owned:
        return _Owned(
            plugin=self._owner(action) or "",
            name=action.name,
            system=action.system,
            identity=action.identity,
            functions=_functions(action),
        )

    async def _run(
        self, do: Kind, owned: _Owned, within: timedelta = LOOK_TIMEOUT, **parts: Any
    ) -> msgspec.Raw:
        """Have something done in a child process. Raises Lost, TypeError, OverflowError."""
        if not owned.plugin:
            reason = f"{owned.name} is no plugin's: it cannot run in a child process"
            raise Lost(reason, has_begun=False)
        if within <= timedelta(0):
            raise Lost("its deadline has passed", has_begun=False)
        owners = self._owners.connectors
        order = Order(
            do=do,
            plugin=owned.plugin,
            name=owned.name,
            system=owned.system,
            identity=owned.identity,
            tenant_id=self._tenant_id,
            now=self._now(),
            seconds=within.total_seconds(),
            owners=dict(owners),
            **parts,
        )
        encode(order)  # what cannot be handed over is known before a process is asked for
        beside = _beside(owned, owners)
        return await self._exchange.run(
            order, beside, lambda question: self._answering.answer(question, owned.identity)
        )

    def _now(self) -> datetime:
        return self._clock.now()


def _functions(offer: Action | Resolver) -> list[Any]:
    """List what a plugin wrote for it."""
    if isinstance(offer, Resolver):
        return [offer.resolve]
    functions = (offer.call, offer.observe_function, offer.poll_function, offer.cancel_function)
    return [one for one in functions if one is not None]


def _beside(owned: _Owned, owners: Mapping[str, str]) -> tuple[str, ...]:
    """List the plugins whose connectors the functions ask for."""
    kinds: Iterable[type] = (
        kind for function in owned.functions for kind in connector_types(function).values()
    )
    found = {owners[name] for kind in kinds if (name := name_of_kind(kind)) in owners}
    return tuple(sorted(found - {owned.plugin}))


def _body(call: Call[Any]) -> CallBody:
    return CallBody(
        params=msgspec.Raw(encode(call.params)),
        targets=call.targets,
        key=call.key,
        note=call.note,
        deadline=call.deadline,
        incident_id=call.incident_id,
        run_id=call.run_id,
        before=dict(call.before),
    )


def _outcome_of(lost: Lost, action: Action) -> Outcome:
    if lost.has_begun:
        return _unclear(lost.reason, action)
    return Failed(
        reason=f"{action.name} was not called: {lost.reason}",
        remedy=lost.remedy,
        retryable=lost.is_passing,
    )


def _unclear(reason: str, action: Action) -> Unknown:
    return Unknown(reason=f"{action.name} ran in a child process: {reason}")
