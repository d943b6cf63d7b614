"""What the journal knows of one incident and its copies: the value that sync's decisions change.

A `Hub` is the canonical incident with one `Link` for each product's copy. Sync's rules are pure
functions from a hub to a `Step`; the journal loads the one and stores the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

import msgspec

from quell.domain.ids import EntityId, IncidentId, LinkId, SourceId, TenantId
from quell.domain.incident import Alert, IncidentFields, Origin
from quell.domain.offers import Notice
from quell.domain.playbook import IncidentEvent
from quell.domain.view import IncidentView

__all__ = [
    "Acceptance",
    "AlertNote",
    "Bounds",
    "Conflict",
    "Copy",
    "Echo",
    "Hub",
    "HubComment",
    "HubTask",
    "IncidentWrite",
    "Link",
    "LostAlerts",
    "Mark",
    "RevisionDraft",
    "Routing",
    "Shadow",
    "Sighting",
    "Step",
    "TaskCopy",
    "WriteKind",
    "WriteState",
    "changed_fields",
]


class WriteState(StrEnum):
    """Where one write to a product's copy of an incident stands."""

    PLANNED = "planned"
    #: committed before the request leaves: from here on it may have happened
    SENDING = "sending"
    APPLIED = "applied"
    #: another write, or the product itself, made it unnecessary
    SUPERSEDED = "superseded"
    #: refused by the product, or given up; a person looks at it
    PARKED = "parked"


class WriteKind(StrEnum):
    """What a write to a product's copy does."""

    CREATE = "create"
    UPDATE = "update"
    COMMENT = "comment"
    #: close a copy that another one has taken the place of
    RETIRE = "retire"
    #: make a task, or mark it as done or open
    TASK = "task"

    @property
    def is_of_fields(self) -> bool:
        """Tell whether what such a write intends are the values of the copy's fields."""
        return self in {WriteKind.UPDATE, WriteKind.RETIRE}


class Acceptance(StrEnum):
    """Whether a link may be written to."""

    #: first contact: differences are drift that a person has to accept
    PENDING = "pending"
    ACCEPTED = "accepted"


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """When a value came about, as far as observing can tell: after `after`, by `since`."""

    since: datetime
    after: datetime | None = None
    #: who the product said had changed it; shown to people, never decides anything
    by: str = ""


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy says: raw by field, and read into canonical words."""

    native: dict[str, Any]
    fields: IncidentFields


class Echo(msgspec.Struct, frozen=True, kw_only=True):
    """What we last wrote to a field and what the product made of it.

    Where it keeps something else than it was sent, sending it again changes nothing.
    """

    sent: Any = None
    got: Any = None


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Where a canonical value came from, for deciding and recording conflicts."""

    #: empty when quell itself wrote it, for a playbook or a person
    system: str = ""
    link_id: LinkId | None = None
    bounds: Bounds
    by: str = ""
    #: in JSON words, what the product that detects said last by itself; unset before it said any
    vouched: Any = msgspec.UNSET


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One product's copy of an incident."""

    id: LinkId
    incident_id: IncidentId
    source_id: SourceId
    system: str
    native_id: str
    #: as the product last confirmed it: moved by what was taken over, and by answers to writes
    shadow: Shadow
    #: as last read
    observed: Shadow
    #: since when each field is observed to be as it is
    bounds: dict[str, Bounds] = {}
    echoes: dict[str, Echo] = {}
    etag: str = ""
    stamp: str = ""
    #: the newest stamp seen or answered; what is older is stale and says nothing
    changed_at: datetime | None = None
    url: str = ""
    number: str = ""
    proofs: frozenset[str] = frozenset()
    alert_count: int | None = None
    comment_count: int | None = None
    acceptance: Acceptance = Acceptance.ACCEPTED
    #: we made this copy
    is_ours: bool = False
    #: deleted at the product; never made again
    deleted_at: datetime | None = None
    #: the copy that took this one's place
    retired_to: LinkId | None = None
    merged_into_native_id: str | None = None
    counterpart_system: str | None = None
    counterpart_id: str | None = None
    seen_at: datetime

    def is_past(self, moment: datetime | None) -> bool:
        """Tell whether the copy was read, or written by us, in a later state than that of `moment`."""
        return self.changed_at is not None and moment is not None and moment < self.changed_at

    @property
    def is_live(self) -> bool:
        """Tell whether this copy still takes part: not deleted, retired or merged away."""
        return (
            self.deleted_at is None
            and self.retired_to is None
            and self.merged_into_native_id is None
        )


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """One comment, or one part of a long one, in one product's copy of the incident."""

    link_id: LinkId
    part: int = 0
    #: our key in its text; empty for the original itself and for copies that others made
    copy_key: str = ""
    #: the product's id of it, once it is known to be there
    native_key: str | None = None


