"""Calls out of the engine: look up, observe, act, poll, cancel; whatever is raised becomes a value."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog

from quell.domain.action import Action, Call, Resolution, Target, Trait, Unresolved
from quell.domain.ids import TenantId
from quell.domain.outcome import (
    Failed,
    Observation,
    Operation,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
    cannot_tell,
)
from quell.domain.ports import EntitySummary
from quell.engine.context import INCIDENT
from quell.engine.registry import EngineRegistry
from quell.errors import ConnectorError, QuellError, Throttled

__all__ = ["Calls", "bare_target", "incident_target"]

logger = structlog.get_logger(__name__)

#: how long a look at a product may take
LOOK_TIMEOUT = timedelta(seconds=60)
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

OUTCOMES = (Succeeded, Failed, Unknown, Pending)


class Calls:
    """Everything that the engine asks of plugins' functions, for one tenant."""

    def __init__(self, registry: EngineRegistry, tenant_id: TenantId) -> None:
        self.registry = registry
        self.tenant_id = tenant_id

    async def resolve(self, summary: EntitySummary) -> Target | Unresolved:
        """Look an entity up in its system. What cannot be told is not acted on."""
        resolver = self.registry.resolver(type(summary.entity))
        if resolver is None:
            return Unresolved(reason=f"no plugin looks up a {summary.kind.value}")
        try:
            connectors = self.registry.connectors(resolver.resolve, resolver.identity)
            async with asyncio.timeout(LOOK_TIMEOUT.total_seconds()):
                found = await resolver.resolve(summary.entity, **connectors)
        except TimeoutError:
            return Unresolved(reason="the look-up took too long")
        except QuellError as error:
            return Unresolved(reason=f"the look-up failed: {error}")
        except Exception as error:  # noqa: BLE001 # a plugin's bug must not take the run with it
            return Unresolved(reason=_broken("the look-up", error))
        return found if isinstance(found, Unresolved) else _target(summary, found)

    async def observe(self, action: Action, target: Target) -> Observation | None:
        """Look how the state stands; None where the action cannot tell at all."""
        function = action.observe_function
        if function is None:
            return None
        try:
            connectors = self.registry.connectors(function, action.identity)
            async with asyncio.timeout(LOOK_TIMEOUT.total_seconds()):
                return await function(target, **connectors)
        except TimeoutError:
            return cannot_tell("looking took too long")
        except QuellError as error:
            return cannot_tell(str(error))
        except Exception as error:  # noqa: BLE001 # a plugin's bug must not take the run with it
            return cannot_tell(_broken("looking", error))

    async def act(self, action: Action, call: Call[Any], within: timedelta) -> list[Outcome]:
        """Make the call; gives one outcome for each target, in order."""
        try:
            connectors = self._connectors(action)
        except QuellError as error:
            # nothing has been sent: that much is certain
            return [Failed(reason=str(error), remedy=error.remedy)] * len(call.targets)
        try:
            async with asyncio.timeout(within.total_seconds()):
                answer = await action.call(call, **connectors)
        except TimeoutError:
            unknown = Unknown(reason=f"no answer within {within.total_seconds():.0f} s")
            return [unknown] * len(call.targets)
        except Exception as error:  # noqa: BLE001 # a plugin's bug must not take the run with it
            return [self._outcome_of(action, error)] * len(call.targets)
        return _outcomes(action, answer, len(call.targets))

    async def poll(self, action: Action, operation: Operation) -> Outcome | None:
        """Ask about a vendor's operation; None when no answer could be had this time."""
        function = action.poll_function
        if function is None:
            return Unknown(reason=f"{action.name} has no way to ask about its operation")
        try:
            connectors = self.registry.connectors(function, action.identity)
            async with asyncio.timeout(LOOK_TIMEOUT.total_seconds()):
                return await function(operation, **connectors)
        except (TimeoutError, QuellError):
            return None
        except Exception as error:  # noqa: BLE001 # a plugin's bug must not take the run with it
            logger.warning(_broken("polling", error), event_name="poll_broke", action=action.name)
            return None

    async def cancel(self, action: Action, operation: Operation) -> bool:
        """Cancel a vendor's operation; False when that is not certain."""
        function = action.cancel_function
        if function is None:
            return False
        try:
            connectors = self.registry.connectors(function, action.identity)
            async with asyncio.timeout(LOOK_TIMEOUT.total_seconds()):
                await function(operation, **connectors)
        except (TimeoutError, QuellError):
            return False
        except Exception as error:  # noqa: BLE001 # a plugin's bug must not take the run with it
            logger.warning(_broken("cancelling", error), event_name="cancel_broke")
            return False
        return True

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

    def _connectors(self, action: Action) -> Mapping[str, Any]:
        return self.registry.connectors(action.call, action.identity)

    def _outcome_of(self, action: Action, error: Exception) -> Outcome:
        if isinstance(error, Throttled):
            return Failed(reason=str(error), retryable=True, retry_after=error.retry_after)
        if isinstance(error, ConnectorError) and not error.may_have_happened:
            return Failed(reason=str(error), remedy=error.remedy)
        if isinstance(error, QuellError):
            return Unknown(reason=str(error))
        return Unknown(reason=_broken(action.name, error))


def _outcomes(action: Action, answer: Any, wanted: int) -> list[Outcome]:
    # what a plugin's function really returns is not known before it is looked at
    is_many = isinstance(answer, Sequence)
    listed: list[Any] = list(answer) if is_many else [answer]  # pyright: ignore[reportUnknownArgumentType]
    if len(listed) != wanted or not all(isinstance(one, OUTCOMES) for one in listed):
        unknown = Unknown(reason=f"{action.name} did not give one outcome for each target")
        return [unknown] * wanted
    return listed


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


def _broken(what: str, error: Exception) -> str:
    # the type only: the text of a foreign error may hold anything
    return f"{what} broke ({type(error).__name__})"
