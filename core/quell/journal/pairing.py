"""Finds the incident that a product's copy belongs to, and what became one with it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import msgspec

from quell.domain.hub import Acceptance, Conflict, Link
from quell.domain.ids import IncidentId
from quell.domain.incident import Origin
from quell.domain.original import Original
from quell.domain.ports import ObservedIncident
from quell.journal import incidents, links
from quell.journal.hub_rows import load
from quell.journal.writer import Transaction

if TYPE_CHECKING:
    from quell.journal.hubs import Decisions

__all__ = ["Place", "locate", "merges"]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an observation belongs."""

    incident_id: IncidentId
    #: given where the way it came here says how it counts
    origin: Origin | None = None
    conflicts: tuple[Conflict, ...] = ()
    #: an incident that this copy had made before it was known where it belongs
    absorbs: IncidentId | None = None


def locate(tx: Transaction, rules: Decisions, seen: ObservedIncident) -> Place:
    """Find the incident of a copy by its link, by our mark, by a proven counterpart; or a new one."""
    known = links.find_link(tx, rules.tenant_id, seen.source_id, seen.native_id)
    if known is not None:
        return _place_of_known(tx, rules, seen, known)
    if (ours := _made_for(tx, rules, seen)) is not None:
        return Place(incident_id=ours.incident_id)
    proven, claimed = _counterparts(tx, rules, seen)
    if proven is not None:
        return Place(incident_id=proven.incident_id)
    if (naming := _named_by(tx, rules, seen)) is not None:
        return Place(incident_id=naming.incident_id)
    fresh = IncidentId(uuid.uuid4().hex)
    if seen.counterpart_id is None and seen.created_for is None:
        return Place(incident_id=fresh)
    # it says that it mirrors something: until that is proven it must not start what contains
    return Place(
        incident_id=fresh,
        origin=Origin.ADOPTION,
        conflicts=(_unpaired(seen),) if claimed or _marked(tx, rules, seen) else (),
    )


def _place_of_known(
    tx: Transaction, rules: Decisions, seen: ObservedIncident, known: Link
) -> Place:
    proven = _counterparts(tx, rules, seen)[0] or _made_for(tx, rules, seen, known.incident_id)
    if proven is None or proven.incident_id == known.incident_id:
        return Place(incident_id=known.incident_id)
    row = incidents.read_row(tx, rules.tenant_id, known.incident_id)
    if row is None or row.merged_into is not None or not rules.is_mirror(seen.source_id):
        return Place(incident_id=known.incident_id)
    return Place(incident_id=known.incident_id, absorbs=proven.incident_id)


def merges(
    tx: Transaction, rules: Decisions, seen: ObservedIncident, hub_id: IncidentId, place: Place
) -> list[tuple[IncidentId, IncidentId]]:
    """List which incidents became one by this observation, as (loser, winner)."""
    found: list[tuple[IncidentId, IncidentId]] = []
    if place.absorbs is not None:
        winner = incidents.winner_of(tx, rules.tenant_id, place.absorbs)
        _rehome(tx, rules, seen, winner)
        found.append((hub_id, winner))
    if seen.merged_into is not None:
        into = merge_target(tx, rules, seen)
        found += [(hub_id, into.incident_id)] if into is not None else []
    else:
        # the winner came after those that had been merged into it
        losers = links.find_losers(tx, rules.tenant_id, seen.source_id, seen.native_id)
        found += [(loser.incident_id, hub_id) for loser in losers]
    return [pair for pair in (_settled(tx, rules, *one) for one in found) if pair is not None]


def merge_target(tx: Transaction, rules: Decisions, seen: ObservedIncident) -> Link | None:
    """Find the copy that this one was merged into; None where it is unknown, or leads in a circle."""
    if seen.merged_into is None or circle(tx, rules, seen):
        return None
    return links.find_link(tx, rules.tenant_id, seen.source_id, seen.merged_into)


