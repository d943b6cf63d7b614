"""Stores one observation: which incident it belongs to, and what it means for others.

An observation may bring alerts that another incident had, or say that two incidents are one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from quell.domain.hub import Hub, LostAlerts, Sighting
from quell.domain.ids import IncidentId
from quell.domain.incident import Alert, Origin
from quell.domain.offers import Notice
from quell.domain.original import Original
from quell.domain.ports import ObservedIncident
from quell.journal import (
    alerts,
    comments,
    conflicts,
    entities,
    incidents,
    ledger,
    links,
    notices,
    pairing,
    runs,
    sharing,
    sync_switches,
)
from quell.journal.entity_rows import move_entities
from quell.journal.hub_rows import load, save
from quell.journal.writer import Transaction

if TYPE_CHECKING:
    from quell.journal.hubs import Decisions

__all__ = ["absorb_one"]


def absorb_one(
    tx: Transaction, rules: Decisions, seen: ObservedIncident, origin: Origin
) -> list[tuple[int, Hub]]:
    """Store one observation; gives each incident that it changed, with its revision before."""
    if Original.is_foreign(seen.created_for, rules.tenant_id):
        return []
    place = pairing.locate(tx, rules, seen)
    hub = load(tx, rules.tenant_id, place.incident_id, is_locked=True) or _fresh(tx, rules, place)
    context, seen, taken = _sighting(tx, rules, hub, seen, place.origin or origin)
    if rules.has_routes:
        context = msgspec.structs.replace(context, view=incidents.picture(tx, hub))
    step = rules.absorb(hub, seen, context)
    results = [(hub.revision, save(tx, hub, step))]
    if hub.merged_into is not None:
        results += _inherit(tx, rules, hub, step.hub, seen, context)
    for conflict in place.conflicts:
        conflicts.record(tx, rules.tenant_id, hub.id, conflict)
    if rules.tells_of_natives and context.new_entities:
        results += _mention_natives(tx, rules, step.hub)
    for loser_of_alerts, moved in taken.items():
        results += _lose(tx, rules, loser_of_alerts, moved, step.hub)
    if way := pairing.circle(tx, rules, seen):
        _report_circle(tx, rules, seen, hub.id, way)
    for loser_id, winner_id in pairing.merges(tx, rules, seen, hub.id, place):
        results += _merge(tx, rules, loser_id, winner_id, context)
    return results


def _inherit(
    tx: Transaction,
    rules: Decisions,
    before: Hub,
    loser: Hub,
    seen: ObservedIncident,
    context: Sighting,
) -> list[tuple[int, Hub]]:
    """Give what is new in a copy of a merged incident to the one that it was merged into."""
    winner_id = incidents.winner_of(tx, rules.tenant_id, before.id)
    winner = load(tx, rules.tenant_id, winner_id, is_locked=True)
    if winner is None or winner.id == before.id:
        return []
    step = rules.inherit(winner, before, loser, seen, context)
    return [(winner.revision, save(tx, winner, step))]


def _mention_natives(tx: Transaction, rules: Decisions, hub: Hub) -> list[tuple[int, Hub]]:
    """Tell of the incidents of a mirror's own that name the same things as one that is detected."""
    results: list[tuple[int, Hub]] = []
    of_mirror = rules.is_native(hub)
    for other_id in sharing.sharing(tx, rules.tenant_id, hub.id):
        other = load(tx, rules.tenant_id, other_id, is_locked=True)
        if other is None or rules.is_native(other) == of_mirror:
            continue
        told, native = (other, hub) if of_mirror else (hub, other)
        known = load(tx, rules.tenant_id, told.id, is_locked=True) or told
        results.append((known.revision, save(tx, known, rules.mention(known, native, tx.now))))
    return results


def _report_circle(
    tx: Transaction,
    rules: Decisions,
    seen: ObservedIncident,
    incident_id: IncidentId,
    way: tuple[str, ...],
) -> None:
    conflict = pairing.circle_conflict(seen, way)
    if conflicts.record_once(tx, rules.tenant_id, incident_id, conflict):
        notice = Notice(
            kind="conflict",
            tenant_id=rules.tenant_id,
            summary=f"Incidents of {seen.source_id} were merged in a circle: nothing is written to "
            "them. Look at them there; `quell conflicts` shows the way.",
            references={"incident": incident_id},
        )
        notices.add(tx, notice)


def _fresh(tx: Transaction, rules: Decisions, place: pairing.Place) -> Hub:
    return Hub(
        tenant_id=rules.tenant_id, id=place.incident_id, created_at=tx.now, updated_at=tx.now
    )


