"""What the core asks of its surroundings: a clock, quota, and products that hold incidents.

Everything here is a `Protocol` or a value that crosses one. Plugins implement them; the core
never names who does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from quell.domain.entity import Entity, EntityKind
from quell.domain.fields import FieldRule
from quell.domain.ids import IncidentId, SourceId
from quell.domain.incident import Alert, Comment, IncidentFields, Task
from quell.domain.outcome import Outcome

__all__ = [
    "Clock",
    "Detail",
    "EntitySummary",
    "IncidentDesk",
    "IncidentSource",
    "NewIncident",
    "ObservedIncident",
    "OperationClass",
    "PolledPage",
    "Quota",
    "Rate",
]


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
    #: the part that is kept for containment; nothing where no containment calls that class
    reserve: float = 0.2


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


class Detail(StrEnum):
    """A part of an incident that a list may leave out."""

    ALERTS = "alerts"
    COMMENTS = "comments"
    TASKS = "tasks"


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
    tasks: tuple[Task, ...] | None = None
    #: alerts that are known to be new or changed, where `alerts` as a whole is not included
    news: tuple[Alert, ...] = ()
    #: whatever of its alerts changed from then on is in `news`; None where that cannot be said
    news_since: datetime | None = None
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
    #: the `Original` (tenant, source id, native id) that one of our own copies carries in its
    #: name or mark
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
    #: the `Original` as text: `tenant/source_id/native_id`
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
    #: how the product holds each field of `FIELD_TABLE`, by name; what is missing it does not have
    fields: Mapping[str, FieldRule]
    #: what the vendor's own connector brings here by itself, where it makes the copies: canonical
    #: field names and `comments`; empty where there is no such connector. For a mirror, into the
    #: copies that it made; for the product that detects, back from those
    carried: frozenset[str]
    #: most characters of one comment here, most comments of one incident, most tasks
    comment_limit: int
    comments_at_most: int
    #: whether a comment of ours can be changed once it is there
    edits_comments: bool
    tasks_at_most: int
    #: seconds between two polls
    poll_every: float
    #: seconds between two sweeps, none where 0; and how far back each goes
    sweep_every: float
    sweep_back: timedelta

    def poll(self, cursor: str | None) -> AsyncIterator[PolledPage]:
        """Go through what changed since the cursor (None: everything in the look-back window)."""
        ...

    def sweep(
        self, since: datetime, *, until: datetime | None = None, cursor: str | None = None
    ) -> AsyncIterator[PolledPage]:
        """Go through everything that changed in a time, known or not, and what hangs loose.

        The cursor is one that an earlier sweep of the same time gave: it goes on from there.
        """
        ...

    async def count(self, since: datetime, until: datetime) -> int | None:
        """Count what a sweep of a time would give; None where the product cannot say."""
        ...

    def reached(self, cursor: str | None) -> datetime | None:
        """Give the newest change that a cursor stands for; None before the first. Pure."""
        ...

    async def fetch(self, native_id: str, *, details: bool = True) -> ObservedIncident:
        """Read one incident with its alerts and comments, or its fields alone. Raises AnswerNotFound."""
        ...

    async def fetch_details(
        self, seen: ObservedIncident, parts: Collection[Detail]
    ) -> ObservedIncident:
        """Read parts that a list left out, in as few calls as it takes. Raises AnswerNotFound."""
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

    async def put_task(self, native_id: str, task: Task, key: str) -> Task:
        """Change a task, or make one where `task.key` is empty; its id then follows from `key`."""
        ...

    async def edit_comment(self, native_id: str, comment_key: str, text: str) -> Comment:
        """Change the text of a comment of ours, named by the product's id. Twice is once."""
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


class EntitySummary(msgspec.Struct, frozen=True, kw_only=True):
    """An entity of an incident as playbooks see it: canonical id, names, roles and verdict."""

    id: str
    kind: EntityKind
    entity: Entity
    roles: tuple[str, ...] = ()
    verdict: str = "unknown"
    #: ids of the alerts that name it
    alerts: tuple[str, ...] = ()