class HubComment(msgspec.Struct, frozen=True, kw_only=True):
    """One comment of the incident, wherever it was written, and where it is copied to."""

    id: str
    #: `comment`; `alerts` for what tells our own copies of alerts; `note` for ours on one copy
    kind: str = "comment"
    #: where it was written; None for quell's own
    origin_link_id: LinkId | None = None
    #: unique within the incident
    origin_key: str
    text: str
    author: str = ""
    created_at: datetime | None = None
    caused_by: str | None = None
    copies: tuple[Copy, ...] = ()

    def copy_in(self, link_id: LinkId) -> tuple[Copy, ...]:
        """List the parts of this comment in one copy of the incident."""
        return tuple(copy for copy in self.copies if copy.link_id == link_id)


class TaskCopy(msgspec.Struct, frozen=True, kw_only=True):
    """One task in one product's copy of the incident, as last read there."""

    #: the product's id of it
    native_key: str
    is_done: bool = False
    #: digest of its title and description
    words: str = ""
    #: digest of what we last wrote there, whatever the product made of it; empty since others did
    sent: str = ""
    #: deleted there; never made again
    is_gone: bool = False


class HubTask(msgspec.Struct, frozen=True, kw_only=True):
    """One task of the incident, wherever it was made, and where it is copied to."""

    id: str
    #: unique within the incident
    origin_key: str
    origin_link_id: LinkId | None = None
    title: str
    description: str = ""
    is_done: bool = False
    #: by link, once it is known to be there
    copies: dict[str, TaskCopy] = {}


