"""What connectors are built with in a child process: settings without secrets, a clock, a quota."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import msgspec

from quell.domain.action import connector_types
from quell.domain.ids import TenantId
from quell.domain.ports import OperationClass
from quell.domain.secret import Secret
from quell.errors import SettingsError
from quell.isolation.line import Line
from quell.isolation.loaded import LoadedPlugins
from quell.isolation.wire import Order
from quell.plugins.offers import name_of_kind

__all__ = ["ChildConnectors"]

T = TypeVar("T")


class WithheldSecret(Secret):
    """Stands where a secret is set: the secret itself stays in the worker."""

    __slots__ = ()

    def reveal(self) -> NoReturn:
        """Refuse: there is nothing to reveal here."""
        raise SettingsError(
            name="a secret",
            problem="is not handed to a child process",
            remedy="Give the connector that signs in a `bridge`, so that it stays in the worker: "
            "see docs/how-to/isolate-an-action.md.",
        )


class ChildClock:
    """The worker's time, carried on from the moment of the order."""

    def __init__(self, now: datetime) -> None:
        self._begin = now
        self._began = time.monotonic()

    def now(self) -> datetime:
        """Tell the time."""
        return self._begin + timedelta(seconds=time.monotonic() - self._began)

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)


class ChildQuota:
    """The worker's quota, asked over the line."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def acquire(
        self, operation: OperationClass, *, cost: int = 1, for_containment: bool = False
    ) -> None:
        """Wait until a call of that class may be sent."""
        body = {"cost": cost, "for_containment": for_containment}
        await self._line.ask("acquire", operation.name, operation.api, body)

    async def pause(self, operation: OperationClass, seconds: float) -> None:
        """Let nobody call that class for so long."""
        await self._line.ask("pause", operation.name, operation.api, seconds)


class ChildConnectors:
    """The connectors of one call: stand-ins for what stays in the worker, the rest built here."""

    def __init__(self, line: Line, plugins: LoadedPlugins, order: Order) -> None:
        self.line = line
        self.order = order
        self.clock = ChildClock(order.now)
        self.quota = ChildQuota(line)
        self._plugins = plugins
        self._built: dict[tuple[type, str], Any] = {}
        self._settings: dict[type, Any] = {}

    def for_function(self, function: Callable[..., Any], identity: str) -> Mapping[str, Any]:
        """Give the connectors that a function asks for, by parameter name."""
        wanted = connector_types(function)
        return {name: self.get(kind, identity) for name, kind in wanted.items()}

    def get(self, kind: type, identity: str) -> Any:
        """Give a connector, building it if need be. Raises NotFoundError, SettingsError."""
        key = (kind, identity)
        if key not in self._built:
            spec = self._plugins.connector(kind, self.order.owners)
            context = ChildContext(self, identity)
            if spec.bridge is None:
                self._built[key] = spec.build(context)
            else:
                ask = partial(self.line.ask, "bridge", name_of_kind(kind), identity)
                self._built[key] = spec.bridge.stand_in(context, ask)
        return self._built[key]

    def settings(self, model: type[T]) -> T:
        """Read a section's values from the worker, without its secrets. Raises SettingsError."""
        if model not in self._settings:
            body = self.line.ask_now("settings", name_of_kind(model))
            self._settings[model] = msgspec.convert(body, model, dec_hook=_decode)
        return cast("T", self._settings[model])


class ChildContext:
    """A `ConnectorContext` in a child process."""

    def __init__(self, connectors: ChildConnectors, identity: str) -> None:
        self._connectors = connectors
        self.tenant_id = TenantId(connectors.order.tenant_id)
        self.identity = identity
        self.clock = connectors.clock
        self.quota = connectors.quota

    def settings(self, model: type[T]) -> T:
        """Give this tenant's values of a section that a plugin declared."""
        return self._connectors.settings(model)

    def connector(self, kind: type[T], *, identity: str | None = None) -> T:
        """Give another connector of this tenant."""
        return cast("T", self._connectors.get(kind, identity or self.identity))


def _decode(kind: type, value: Any) -> Any:
    if kind is Secret:
        return WithheldSecret("")
    if kind is Path:
        return Path(value)
    raise NotImplementedError(f"no settings type: {kind.__name__}")
