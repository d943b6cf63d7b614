"""Calling a plugin's function: whatever it raises or returns becomes a value, wherever it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from quell.domain.action import Action, Call, Resolution, Resolver, Target, Unresolved
from quell.domain.entity import Entity
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
from quell.errors import ConnectorError, QuellError, Throttled

__all__ = [
    "LOOK_TIMEOUT",
    "FindConnectors",
    "act",
    "cancel",
    "not_sent",
    "observe",
    "poll",
    "resolve",
]

# not structlog: a child process would load the whole of it for a line that goes nowhere
logger = logging.getLogger(__name__)

#: how long a look at a product may take
LOOK_TIMEOUT = timedelta(seconds=60)
OUTCOMES = (Succeeded, Failed, Unknown, Pending)

#: gives the connectors that a function asks for, for an identity, by parameter name
FindConnectors = Callable[[Callable[..., Any], str], Mapping[str, Any]]


async def resolve(
    resolver: Resolver, entity: Entity, find: FindConnectors
) -> Resolution | Unresolved:
    """Look an entity up in its system. What cannot be told is not acted on."""
    try:
        connectors = find(resolver.resolve, resolver.identity)
        async with asyncio.timeout(LOOK_TIMEOUT.total_seconds()):
            return await resolver.resolve(entity, **connectors)
    except TimeoutError:
        return Unresolved(reason="the look-up took too long")
    except QuellError as error:
        return Unresolved(reason=f"the look-up failed: {error}")
    except Exception as error:  # noqa: BLE001 # a plugin's bug must not take the run with it
        return Unresolved(reason=_broken("the look-up", error))


async def observe(action: Action, target: Target, find: FindConnectors) -> Observation | None:
    """Look how the state stands; None where the action cannot tell at all."""
    function = action.observe_function
    if function is None:
        return None
    try:
        connectors = find(function, action.identity)
        async with asyncio.timeout(LOOK_TIMEOUT.total_seconds()):
            return await function(target, **connectors)
    except TimeoutError:
        return cannot_tell("looking took too long")
    except QuellError as error:
        return cannot_tell(str(error))
    except Exception as error:  # noqa: BLE001 # a plugin's bug must not take the run with it
        return cannot_tell(_broken("looking", error))


async def act(
    action: Action, call: Call[Any], within: timedelta, find: FindConnectors
) -> list[Outcome]:
    """Make the call; gives one outcome for each target, in order."""
    try:
        connectors = find(action.call, action.identity)
    except QuellError as error:
        return [not_sent(error)] * len(call.targets)
    try:
        async with asyncio.timeout(within.total_seconds()):
            answer = await action.call(call, **connectors)
    except TimeoutError:
        unknown = Unknown(reason=f"no answer within {within.total_seconds():.0f} s")
        return [unknown] * len(call.targets)
    except Exception as error:  # noqa: BLE001 # a plugin's bug must not take the run with it
        return [_outcome_of(action, error)] * len(call.targets)
    return _outcomes(action, answer, len(call.targets))


async def poll(action: Action, operation: Operation, find: FindConnectors) -> Outcome | None:
    """Ask about a vendor's operation; None when no answer could be had this time."""
    function = action.poll_function
    if function is None:
        return Unknown(reason=f"{action.name} has no way to ask about its operation")
    try:
        connectors = find(function, action.identity)
        async with asyncio.timeout(LOOK_TIMEOUT.total_seconds()):
            return await function(operation, **connectors)
    except (TimeoutError, QuellError):
        return None
    except Exception as error:  # noqa: BLE001 # a plugin's bug must not take the run with it
        logger.warning(
            _broken("polling", error), extra={"event": "poll_broke", "action": action.name}
        )
        return None


async def cancel(action: Action, operation: Operation, find: FindConnectors) -> bool:
    """Cancel a vendor's operation; False when that is not certain."""
    function = action.cancel_function
    if function is None:
        return False
    try:
        connectors = find(function, action.identity)
        async with asyncio.timeout(LOOK_TIMEOUT.total_seconds()):
            await function(operation, **connectors)
    except (TimeoutError, QuellError):
        return False
    except Exception as error:  # noqa: BLE001 # a plugin's bug must not take the run with it
        logger.warning(_broken("cancelling", error), extra={"event": "cancel_broke"})
        return False
    return True


def not_sent(error: QuellError) -> Failed:
    """Say that there was no call: its connectors could not be had."""
    return Failed(reason=str(error), remedy=error.remedy)


def _outcome_of(action: Action, error: Exception) -> Outcome:
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


def _broken(what: str, error: Exception) -> str:
    # the type only: the text of a foreign error may hold anything
    return f"{what} broke ({type(error).__name__})"