class AlertNote(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of an alert: its content's digest, and the digest told to our copies."""

    digest: str
    carried: str | None = None


class IncidentWrite(msgspec.Struct, frozen=True, kw_only=True):
    """One write to one product's copy of an incident, from its plan to its end."""

    id: str
    link_id: LinkId | None
    source_id: SourceId
    kind: WriteKind
    state: WriteState = WriteState.PLANNED
    #: doing it twice is doing it once
    key: str
    intended: dict[str, Any]
    base: dict[str, Any] | None = None
    answer: dict[str, Any] | None = None
    caused_by: str | None = None
    attempts: int = 0
    not_before: datetime | None = None
    error: str = ""
    planned_at: datetime

    @property
    def is_open(self) -> bool:
        """Tell whether it still has to be sent or found out about."""
        return self.state in {WriteState.PLANNED, WriteState.SENDING}


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules on where incidents go made of one, when they were last asked."""

    #: False leaves it alone: it has no copies made, and those that others made are not written to
    is_synced: bool = True
    #: where it is copied to
    to: tuple[SourceId, ...] = ()
    #: which rule had no answer for it, and why; it goes nowhere new then
    unanswered: str = ""


class Hub(msgspec.Struct, frozen=True, kw_only=True):
    """One incident as the journal has it, with all copies, comments and unfinished writes."""

    tenant_id: TenantId
    id: IncidentId
    fields: IncidentFields = IncidentFields()
    #: 0 before the first
    revision: int = 0
    marks: dict[str, Mark] = {}
    merged_into: IncidentId | None = None
    origin_source_id: SourceId | None = None
    origin_native_id: str | None = None
    #: None where there are no rules, or they were not asked yet
    routing: Routing | None = None
    created_at: datetime
    updated_at: datetime
    links: tuple[Link, ...] = ()
    comments: tuple[HubComment, ...] = ()
    tasks: tuple[HubTask, ...] = ()
    #: by `source_id/native_id`
    alerts: dict[str, AlertNote] = {}
    #: planned, sending and parked ones
    writes: tuple[IncidentWrite, ...] = ()

    def link(self, link_id: str | None) -> Link | None:
        """Find one of the links."""
        return next((link for link in self.links if link.id == link_id), None)

    def link_at(self, source_id: str, native_id: str) -> Link | None:
        """Find the link to one product's copy."""
        return next(
            (
                link
                for link in self.links
                if (link.source_id, link.native_id) == (source_id, native_id)
            ),
            None,
        )

    def replace(self, **changes: Any) -> Hub:
        """Return this hub with some of its fields changed."""
        return msgspec.structs.replace(self, **changes)

    def with_link(self, changed: Link) -> Hub:
        """Return this hub with one link changed or added."""
        others = tuple(link for link in self.links if link.id != changed.id)
        if len(others) == len(self.links):
            return self.replace(links=(*self.links, changed))
        links = tuple(changed if link.id == changed.id else link for link in self.links)
        return self.replace(links=links)

    def with_write(self, changed: IncidentWrite) -> Hub:
        """Return this hub with one write changed or added."""
        if all(write.id != changed.id for write in self.writes):
            return self.replace(writes=(*self.writes, changed))
        writes = tuple(changed if write.id == changed.id else write for write in self.writes)
        return self.replace(writes=writes)

    def with_comment(self, changed: HubComment) -> Hub:
        """Return this hub with one comment changed or added."""
        if all(comment.id != changed.id for comment in self.comments):
            return self.replace(comments=(*self.comments, changed))
        comments = tuple(changed if one.id == changed.id else one for one in self.comments)
        return self.replace(comments=comments)

    def with_task(self, changed: HubTask) -> Hub:
        """Return this hub with one task changed or added."""
        if all(task.id != changed.id for task in self.tasks):
            return self.replace(tasks=(*self.tasks, changed))
        tasks = tuple(changed if one.id == changed.id else one for one in self.tasks)
        return self.replace(tasks=tasks)


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """A disagreement that is put on record: what each side had, and what was made of it."""

    field: str
    #: `both_changed`, `first_contact`, `possible_overwrite`, `unpaired`, `merge_circle`
    kind: str
    body: dict[str, Any]
    #: who had decided it before it was put on record; empty where somebody still may
    settled_by: str = ""


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """What surrounds one observation when it is taken into a hub."""

    now: datetime
    origin: Origin
    #: entities that it names and the incident did not have
    new_entities: tuple[EntityId, ...] = ()
    #: whether the source had been accepted by a person before this incident began
    is_accepted: bool = False
    #: the incident as rules see it, without what this observation says; only where there are rules
    view: IncidentView | None = None
    #: alerts with content that is new or changed, and the ids of those that are new
    changed_alerts: tuple[Alert, ...] = ()
    new_alerts: tuple[str, ...] = ()
    #: alerts that the incident had and a whole list of them does not show any more, and the
    #: entities that only they named
    gone_alerts: tuple[Alert, ...] = ()
    gone_entities: tuple[EntityId, ...] = ()
    #: for people: the incidents of the same product that alerts were moved here from
    moved_from: tuple[str, ...] = ()


class LostAlerts(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts that an incident had until another one was seen with them."""

    alerts: tuple[Alert, ...]
    #: what only they named
    entities: tuple[EntityId, ...] = ()
    #: the incident that has them now
    to: Hub


class RevisionDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A real change of an incident, before it has its number."""

    origin: Origin
    events: tuple[IncidentEvent, ...]
    changes: dict[str, Any]
    happened_at: datetime
    source_id: SourceId | None = None
    link_id: LinkId | None = None
    stamp: str = ""
    actor: str = ""
    caused_by: str | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision makes of a hub."""

    hub: Hub
    revision: RevisionDraft | None = None
    conflicts: tuple[Conflict, ...] = ()
    notices: tuple[Notice, ...] = ()

    def on(self, hub: Hub) -> Step:
        """Return this step with a hub that went further."""
        return msgspec.structs.replace(self, hub=hub)


def changed_fields(before: IncidentFields, after: IncidentFields) -> Mapping[str, list[Any]]:
    """Tell which canonical values differ, as `{field: [old, new]}` in JSON words."""
    differences: dict[str, list[Any]] = {}
    for name in IncidentFields.__struct_fields__:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            differences[name] = [_plain(old), _plain(new)]
    return differences


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[str]", value))
    return msgspec.to_builtins(value)
