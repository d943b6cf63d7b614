"""What the core asks of others: a clock, quota, connectors, and products that hold incidents.

Everything here is a `Protocol` or a value that crosses one. Plugins implement them; the core
never names who does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from quell.domain.entity import Entity, EntityKind
from quell.domain.ids import IncidentId, SourceId, TenantId
from quell.domain.incident import Alert, Comment, IncidentFields
from quell.domain.outcome import Outcome

__all__ = [
    "Beat",
    "Check",
    "CheckResult",
    "Clock",
    "ConnectorContext",
    "ConnectorSpec",
    "EntitySummary",
    "IncidentDesk",
    "IncidentSource",
    "NewIncident",
    "Notice",
    "Notifier",
    "ObservedIncident",
    "OperationClass",
    "PolledPage",
    "Quota",
    "Rate",
    "SettingsSection",
    "SimulatorControl",
    "SimulatorSpec",
    "SourceSpec",
    "TenantFact",
    "TenantFacts",
    "WebhookEvent",
    "WebhookVerifier",
]

T = TypeVar("T")


class Clock(Protocol):
    """Time. Aware and UTC everywhere; the database's in production, controllable in tests."""

    def now(self) -> datetime:
        """Tell the time."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...


class OperationClass(msgspec.Struct, frozen=True):
    """What a vendor's limit counts together: calls of one kind to one API."""

    api: str
    name: str


class Rate(msgspec.Struct, frozen=True):
    """What a vendor documents for an operation class: so many calls in so many seconds."""

    calls: int
    seconds: float


class Quota(Protocol):
    """Leave to call a product, by tenant, API and operation class."""

    async def acquire(
        self, operation: OperationClass, *, cost: int = 1, for_containment: bool = False
    ) -> None:
        """Wait until a call of that class may be sent. Containment has a reserved share."""
        ...

    async def pause(self, operation: OperationClass, seconds: float) -> None:
        """Let nobody call that class for so long: the vendor asked us to wait."""
        ...


# -- incidents ---------------------------------------------------------------------------------


class ObservedIncident(msgspec.Struct, frozen=True, kw_only=True):
    """What one product says about one incident now, in its own terms and in ours.

    `native` holds, by the field names of `IncidentFields`, the product's own raw JSON value of
    that field; it is what the shadow keeps, and a side has changed only if this has. `fields`
    is the same read into canonical words.
    """

    source_id: SourceId
    native_id: str
    native: dict[str, Any]
    fields: IncidentFields
    #: version token that a write must give back; empty where the product has none
    etag: str = ""
    #: the product's own stamp of the last change, as text and as UTC
    stamp: str = ""
    changed_at: datetime | None = None
    created_at: datetime | None = None
    #: who the product says changed it last; shown to people, never decides anything
    changed_by: str = ""
    #: for people: the number or the page of it
    number: str = ""
    url: str = ""
    #: None where this observation did not include them (a list without details)
    alerts: tuple[Alert, ...] | None = None
    comments: tuple[Comment, ...] | None = None
    #: counts from the list, to tell whether details must be fetched; None where not given
    alert_count: int | None = None
    comment_count: int | None = None
    #: native id of the incident that this one was merged into
    merged_into: str | None = None
    #: the product's copy is gone
    is_deleted: bool = False
    #: where this copy says that it mirrors an incident of another *system*: its native id there
    counterpart_system: str | None = None
    counterpart_id: str | None = None
    #: opaque marks that two copies of one incident share (links, alert ids): at least one must
    #: be common before a counterpart is believed
    proofs: frozenset[str] = frozenset()
    #: the origin (source id, native id) that one of our own copies carries in its name or mark
    created_for: str | None = None
    raw: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class PolledPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of changed incidents. Its cursor may be stored when, and only when, the rows are."""

    incidents: tuple[ObservedIncident, ...]
    #: opaque to the core; where the next poll goes on
    cursor: str
    #: ids that could not be read, with the reason: parked and reported, never skipped in silence
    poison: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class NewIncident(msgspec.Struct, frozen=True, kw_only=True):
    """What a product needs to make its copy of an incident."""

    #: deterministic: making it twice is making it once
    native_id: str
    #: `source_id/native_id` of the original
    created_for: str
    fields: IncidentFields
    original_url: str = ""
    alerts: tuple[Alert, ...] = ()
    first_activity: str | None = None
    last_activity: str | None = None


class IncidentSource(Protocol):
    """One product instance that holds incidents: it is polled, read and written to."""

    #: which product: `defender`, `sentinel`, …; links of equal systems are never paired
    system: str
    source_id: SourceId
    #: whether copies can be made here
    can_create: bool
    #: canonical field names that can be written here
    writable: frozenset[str]
    #: most characters of one comment here
    comment_limit: int
    #: seconds between two polls
    poll_every: float

    def poll(self, cursor: str | None) -> AsyncIterator[PolledPage]:
        """Go through what changed since the cursor (None: everything in the look-back window)."""
        ...

    async def fetch(self, native_id: str) -> ObservedIncident:
        """Read one incident with its alerts and comments. Raises AnswerNotFound."""
        ...

    def project(self, name: str, fields: IncidentFields, native: Mapping[str, Any]) -> Any:
        """Give the raw value that canonical `fields` should have here, for one field name.

        `native` is the raw value by field now. Returns the present raw value itself where it
        already stands for the canonical one, so that what a product cannot hold never makes
        two sides differ. Pure.
        """
        ...

    def name_for(self, created_for: str) -> str:
        """Give the deterministic native id of our own copy of an incident. Pure."""
        ...

    async def create(self, incident: NewIncident) -> ObservedIncident:
        """Make a copy, or find the one that an earlier try made."""
        ...

    async def update(self, base: ObservedIncident, changes: Mapping[str, Any]) -> ObservedIncident:
        """Write raw values by field name, on top of what was read as `base`.

        Raises WriteConflict where the product can tell that `base` is stale.
        """
        ...

    async def comment(self, native_id: str, text: str, key: str) -> Comment:
        """Add a comment. `key` is ours and is in the text or the id: a repeat can be looked up."""
        ...

    async def find_comment(self, native_id: str, key: str) -> Comment | None:
        """Look for the comment that carries our key."""
        ...


class IncidentDesk(Protocol):
    """The one writer of incidents, as actions see it: every write is in the journal first."""

    async def comment(
        self, incident_id: IncidentId, text: str, *, key: str, run_id: str | None
    ) -> Outcome:
        """Add a comment to every copy. Repeating it with the same key changes nothing."""
        ...

    async def update(
        self,
        incident_id: IncidentId,
        changes: Mapping[str, Any],
        *,
        key: str,
        run_id: str | None,
    ) -> Outcome:
        """Change canonical fields, on every copy. `changes` holds canonical values by field name."""
        ...

    async def current(self, incident_id: IncidentId) -> IncidentFields:
        """Read the canonical fields as the journal has them now."""
        ...

    async def has_comment(self, incident_id: IncidentId, key: str) -> bool:
        """Tell whether the comment with that key is on record as written."""
        ...

    async def outcome(self, incident_id: IncidentId, key: str) -> Outcome:
        """Tell what has become of an earlier comment or update with that key, on all copies."""
        ...


# -- what plugins offer ------------------------------------------------------------------------


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
class ConnectorSpec:
    """How a connector type is built; one instance per tenant and identity, made when first asked for."""

    kind: type
    build: Callable[[ConnectorContext], Any]
    #: called when the process ends
    close: Callable[[Any], Awaitable[None]] | None = None
    #: the vendor's documented limits of the operation classes that it asks the quota for
    rates: Mapping[OperationClass, Rate] = field(default_factory=dict[OperationClass, Rate])


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """A system that holds incidents, and how its sources are found in a tenant's settings."""

    system: str
    #: `detects` is where incidents begin; `mirrors` is where copies are made
    part: Literal["detects", "mirrors"]
    build: Callable[[ConnectorContext], Sequence[IncidentSource]]


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


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happens in a simulated tenant's story, and what it is there to show."""

    name: str
    sentence: str


