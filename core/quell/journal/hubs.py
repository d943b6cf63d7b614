"""Loads and stores an incident with all its copies as one value, so that rules can be pure.

Every change goes the same way: lock the incident, load its hub, let a rule make a step of it,
store what differs. A page of observations and its cursor are stored in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from quell.domain.hub import Hub, Sighting, Step
from quell.domain.ids import IncidentId, SourceId, TenantId, WorkerId
from quell.domain.incident import Origin
from quell.domain.ports import ObservedIncident
from quell.errors import NotFoundError
from quell.journal import (
    alerts,
    comments,
    conflicts,
    cursors,
    entities,
    incident_writes,
    incidents,
    leases,
    links,
    notices,
    pairing,
    sync_switches,
)
from quell.journal.entity_rows import move_entities
from quell.journal.writer import Question, Transaction, Write

__all__ = ["CursorMove", "Decisions", "Stored", "at_now", "change", "get", "store"]


#: what the incident's own row holds of a hub
COLUMNS = (
    "tenant_id",
    "id",
    "fields",
    "revision",
    "marks",
    "merged_into",
    "origin_source_id",
    "origin_native_id",
    "created_at",
    "updated_at",
)


class Decisions(Protocol):
    """The pure rules that the journal asks while it stores."""

    @property
    def tenant_id(self) -> TenantId:
        """Tell whose incidents these are."""
        ...

    def system(self, source_id: SourceId) -> str:
        """Tell which product a source is an instance of."""
        ...

    def is_mirror(self, source_id: SourceId) -> bool:
        """Tell whether copies are made there."""
        ...

    def absorb(self, hub: Hub, seen: ObservedIncident, context: Sighting) -> Step:
        """Take an observation into a hub."""
        ...

    def merge(self, winner: Hub, loser: Hub, now: datetime) -> tuple[Step, Step]:
        """Make one incident an alias of another."""
        ...


class CursorMove(msgspec.Struct, frozen=True, kw_only=True):
    """Where a source's cursor goes with a page, from the version that was read."""

    source_id: SourceId
    version: int
    to: str


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What storing observations came to."""

    incidents: int = 0
    revisions: int = 0
    #: incidents that have writes to be sent now
    with_writes: tuple[IncidentId, ...] = ()


def get(tenant_id: TenantId, incident_id: IncidentId) -> Question[Hub]:
    """Give an incident with all its copies. Raises NotFoundError."""

    def ask(tx: Transaction) -> Hub:
        hub = load(tx, tenant_id, incident_id)
        if hub is None:
            raise NotFoundError(what="incident", name=incident_id)
        return hub

    return ask


def at_now(tenant_id: TenantId, incident_id: IncidentId) -> Question[tuple[Hub, datetime]]:
    """Give an incident with all its copies, and the database's time. Raises NotFoundError."""
    return lambda tx: (get(tenant_id, incident_id)(tx), tx.now)


def change(
    tenant_id: TenantId,
    incident_id: IncidentId,
    decide: Callable[[Hub, datetime], Step],
    *,
    lease: tuple[WorkerId, int] | None = None,
) -> Write[Hub | None]:
    """Let a rule change one incident. None, and nothing happens, when the lease was lost."""

    def apply(tx: Transaction) -> Hub | None:
        if lease is not None and not leases.holds(tx, tenant_id, f"incident/{incident_id}", *lease):
            return None
        before = load(tx, tenant_id, incident_id, is_locked=True)
        if before is None:
            raise NotFoundError(what="incident", name=incident_id)
        return save(tx, before, decide(before, tx.now))

    return Write(apply, locks=("incident", tenant_id, incident_id))


def store(
    rules: Decisions,
    seen: Sequence[ObservedIncident],
    *,
    origin: Origin,
    cursor: CursorMove | None = None,
    poison: dict[str, str] | None = None,
) -> Write[Stored]:
    """Store observations of a source, with what follows from each, and move its cursor."""

    def apply(tx: Transaction) -> Stored:
        if cursor is not None:
            cursors.move(tx, rules.tenant_id, cursor.source_id, cursor.version, cursor.to)
            for native_id, reason in (poison or {}).items():
                cursors.park_item(tx, rules.tenant_id, cursor.source_id, native_id, reason)
        touched: dict[IncidentId, int] = {}
        for one in seen:
            for before, hub in absorb_one(tx, rules, one, origin):
                touched[hub.id] = touched.get(hub.id, 0) + hub.revision - before
        open_ones = [one for one in touched if _has_open(tx, rules.tenant_id, one)]
        return Stored(
            incidents=len(seen), revisions=sum(touched.values()), with_writes=tuple(open_ones)
        )

    source = seen[0].source_id if seen else ""
    return Write(apply, locks=("source", rules.tenant_id, source))


def _has_open(tx: Transaction, tenant_id: TenantId, incident_id: IncidentId) -> bool:
    return any(one.is_open for one in incident_writes.unfinished(tx, tenant_id, incident_id))


# -- one observation -----------------------------------------------------------------------------


