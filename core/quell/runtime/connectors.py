"""Connectors of one tenant: built when first asked for, one for each type and identity."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

import structlog

from quell.domain.action import connector_types
from quell.domain.ids import TenantId
from quell.domain.offers import ConnectorSpec
from quell.domain.ports import Clock, Quota
from quell.errors import NotFoundError

__all__ = ["Connectors"]

T = TypeVar("T")
logger = structlog.get_logger(__name__)
SectionReader = Callable[[type], Any]


class Connectors:
    """Every connector of one tenant. Its contexts are what plugins build connectors with."""

    def __init__(
        self,
        tenant_id: TenantId,
        specs: Mapping[type, ConnectorSpec],
        section: SectionReader,
        clock: Clock,
        quota: Quota,
    ) -> None:
        self.tenant_id = tenant_id
        self.clock = clock
        self.quota = quota
        self.section = section
        self._specs = specs
        self._built: dict[tuple[type, str], Any] = {}
        self._given: dict[type, Any] = {}
        self._at_end: list[Callable[[], Awaitable[None]]] = []

    def at_end(self, close: Callable[[], Awaitable[None]]) -> None:
        """Have something closed with the connectors that were built upon it."""
        self._at_end.append(close)

    def offer(self, kind: type, connector: Any) -> None:
        """Add a connector that the core itself has, the same for every identity."""
        self._given[kind] = connector

    def context(self, identity: str) -> Context:
        """Give what a plugin needs to build things for one identity."""
        return Context(self, identity)

    def get(self, kind: type[T], identity: str) -> T:
        """Give a connector, building it if need be. Raises NotFoundError, SettingsError."""
        if kind in self._given:
            return cast("T", self._given[kind])
        key = (kind, identity)
        if key not in self._built:
            self._built[key] = self._spec(kind).build(self.context(identity))
        return cast("T", self._built[key])

    def for_function(self, function: Callable[..., Any], identity: str) -> dict[str, Any]:
        """Give the connectors that a function asks for by its annotations, by parameter name."""
        wanted = connector_types(function)
        return {name: self.get(kind, identity) for name, kind in wanted.items()}

    async def close(self) -> None:
        """Close what was built; one that fails does not keep the others open."""
        built, self._built = self._built, {}
        closing = [
            spec.close(connector)
            for (kind, _), connector in built.items()
            if (spec := self._spec(kind)).close is not None
        ]
        results = await asyncio.gather(*closing, return_exceptions=True)
        at_end, self._at_end = self._at_end, []
        results += await asyncio.gather(*(close() for close in at_end), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                logger.warning("A connector did not close", event_name="connector_not_closed")

    def _spec(self, kind: type) -> ConnectorSpec:
        try:
            return self._specs[kind]
        except KeyError:
            raise NotFoundError(
                what="connector",
                name=f"{kind.__module__}.{kind.__qualname__}",
                remedy="Enable the plugin that offers it: `quell plugins`.",
            ) from None


class Context:
    """One tenant and one identity, as `quell.domain.ports.ConnectorContext` describes it."""

    def __init__(self, connectors: Connectors, identity: str) -> None:
        self._connectors = connectors
        self.tenant_id = connectors.tenant_id
        self.identity = identity
        self.clock = connectors.clock
        self.quota = connectors.quota

    def settings(self, model: type[T]) -> T:
        """Give this tenant's values of a section that a plugin declared."""
        return cast("T", self._connectors.section(model))

    def connector(self, kind: type[T], *, identity: str | None = None) -> T:
        """Give another connector of this tenant."""
        return self._connectors.get(kind, identity or self.identity)