def circle(tx: Transaction, rules: Decisions, seen: ObservedIncident) -> tuple[str, ...]:
    """Follow what a product says about merges; gives the way where it comes back or never ends."""
    way = [seen.native_id]
    onward = seen.merged_into
    while onward is not None:
        way.append(onward)
        if onward == seen.native_id or len(way) > incidents.HOPS:
            return tuple(way)
        link = links.find_link(tx, rules.tenant_id, seen.source_id, onward)
        onward = link.merged_into_native_id if link is not None else None
    return ()


def circle_conflict(seen: ObservedIncident, way: tuple[str, ...]) -> Conflict:
    """Put into words that merges lead in a circle: nothing is merged then, and nothing written."""
    return Conflict(
        field="copy",
        kind="merge_circle",
        body={"source": seen.source_id, "native_id": seen.native_id, "way": list(way)},
    )


def _settled(
    tx: Transaction, rules: Decisions, loser: IncidentId, winner: IncidentId
) -> tuple[IncidentId, IncidentId] | None:
    """Leave out what is one already, and what would lead in a circle."""
    row = incidents.read_row(tx, rules.tenant_id, loser)
    end = incidents.winner_of(tx, rules.tenant_id, winner)
    if row is None or row.merged_into is not None or end == loser:
        return None
    return loser, end


def _rehome(tx: Transaction, rules: Decisions, seen: ObservedIncident, winner: IncidentId) -> None:
    link = links.find_link(tx, rules.tenant_id, seen.source_id, seen.native_id)
    if link is not None:
        # it meets the winner's other copies for the first time: a difference is drift
        waits = link.acceptance if link.is_ours else Acceptance.PENDING
        moved = msgspec.structs.replace(link, incident_id=winner, acceptance=waits)
        links.save_link(tx, rules.tenant_id, moved)


def _made_for(
    tx: Transaction, rules: Decisions, seen: ObservedIncident, known: IncidentId | None = None
) -> Link | None:
    """Find the original of a marked copy, if copies of it belong where this one is.

    Anybody who may make incidents there can work out the name and the mark: without a rule that
    sends the incident there, such a copy would be told all that others say of it.
    """
    link = _marked(tx, rules, seen)
    if link is None or link.incident_id == known:
        return link
    hub = load(tx, rules.tenant_id, incidents.winner_of(tx, rules.tenant_id, link.incident_id))
    return link if hub is not None and rules.belongs_in(hub, seen.source_id) else None


def _marked(tx: Transaction, rules: Decisions, seen: ObservedIncident) -> Link | None:
    """Find the incident that a mark names, whoever wrote the mark."""
    made_for = Original.read(seen.created_for)
    if made_for is None:
        return None
    return links.find_link(tx, rules.tenant_id, made_for.source_id, made_for.native_id)


def _counterparts(
    tx: Transaction, rules: Decisions, seen: ObservedIncident
) -> tuple[Link | None, list[Link]]:
    """Find the copy that this one says it mirrors: the one that proves it, and all of that number."""
    if seen.counterpart_system is None or seen.counterpart_id is None:
        return None, []
    if seen.counterpart_system == rules.system(seen.source_id):
        return None, []
    named = links.find_counterparts(
        tx, rules.tenant_id, seen.counterpart_system, seen.counterpart_id
    )
    return next((link for link in named if link.proofs & seen.proofs), None), named


def _named_by(tx: Transaction, rules: Decisions, seen: ObservedIncident) -> Link | None:
    """Find a copy that came first and says that it mirrors this one."""
    system = rules.system(seen.source_id)
    naming = links.find_naming(tx, rules.tenant_id, system, seen.native_id)
    return next((link for link in naming if link.proofs & seen.proofs), None)


def _unpaired(seen: ObservedIncident) -> Conflict:
    return Conflict(
        field="copy",
        kind="unpaired",
        body={
            "source": seen.source_id,
            "native_id": seen.native_id,
            "says": seen.created_for or f"{seen.counterpart_system} {seen.counterpart_id}",
        },
    )
