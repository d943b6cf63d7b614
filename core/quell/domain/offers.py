"""What plugins offer: settings, connectors, sources, checks, notifiers and webhooks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from quell.domain.fields import FieldRule
from quell.domain.ids import TenantId
from quell.domain.ports import Clock, IncidentSource, OperationClass, Quota, Rate

__all__ = [
    "Bridge",
    "Check",
    "CheckResult",
    "ConnectorContext",
    "ConnectorSpec",
    "Grant",
    "Notice",
    "Notifier",
    "SettingsSection",
    "SourceSpec",
    "WebhookEvent",
    "WebhookVerifier",
]

T = TypeVar("T")


class SettingsSection(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin's own section of the settings: a msgspec Struct with a docstring for each field."""

    #: the section's name: `[plugin.NAME]`, or `[tenant.ID.NAME]` where it differs by tenant
    name: str
    model: Any
    #: whether each tenant has its own values
    per_tenant: bool = True


class ConnectorContext(Protocol):
    """What a plugin gets to build a connector with: settings, time, quota, other connectors."""

    @property
    def tenant_id(self) -> TenantId:
        """Tell whose connector it is."""
        ...

    @property
    def identity(self) -> str:
        """Tell which identity it is for: reader, sync, device, user, mail, …"""
        ...

    @property
    def clock(self) -> Clock:
        """Give the clock to wait and to measure by."""
        ...

    @property
    def quota(self) -> Quota:
        """Give what to ask before each call."""
        ...

    def settings(self, model: type[T]) -> T:
        """Give this tenant's values of a section that a plugin declared."""
        ...

    def connector(self, kind: type[T], *, identity: str | None = None) -> T:
        """Give another connector of this tenant, for the same identity unless told otherwise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """How an isolated action uses a connector that stays in the worker, with its secrets.

    What goes over the bridge is plain data: texts, numbers, bytes, lists, dicts, Structs.
    """

    #: in the worker: `async (connector, asked) -> answer`. What is asked comes from the plugin's
    #: child process: check it like any input
    serve: Callable[[Any, Any], Awaitable[Any]]
    #: in the child process: `(context, ask) -> connector`; `await ask(asked)` gives the answer
    #: of `serve`, or raises the `QuellError` that it raised
    stand_in: Callable[[ConnectorContext, Callable[[Any], Awaitable[Any]]], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorSpec:
    """How a connector type is built; one instance per tenant and identity, made when first asked for."""

    kind: type
    build: Callable[[ConnectorContext], Any]
    #: called when the process ends
    close: Callable[[Any], Awaitable[None]] | None = None
    #: the vendor's documented limits of the operation classes that it asks the quota for
    rates: Mapping[OperationClass, Rate] = field(default_factory=dict[OperationClass, Rate])
    #: how an action in a child process uses it; without one it is built there, and gets no secrets
    bridge: Bridge | None = None
    #: it holds no secret and remembers nothing from call to call: built anew in a child process,
    #: nothing of it is missed there
    is_stateless: bool = False


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an identity must be granted, for `quell permissions`."""

    #: the role of quell that signs in: reader, sync, device, …
    identity: str
    #: a permission, or a role with what it is granted on
    permission: str
    #: what it is for, in a few words
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """A system that holds incidents, and how its sources are found in a tenant's settings."""

    system: str
    #: `detects` is where incidents begin; `mirrors` is where copies are made
    part: Literal["detects", "mirrors"]
    build: Callable[[ConnectorContext], Sequence[IncidentSource]]
    #: how the system holds each field of `FIELD_TABLE`, by name, for the page on fields
    fields: Mapping[str, FieldRule] = field(default_factory=dict[str, FieldRule])
    #: what its clients must be granted
    grants: Sequence[Grant] = ()


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `quell doctor`."""

    ok: bool
    what: str
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check for `quell doctor`: reads only, answers with lines."""

    name: str
    run: Callable[[ConnectorContext], Awaitable[Sequence[CheckResult]]]


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that people should hear about: an approval, a page, a parked run."""

    kind: Literal["approval", "page", "parked", "conflict", "halt"]
    tenant_id: str
    summary: str
    #: ids only; whoever needs more looks it up
    references: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class Notifier(Protocol):
    """Tells people. May fail: the console and the CLI show the same."""

    name: str

    async def notify(self, notice: Notice) -> None:
        """Pass the notice on."""
        ...


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified webhook says: only that a source should be polled soon."""

    source_system: str
    #: for dropping repeats
    event_id: str
    native_id: str = ""


class WebhookVerifier(Protocol):
    """Checks who calls `/webhooks/{source}` before anything of the body is believed."""

    #: the path's last segment
    source: str

    async def verify(
        self, headers: Mapping[str, str], body: bytes, context: ConnectorContext
    ) -> WebhookEvent | None:
        """Give the event, or None when the caller did not prove who it is."""
        ...