class TenantFact(msgspec.Struct, frozen=True, kw_only=True):
    """One line of proof, read back from the tenant."""

    what: str
    target: str
    state: str
    #: the target's own id in its product, as an alias of the canonical entity has it
    alias: str = ""
    #: how often the tenant accepted a request for it
    accepted: int = 0
    #: whether it is as the story wants it
    ok: bool = True


class TenantFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulated tenant says of itself: counted on its side, not on ours."""

    #: incidents that begin there, and how many of them were merged into others
    incidents: int
    merged: int
    #: copies in the mirroring product
    copies: int
    #: accepted effects by action name
    effects: dict[str, int]
    #: what must not be touched and was not; None where the story has nothing of the kind
    protected_untouched: bool | None
    lines: tuple[TenantFact, ...] = ()


class SimulatorControl(Protocol):
    """Drives a running simulator's story and reads the tenant's side of it."""

    async def beats(self) -> Sequence[Beat]:
        """List the story's beats in order; empty when it plays recorded incidents."""
        ...

    async def play(self, name: str) -> None:
        """Let one beat happen now."""
        ...

    async def facts(self) -> TenantFacts:
        """Read the tenant's side."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSpec:
    """A simulated product tenant that playbook authors can test against."""

    name: str
    summary: str
    #: blocks until the process is told to stop; options as `quell simulate` passes them
    serve: Callable[[Mapping[str, Any]], None]
    #: turns a ready file's content into the sections of a tenant's settings
    settings_from: Callable[[Mapping[str, Any]], dict[str, Any]]
    #: drives a running simulator, given its ready file's content
    control: Callable[[Mapping[str, Any]], SimulatorControl]


class EntitySummary(msgspec.Struct, frozen=True, kw_only=True):
    """An entity of an incident as playbooks see it: canonical id, names, roles and verdict."""

    id: str
    kind: EntityKind
    entity: Entity
    roles: tuple[str, ...] = ()
    verdict: str = "unknown"
    #: ids of the alerts that name it
    alerts: tuple[str, ...] = ()
