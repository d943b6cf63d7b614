"""What an action is: one typed function, its declaration, and what it is called with.

An action declares *what it does* (`entity.verb`, effect, parameters, permissions, reversal);
the engine decides *whether it happens*. The function only speaks to the product. It gets the
connectors it needs by naming their types:

    @action("device.isolate", system="defender", target=Device, effect=Effect.CONTAIN, …)
    async def isolate(call: Call[IsolateParams], machines: MachineClient) -> Outcome: …

    @isolate.observe
    async def observe_isolation(target: Target, machines: MachineClient) -> Observation: …
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast, get_type_hints

import msgspec

from quell.domain.entity import Alias, Entity
from quell.domain.ids import IncidentId, RunId
from quell.domain.outcome import Observation, Outcome

__all__ = [
    "Action",
    "Call",
    "Effect",
    "NoParams",
    "Resolution",
    "Resolver",
    "Target",
    "Trait",
    "Unresolved",
    "action",
    "connector_types",
    "resolver",
]

ParamsT = TypeVar("ParamsT", bound=msgspec.Struct)
ParamsT_co = TypeVar("ParamsT_co", bound=msgspec.Struct, covariant=True)


class Effect(StrEnum):
    """What an action does to the world; who must be asked follows from it."""

    #: changes nothing
    READ = "read"
    #: adds a remark or a mark: incident comments, tags, status
    ANNOTATE = "annotate"
    #: cuts something off: isolate a device, disable an account
    CONTAIN = "contain"
    #: refuses something from now on: block an address
    DENY = "deny"
    #: removes what an attacker left: purge mail, quarantine a file
    REMEDIATE = "remediate"
    #: takes a contain, deny or remediate back
    RESTORE = "restore"


class Trait(StrEnum):
    """What a resolver can say about a target that the guard must know."""

    WORKSTATION = "workstation"
    SERVER = "server"
    DOMAIN_CONTROLLER = "domain_controller"
    IDENTITY_SENSOR = "identity_sensor"
    OWN_HOST = "own_host"
    PERSON = "person"
    SERVICE_ACCOUNT = "service_account"
    SYNC_ACCOUNT = "sync_account"
    BREAK_GLASS = "break_glass"
    ADMIN = "admin"
    GUEST = "guest"
    SYNCED = "synced"
    SHARED_MAILBOX = "shared_mailbox"
    EXTERNAL = "external"


class NoParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """For actions that need nothing but a target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing that an action is about, resolved: a canonical entity, or the run's incident."""

    #: canonical id; guard, limits, holds and keys use it
    id: str
    #: `EntityKind` value, or `incident`
    kind: str
    #: None for an incident
    entity: Entity | None = None
    aliases: tuple[Alias, ...] = ()
    #: what the resolver found out; `is_classified` tells whether it could
    traits: frozenset[Trait] = frozenset()
    is_classified: bool = False
    #: vendor facts from the resolver, e.g. the object as it stands
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def alias(self, kind: str) -> str | None:
        """Find the first name of that scheme, folded to lower case."""
        return next((alias.value for alias in self.aliases if alias.kind == kind), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a resolver found: the entity with more names, its traits, and vendor facts."""

    entity: Entity
    aliases: tuple[Alias, ...] = ()
    traits: frozenset[Trait] = frozenset()
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """Nothing, or more than one thing, answers to the entity's names: it is not acted on."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[ParamsT_co]):
    """What an action function is called with, after the guard agreed and the intent is on record."""

    params: ParamsT_co
    #: one target, or up to the declared batch size of them
    targets: tuple[Target, ...]
    #: the same for every attempt of this effect; put it into the vendor's record
    key: str
    #: why, in words for the vendor's record: playbook, incident, run; contains `key`
    note: str
    #: nothing may be sent after this moment
    deadline: datetime
    tenant_id: str
    incident_id: IncidentId | None = None
    run_id: RunId | None = None
    #: what `observe` said before, by target id
    before: Mapping[str, Observation] = field(default_factory=dict[str, Observation])

    @property
    def target(self) -> Target:
        """Give the only target; batched actions use `targets`."""
        (only,) = self.targets
        return only


ActionFunction = Callable[..., Awaitable[Outcome | Sequence[Outcome]]]
ObserveFunction = Callable[..., Awaitable[Observation]]
PollFunction = Callable[..., Awaitable[Outcome]]
CancelFunction = Callable[..., Awaitable[None]]
ResolveFunction = Callable[..., Awaitable[Resolution | Unresolved]]


@lru_cache(maxsize=1024)  # annotations are worked out once, not for each call
def connector_types(function: Callable[..., Any]) -> dict[str, type]:
    """Read from a function's annotations which connectors it asks for, by parameter name.

    The first parameter is what quell passes (call, target, operation); the rest are connectors.
    """
    hints = get_type_hints(function)
    names = list(inspect.signature(function).parameters)[1:]
    return {name: cast(type, hints[name]) for name in names}


@dataclass(eq=False, kw_only=True)
class Action:
    """An action's declaration. Made by the `action` decorator, completed by its `observe` and the like."""

    name: str
    #: which implementation this is; two systems can offer the same name and policy chooses
    system: str
    effect: Effect
    call: ActionFunction
    summary: str
    #: the entity class it acts on; None means the run's incident
    target: type | None
    params: type[msgspec.Struct] = NoParams
    #: what `Succeeded.data` holds; its fields can be used in playbook expressions
    result: type[msgspec.Struct] | None = None
    #: application permissions that it needs, as the vendor spells them
    permissions: tuple[str, ...] = ()
    #: which of the tenant's identities makes the call: reader, sync, device, user, mail, …
    identity: str = "reader"
    #: name of the action that takes it back
    reversal: str | None = None
    #: the lasting state that it makes, which holds keep: `device.isolated`
    makes: str | None = None
    #: the lasting state that it ends
    ends: str | None = None
    batch: int = 1
    #: how long after success the vendor's view is trusted to show it
    settle: timedelta = timedelta(seconds=5)
    #: how long one call may take
    timeout: timedelta = timedelta(seconds=60)
    #: whether sending it twice is the same as sending it once
    is_idempotent: bool = False
    #: run only in a child process with limits, never in the worker; settings can ask for more
    isolate: bool = False
    #: vendor page that the call follows
    docs: str = ""
    observe_function: ObserveFunction | None = None
    poll_function: PollFunction | None = None
    cancel_function: CancelFunction | None = None

    def observe(self, function: ObserveFunction) -> ObserveFunction:
        """Declare how the present state is read: `async (target, connectors…) -> Observation`."""
        self.observe_function = function
        return function

    def poll(self, function: PollFunction) -> PollFunction:
        """Declare how a vendor operation is asked about: `async (operation, connectors…) -> Outcome`."""
        self.poll_function = function
        return function

    def cancel(self, function: CancelFunction) -> CancelFunction:
        """Declare how an open vendor operation is cancelled: `async (operation, connectors…)`."""
        self.cancel_function = function
        return function

    @property
    def entity(self) -> str:
        """Give the first half of the name."""
        return self.name.partition(".")[0]

    @property
    def is_guarded(self) -> bool:
        """Tell whether `halt` and disarming stop it; taking back and reading always go on."""
        return self.effect in {Effect.CONTAIN, Effect.DENY, Effect.REMEDIATE}


def action(
    name: str,
    *,
    system: str,
    effect: Effect,
    target: type | None,
    **declaration: Any,
) -> Callable[[ActionFunction], Action]:
    """Declare the function below as an action; see `Action` for what else can be declared.

    The function's docstring is the summary shown to people. Nothing is registered by this:
    a plugin hands the result out through the `quell_actions` hook.
    """

    def declare(function: ActionFunction) -> Action:
        return Action(
            name=name,
            system=system,
            effect=effect,
            target=target,
            call=function,
            summary=(inspect.getdoc(function) or name).splitlines()[0],
            **declaration,
        )

    return declare


@dataclass(eq=False, kw_only=True)
class Resolver:
    """How entities of one class are looked up in their system before anything acts on them."""

    target: type
    system: str
    resolve: ResolveFunction
    identity: str = "reader"
    permissions: tuple[str, ...] = ()


def resolver(
    target: type, *, system: str, identity: str = "reader", permissions: tuple[str, ...] = ()
) -> Callable[[ResolveFunction], Resolver]:
    """Declare `async (entity, connectors…) -> Resolution | Unresolved` as the resolver of a class."""

    def declare(function: ResolveFunction) -> Resolver:
        return Resolver(
            target=target,
            system=system,
            resolve=function,
            identity=identity,
            permissions=permissions,
        )

    return declare