def absorb_one(
    tx: Transaction, rules: Decisions, seen: ObservedIncident, origin: Origin
) -> list[tuple[int, Hub]]:
    """Store one observation; gives each incident that it changed, with its revision before."""
    place = pairing.locate(tx, rules, seen)
    hub = load(tx, rules.tenant_id, place.incident_id, is_locked=True) or _fresh(tx, rules, place)
    step = rules.absorb(hub, seen, _sighting(tx, rules, hub, seen, place.origin or origin))
    results = [(hub.revision, save(tx, hub, step))]
    for conflict in place.conflicts:
        conflicts.record(tx, rules.tenant_id, hub.id, conflict)
    for loser_id, winner_id in pairing.merges(tx, rules, seen, hub.id, place):
        results += _merge(tx, rules, loser_id, winner_id)
    return results


def _fresh(tx: Transaction, rules: Decisions, place: pairing.Place) -> Hub:
    return Hub(
        tenant_id=rules.tenant_id, id=place.incident_id, created_at=tx.now, updated_at=tx.now
    )


def _sighting(
    tx: Transaction, rules: Decisions, hub: Hub, seen: ObservedIncident, origin: Origin
) -> Sighting:
    accepted = sync_switches.accepted_at(tx, rules.tenant_id, seen.source_id)
    sighting = Sighting(
        now=tx.now,
        origin=origin,
        is_accepted=accepted is not None and hub.created_at > accepted,
    )
    if not seen.alerts or not _tells_of_alerts(rules, hub, seen):
        return sighting
    changed = alerts.store(tx, rules.tenant_id, seen.source_id, hub.id, hub.alerts, seen.alerts)
    new = (one.id for one in changed if f"{seen.source_id}/{one.id}" not in hub.alerts)
    return msgspec.structs.replace(
        sighting,
        changed_alerts=changed,
        new_alerts=tuple(new),
        new_entities=entities.attach(tx, rules.tenant_id, hub.id, changed),
    )


def _tells_of_alerts(rules: Decisions, hub: Hub, seen: ObservedIncident) -> bool:
    """Tell whether a copy's alerts count: a mirror's are the same ones under other names."""
    if not rules.is_mirror(seen.source_id):
        return True
    return all(rules.is_mirror(link.source_id) for link in hub.links)


def _merge(
    tx: Transaction, rules: Decisions, loser_id: IncidentId, winner_id: IncidentId
) -> list[tuple[int, Hub]]:
    comments.move(tx, rules.tenant_id, loser_id, winner_id)
    alerts.move(tx, rules.tenant_id, loser_id, winner_id)
    move_entities(tx, rules.tenant_id, loser_id, winner_id)
    winner = load(tx, rules.tenant_id, winner_id, is_locked=True)
    loser = load(tx, rules.tenant_id, loser_id, is_locked=True)
    if winner is None or loser is None or loser.merged_into is not None:
        return []
    won, lost = rules.merge(winner, loser, tx.now)
    return [(winner.revision, save(tx, winner, won)), (loser.revision, save(tx, loser, lost))]


# -- the value -----------------------------------------------------------------------------------


def load(
    tx: Transaction, tenant_id: TenantId, incident_id: str, *, is_locked: bool = False
) -> Hub | None:
    read = incidents.lock_row if is_locked else incidents.read_row
    row = read(tx, tenant_id, incident_id)
    if row is None:
        return None
    values = {name: getattr(row, name) for name in COLUMNS}
    hub = msgspec.convert(values, Hub)
    return hub.replace(
        links=links.of_incident(tx, tenant_id, incident_id),
        comments=comments.of_incident(tx, tenant_id, incident_id),
        alerts=alerts.notes(tx, tenant_id, incident_id),
        writes=incident_writes.unfinished(tx, tenant_id, incident_id),
    )


def save(tx: Transaction, before: Hub, step: Step) -> Hub:
    """Store what a step changed; gives the hub with its new revision."""
    hub = step.hub
    if step.revision is not None:
        hub = incidents.add_revision(tx, hub, step.revision)
    if _of_incident(before) != _of_incident(hub) or before.revision == 0:
        incidents.save_incident(tx, hub)
    _save_parts(tx, before, hub)
    for conflict in step.conflicts:
        conflicts.record(tx, hub.tenant_id, hub.id, conflict)
    for notice in step.notices:
        notices.add(tx, notice)
    return hub


def _of_incident(hub: Hub) -> tuple[object, ...]:
    return hub.fields, hub.revision, hub.marks, hub.merged_into, hub.origin_native_id


def _save_parts(tx: Transaction, before: Hub, hub: Hub) -> None:
    known_links = {link.id: link for link in before.links}
    for link in hub.links:
        if known_links.get(link.id) != link:
            links.save_link(tx, hub.tenant_id, link)
    known_comments = {comment.id: comment for comment in before.comments}
    for comment in hub.comments:
        if known_comments.get(comment.id) != comment:
            known = known_comments.get(comment.id)
            comments.save_comment(tx, hub.tenant_id, hub.id, known, comment)
    known_writes = {write.id: write for write in before.writes}
    for seq, write in enumerate(hub.writes):
        if known_writes.get(write.id) != write:
            incident_writes.save_write(
                tx, hub.tenant_id, hub.id, write, seq=seq, is_new=write.id not in known_writes
            )
    alerts.carry(tx, hub.tenant_id, before.alerts, hub.alerts)
