"""A child process: it takes one order, calls one function of one plugin, and answers."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import msgspec

from quell.domain.action import Action, Call, Resolver, Unresolved
from quell.domain.ids import IncidentId, RunId
from quell.domain.outcome import Observation, Unknown, cannot_tell
from quell.errors import QuellError
from quell.isolation import calling
from quell.isolation.context import ChildConnectors
from quell.isolation.line import Line
from quell.isolation.loaded import LoadedPlugins
from quell.isolation.wire import (
    CallBody,
    Hello,
    LookedUp,
    Order,
    Ready,
    Refused,
    Result,
    decoder,
    encode,
)

__all__ = ["serve"]

T = TypeVar("T")


def serve(sock: socket.socket, plugins: LoadedPlugins) -> None:
    """Take an order from the socket, carry it out, and answer. Raises EOFError."""
    line = Line(sock)
    line.say(Hello(pid=os.getpid()))
    order = line.hear()
    if isinstance(order, Order):
        asyncio.run(_serve(line, plugins, order))


async def _serve(line: Line, plugins: LoadedPlugins, order: Order) -> None:
    work = _Work(line=line, plugins=plugins, order=order)
    try:
        ready = work.prepare()
    except QuellError as error:
        line.say(Refused(reason=str(error), remedy=error.remedy))
        return
    except Exception as error:  # noqa: BLE001 # the edge of a child process: a plugin's bug is told, not spread
        line.say(Refused(reason=f"{order.name} cannot be prepared ({type(error).__name__})"))
        return
    line.say(Ready())
    line.hear()
    line.listen()
    found = await ready()
    line.say(Result(body=_written(order, found)))
    # all is said, and the process has nothing that must be tidied up
    os._exit(0)


def _written(order: Order, found: Any) -> msgspec.Raw:
    """Write the result; one that cannot be handed over is said to be so."""
    try:
        return msgspec.Raw(encode(found))
    except (TypeError, OverflowError, ValueError, RecursionError) as error:
        reason = f"{order.name} gave what cannot be handed over ({type(error).__name__})"
        count = len(order.call.targets) if order.call is not None else 1
        instead: dict[str, Any] = {
            "act": [Unknown(reason=reason)] * count,
            "observe": cannot_tell(reason),
        }
        return msgspec.Raw(encode(instead.get(order.do)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One order: everything that can go wrong before the function is called goes wrong first."""

    line: Line
    plugins: LoadedPlugins
    order: Order

    def prepare(self) -> Callable[[], Any]:
        """Find the function and its connectors; gives what calls it. Raises QuellError."""
        order = self.order
        if order.do == "resolve":
            resolver = self.plugins.resolver(order.plugin, order.name, order.system)
            return self._resolving(resolver)
        action = self.plugins.action(order.plugin, order.name, order.system)
        if order.do == "act":
            return self._acting(action)
        if order.do == "observe":
            find = self._found(action.observe_function, action.identity)
            return lambda: calling.observe(action, _given(order.target), find)
        if order.do == "poll":
            find = self._found(action.poll_function, action.identity)
            return lambda: calling.poll(action, _given(order.operation), find)
        find = self._found(action.cancel_function, action.identity)
        return lambda: calling.cancel(action, _given(order.operation), find)

    def _resolving(self, resolver: Resolver) -> Callable[[], Any]:
        find = self._found(resolver.resolve, resolver.identity)
        entity = self.order.entity
        if entity is None:
            raise ValueError("the order is incomplete")

        async def resolve() -> Any:
            found = await calling.resolve(resolver, entity, find)
            if isinstance(found, Unresolved):
                return LookedUp(unresolved=found.reason)
            return LookedUp(found=found)

        return resolve

    def _acting(self, action: Action) -> Callable[[], Any]:
        call = self._call(_given(self.order.call), action)
        find = self._found(action.call, action.identity)
        within = timedelta(seconds=self.order.seconds)
        return lambda: calling.act(action, call, within, find)

    def _call(self, body: CallBody, action: Action) -> Call[Any]:
        before: Mapping[str, Observation] = body.before
        return Call(
            params=decoder(action.params).decode(body.params),
            targets=body.targets,
            key=body.key,
            note=body.note,
            deadline=body.deadline,
            tenant_id=self.order.tenant_id,
            incident_id=IncidentId(body.incident_id) if body.incident_id is not None else None,
            run_id=RunId(body.run_id) if body.run_id is not None else None,
            before=before,
        )

    def _found(self, function: Callable[..., Any] | None, identity: str) -> calling.FindConnectors:
        """Build the connectors now; the function is called with what was built."""
        connectors = ChildConnectors(self.line, self.plugins, self.order)
        built: Mapping[str, Any] = {}
        if function is not None:
            built = connectors.for_function(function, identity)
        return lambda _function, _identity: built


def _given(value: T | None) -> T:
    """Give a part of an order that its kind always has."""
    if value is None:
        raise ValueError("the order is incomplete")
    return value
