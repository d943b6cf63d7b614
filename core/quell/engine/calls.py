"""Calls out of the engine: look up, observe, act, poll, cancel; in the worker, or in a child process."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from quell.domain.action import Action, Call, Resolution, Resolver, Target, Trait, Unresolved
from quell.domain.entity import Entity
from quell.domain.ids import TenantId
from quell.domain.outcome import Failed, Observation, Operation, Outcome, Unknown, cannot_tell
from quell.domain.ports import EntitySummary
from quell.engine.context import INCIDENT
from quell.engine.registry import EngineRegistry
from quell.isolation import calling
from quell.isolation.isolation import Isolation

__all__ = ["Calls", "bare_target", "incident_target"]

#: traits that say what kind of thing a device or an account is
CLASSES = frozenset(
    {
        Trait.WORKSTATION,
        Trait.SERVER,
        Trait.DOMAIN_CONTROLLER,
        Trait.PERSON,
        Trait.SERVICE_ACCOUNT,
        Trait.SYNC_ACCOUNT,
        Trait.BREAK_GLASS,
        Trait.SHARED_MAILBOX,
        Trait.GUEST,
    }
)
#: kinds whose members are not alike: it must be known which kind of it they are
CLASSIFIED_KINDS = frozenset({"device", "user"})
#: an action that asks for isolation is never called without it
NOT_HERE = "it only runs in a child process, and this process has none to give"


class Calls:
    """Everything that the engine asks of plugins' functions, for one tenant.

    With `isolate_all`, every function of a plugin runs in a child process: for runs that took
    workers down.
    """

    def __init__(
        self,
        registry: EngineRegistry,
        tenant_id: TenantId,
        isolation: Isolation | None = None,
        *,
        isolate_all: bool = False,
    ) -> None:
        self.registry = registry
        self.tenant_id = tenant_id
        self.isolation = isolation
        self.isolate_all = isolate_all

    def isolating_all(self) -> Calls:
        """Give the same calls, all of them in child processes where there are any."""
        return Calls(self.registry, self.tenant_id, self.isolation, isolate_all=True)

    async def resolve(self, summary: EntitySummary) -> Target | Unresolved:
        """Look an entity up in its system. What cannot be told is not acted on."""
        resolver = self.registry.resolver(type(summary.entity))
        if resolver is None:
            return Unresolved(reason=f"no plugin looks up a {summary.kind.value}")
        found = await self._look_up(resolver, summary.entity)
        return found if isinstance(found, Unresolved) else _target(summary, found)

    async def _look_up(self, resolver: Resolver, entity: Entity) -> Resolution | Unresolved:
        isolation = self.isolation
        if isolation is not None and (
            isolation.wants_look_up(resolver) or (self.isolate_all and isolation.can(resolver))
        ):
            return await isolation.resolve(resolver, entity)
        return await calling.resolve(resolver, entity, self.registry.connectors)

    async def observe(self, action: Action, target: Target) -> Observation | None:
        """Look how the state stands; None where the action cannot tell at all."""
        if (isolation := self._isolation_for(action)) is not None:
            return await isolation.observe(action, target)
        if self._is_refused(action):
            return cannot_tell(NOT_HERE)
        return await calling.observe(action, target, self.registry.connectors)

    async def act(self, action: Action, call: Call[Any], within: timedelta) -> list[Outcome]:
        """Make the call; gives one outcome for each target, in order."""
        if (isolation := self._isolation_for(action)) is not None:
            return await isolation.act(action, call, within)
        if self._is_refused(action):
            return [Failed(reason=f"{action.name} was not called: {NOT_HERE}")] * len(call.targets)
        return await calling.act(action, call, within, self.registry.connectors)

    async def poll(self, action: Action, operation: Operation) -> Outcome | None:
        """Ask about a vendor's operation; None when no answer could be had this time."""
        if (isolation := self._isolation_for(action)) is not None:
            return await isolation.poll(action, operation)
        if self._is_refused(action):
            return None
        return await calling.poll(action, operation, self.registry.connectors)

    async def cancel(self, action: Action, operation: Operation) -> bool:
        """Cancel a vendor's operation; False when that is not certain."""
        if (isolation := self._isolation_for(action)) is not None:
            return await isolation.cancel(action, operation)
        if self._is_refused(action):
            return False
        return await calling.cancel(action, operation, self.registry.connectors)

    async def expire(self, action: Action, operation: Operation) -> Outcome:
        """End an operation that took too long; one of somebody else is left alone."""
        if operation.adopted:
            return Failed(reason="the operation of somebody else did not end in time")
        if await self.cancel(action, operation):
            return Failed(reason="the vendor did not finish in time; the operation was cancelled")
        return Unknown(
            reason="the vendor did not finish in time, and its operation could not be cancelled",
            look_at=f"operation {operation.id}",
        )

    def _isolation_for(self, action: Action) -> Isolation | None:
        """Give what calls the action in a child process, where that is wanted."""
        isolation = self.isolation
        if isolation is None:
            return None
        is_wanted = isolation.wants(action) or (self.isolate_all and isolation.can(action))
        return isolation if is_wanted else None

    def _is_refused(self, action: Action) -> bool:
        return self.isolation is None and action.isolate


def _target(summary: EntitySummary, found: Resolution) -> Target:
    aliases = (*found.aliases, *found.entity.aliases(), *summary.entity.aliases())
    return Target(
        id=summary.id,
        kind=summary.kind.value,
        entity=found.entity,
        aliases=tuple(dict.fromkeys(aliases)),
        traits=found.traits,
        is_classified=summary.kind.value not in CLASSIFIED_KINDS or bool(found.traits & CLASSES),
        facts=found.facts,
    )


def bare_target(summary: EntitySummary) -> Target:
    """Give an entity as the incident names it, without a look-up."""
    return Target(
        id=summary.id,
        kind=summary.kind.value,
        entity=summary.entity,
        aliases=summary.entity.aliases(),
    )


def incident_target(incident_id: str, vendor_key: str) -> Target:
    """Give the run's incident as a target; `key` lets a look find our own remark."""
    return Target(id=incident_id, kind=INCIDENT, is_classified=True, facts={"key": vendor_key})