def _sighting(
    tx: Transaction, rules: Decisions, hub: Hub, seen: ObservedIncident, origin: Origin
) -> tuple[Sighting, ObservedIncident, dict[IncidentId, tuple[Alert, ...]]]:
    """Give what surrounds an observation, it itself, and the alerts that others lose by it."""
    accepted = sync_switches.accepted_at(tx, rules.tenant_id, seen.source_id)
    sighting = Sighting(
        now=tx.now,
        origin=origin,
        is_accepted=accepted is not None and hub.created_at > accepted,
    )
    if hub.merged_into is not None or not _tells_of_alerts(rules, hub, seen):
        return sighting, seen, {}
    told = seen.news if seen.alerts is None else seen.alerts
    link = hub.link_at(seen.source_id, seen.native_id)
    is_stale = link is not None and link.is_past(seen.changed_at)
    news = alerts.store(
        tx,
        rules.tenant_id,
        seen.source_id,
        hub.id,
        hub.alerts,
        told,
        is_stale=is_stale,
        is_shared=rules.is_mirror(seen.source_id),
    )
    if news.elsewhere:
        # read again at the next look: the other incident may have let go of them by then
        seen = msgspec.structs.replace(seen, alert_count=None)
    gone = () if is_stale else _gone(tx, rules, hub, seen)
    sighting = msgspec.structs.replace(
        sighting,
        changed_alerts=news.changed,
        new_alerts=news.new,
        new_entities=entities.attach(tx, rules.tenant_id, hub.id, news.changed),
        gone_alerts=gone,
        gone_entities=sharing.detach(tx, rules.tenant_id, hub.id, [one.id for one in gone]),
        moved_from=tuple(_called(tx, rules, seen, one) for one in news.taken),
    )
    return sighting, seen, news.taken


def _gone(tx: Transaction, rules: Decisions, hub: Hub, seen: ObservedIncident) -> tuple[Alert, ...]:
    """Take the alerts away that a whole list does not show; those of a merged one follow it."""
    if seen.alerts is None or seen.is_deleted:
        return ()
    if pairing.merge_target(tx, rules, seen) is not None:
        return ()
    shown = {f"{seen.source_id}/{alert.id}" for alert in seen.alerts}
    mine = f"{seen.source_id}/"
    missing = [key[len(mine) :] for key in hub.alerts if key.startswith(mine) and key not in shown]
    if not missing:
        return ()
    return alerts.let_go(tx, rules.tenant_id, seen.source_id, hub.id, missing)


def _called(
    tx: Transaction, rules: Decisions, seen: ObservedIncident, incident_id: IncidentId
) -> str:
    """Give what people call another incident by, in the product that speaks."""
    found = links.of_incident(tx, rules.tenant_id, incident_id)
    there = next((link for link in found if link.source_id == seen.source_id), None)
    return (there.number or there.native_id) if there else incident_id


def _lose(
    tx: Transaction,
    rules: Decisions,
    incident_id: IncidentId,
    moved: tuple[Alert, ...],
    winner: Hub,
) -> list[tuple[int, Hub]]:
    """Take alerts, and what only they named, out of the incident that had them."""
    named = [alert.id for alert in moved]
    left = sharing.detach(tx, rules.tenant_id, incident_id, named)
    hub = load(tx, rules.tenant_id, incident_id, is_locked=True)
    if hub is None or hub.merged_into is not None:
        return []
    lost = LostAlerts(alerts=moved, entities=left, to=winner)
    return [(hub.revision, save(tx, hub, rules.lose(hub, lost, tx.now)))]


def _tells_of_alerts(rules: Decisions, hub: Hub, seen: ObservedIncident) -> bool:
    """Tell whether a copy's alerts count: a mirror's are the same ones under other names."""
    if not rules.is_mirror(seen.source_id):
        return True
    return all(rules.is_mirror(link.source_id) for link in hub.links)


def _merge(
    tx: Transaction,
    rules: Decisions,
    loser_id: IncidentId,
    winner_id: IncidentId,
    context: Sighting,
) -> list[tuple[int, Hub]]:
    loser = load(tx, rules.tenant_id, loser_id, is_locked=True)
    if loser is None or loser.merged_into is not None:
        return []
    comments.move(tx, rules.tenant_id, loser_id, winner_id)
    alerts.move(tx, rules.tenant_id, loser_id, winner_id)
    new_entities = move_entities(tx, rules.tenant_id, loser_id, winner_id)
    ledger.move(tx, rules.tenant_id, loser_id, winner_id)
    ledger.move_held(tx, rules.tenant_id, loser_id, winner_id)
    runs.stop_of(tx, rules.tenant_id, loser_id, f"the incident was merged into {winner_id}")
    winner = load(tx, rules.tenant_id, winner_id, is_locked=True)
    if winner is None:
        return []
    gained = msgspec.structs.replace(
        context,
        new_alerts=tuple(key.partition("/")[2] for key in loser.alerts),
        new_entities=new_entities,
    )
    won, lost = rules.merge(winner, loser, gained)
    return [(winner.revision, save(tx, winner, won)), (loser.revision, save(tx, loser, lost))]
