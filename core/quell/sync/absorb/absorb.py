"""Takes an observation of one product's copy into the hub. Pure.

Stale observations say nothing about fields; what we are just sending is not news; everything
else is reconciled, given a revision where the canonical incident differs, and planned onward.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from quell.domain.hub import (
    Acceptance,
    Bounds,
    Conflict,
    Hub,
    IncidentWrite,
    Link,
    Mark,
    RevisionDraft,
    Shadow,
    Sighting,
    Step,
    WriteKind,
    WriteState,
    changed_fields,
)
from quell.domain.ids import LinkId
from quell.domain.incident import Origin
from quell.domain.playbook import IncidentEvent
from quell.domain.ports import ObservedIncident
from quell.sync.absorb.comments import absorb_comments, add_alerts_comment, retire
from quell.sync.absorb.deletions import note_deletions
from quell.sync.absorb.first_contact import gave_way, meet
from quell.sync.absorb.moves import tell_of_loss
from quell.sync.absorb.reconcile import reconcile
from quell.sync.absorb.routing import routed
from quell.sync.absorb.surplus import one_each
from quell.sync.absorb.vouch import vouch_changes, vouch_for_all
from quell.sync.derive import follow_alerts, worth_telling
from quell.sync.plan import plan, superseded
from quell.sync.remarks import short_digest
from quell.sync.rules import Rules
from quell.sync.sides import FIELDS
from quell.sync.tasks import absorb_tasks, task_changes

__all__ = ["absorb", "events_of", "is_stale", "revision_of", "take"]

#: how closely it is kept when a copy was last seen unchanged
SEEN_EVERY = timedelta(minutes=5)
FIELD_EVENTS = {
    "severity": IncidentEvent.SEVERITY_CHANGED,
    "status": IncidentEvent.STATUS_CHANGED,
    "owner": IncidentEvent.OWNER_CHANGED,
    "verdict": IncidentEvent.VERDICT_CHANGED,
    "tags": IncidentEvent.TAGS_CHANGED,
    "comments": IncidentEvent.COMMENT_ADDED,
    "merged_into": IncidentEvent.MERGED,
}


def absorb(hub: Hub, seen: ObservedIncident, rules: Rules, context: Sighting) -> Step:
    """Take an observation into a hub: the first one opens it."""
    before = hub
    is_late = _is_late_original(before, seen, rules)
    is_met = before.link_at(seen.source_id, seen.native_id) is not None
    if before.links and not is_late and not is_met:
        context = msgspec.structs.replace(context, origin=Origin.ADOPTION)
    hub, conflicts = take(hub, seen, rules, context)
    hub = follow_alerts(hub, seen, context.changed_alerts, rules.sides)
    hub, of_tasks = absorb_tasks(hub, seen)
    hub, new_comments = absorb_comments(hub, seen, rules, context.now)
    hub = note_deletions(hub, seen, rules)
    hub = add_alerts_comment(hub, seen, context.changed_alerts, context.moved_from)
    hub = tell_of_loss(hub, context.gone_alerts, "")
    extra: dict[str, list[list[str]]] = {
        "alerts": [[one.id for one in context.gone_alerts], list(context.new_alerts)],
        "comments": [[], new_comments],
        "entities": [list(context.gone_entities), list(context.new_entities)],
        "tasks": task_changes(before, hub),
    }
    changes = {
        **changed_fields(before.fields, hub.fields),
        **{name: change for name, change in extra.items() if any(change)},
    }
    draft = revision_of(before, worth_telling(changes), seen, context, is_first=is_late)
    if draft is not None and draft.link_id is None:
        link = hub.link_at(seen.source_id, seen.native_id)
        draft = msgspec.structs.replace(draft, link_id=link.id if link else None)
    hub, notices = routed(before, hub, rules, context)
    planned = plan(hub, rules, context.now)
    conflicts += of_tasks
    return Step(hub=planned, revision=draft, conflicts=conflicts, notices=notices)


def _is_late_original(before: Hub, seen: ObservedIncident, rules: Rules) -> bool:
    """Tell whether the product that detects is heard for the first time, after its copies.

    To whatever an incident's beginning sets off, this is the beginning: copies alone prove nothing.
    """
    if rules.sides.is_mirror(seen.source_id) or before.merged_into is not None:
        return False
    copies = [rules.sides.is_mirror(link.source_id) for link in before.links]
    return bool(copies) and all(copies)


def take(
    hub: Hub, seen: ObservedIncident, rules: Rules, context: Sighting
) -> tuple[Hub, tuple[Conflict, ...]]:
    """Bring the link up to date with an observation and reconcile the fields."""
    link = hub.link_at(seen.source_id, seen.native_id)
    met_conflicts: tuple[Conflict, ...] = ()
    if link is None:
        met = _first_sight(hub, seen, rules, context)
        met_conflicts = _given_way(hub, met, seen, rules)
        hub = _late_copy_closed(met, seen, rules)
    elif is_stale(link, seen):
        return hub.with_link(_noted(link, seen, context.now)), ()
    else:
        looked = _settle_sending(hub, _read(link, seen, context.now))
        hub = vouch_changes(hub.with_link(looked), looked, rules)
    if hub.merged_into is not None:
        return hub, ()
    hub, surplus = one_each(hub, rules)
    hub, conflicts = reconcile(hub, rules.sides, rules.policy)
    return hub, met_conflicts + surplus + conflicts


def is_stale(link: Link, seen: ObservedIncident) -> bool:
    """Tell whether a copy was read, or written by us, in a later state than this one."""
    return link.is_past(seen.changed_at)


def _noted(link: Link, seen: ObservedIncident, now: datetime) -> Link:
    # overlapping polls show the same over and over: not each time is worth a write
    is_same = seen.native == link.observed.native and now - link.seen_at < SEEN_EVERY
    return msgspec.structs.replace(
        link, proofs=link.proofs | seen.proofs, seen_at=link.seen_at if is_same else now
    )


def _read(link: Link, seen: ObservedIncident, now: datetime) -> Link:
    """Let a link say what was just read; its shadow stays."""
    return msgspec.structs.replace(
        _noted(link, seen, now),
        observed=Shadow(native=seen.native, fields=seen.fields),
        bounds=_bounds(link, seen, now),
        etag=seen.etag or link.etag,
        stamp=seen.stamp or link.stamp,
        changed_at=seen.changed_at or link.changed_at,
        url=seen.url or link.url,
        number=seen.number or link.number,
        alert_count=_newest(seen.alert_count, link.alert_count),
        comment_count=_newest(seen.comment_count, link.comment_count),
        deleted_at=now if seen.is_deleted else None,
        merged_into_native_id=seen.merged_into or link.merged_into_native_id,
        counterpart_system=seen.counterpart_system or link.counterpart_system,
        counterpart_id=seen.counterpart_id or link.counterpart_id,
    )


def _newest(seen: int | None, known: int | None) -> int | None:
    return known if seen is None else seen


def _bounds(link: Link, seen: ObservedIncident, now: datetime) -> dict[str, Bounds]:
    """Keep since when each field is as it is, and until when it was seen otherwise."""
    bounds = dict(link.bounds)
    for name in FIELDS:
        if link.observed.native.get(name) != seen.native.get(name):
            bounds[name] = Bounds(since=now, after=link.seen_at, by=seen.changed_by)
    return bounds


def _settle_sending(hub: Hub, link: Link) -> Link:
    """Count as confirmed what we are sending and the copy already shows: it is our own doing."""
    mine = [w for w in hub.writes if w.link_id == link.id and w.kind.is_of_fields]
    native, fields = dict(link.shadow.native), link.shadow.fields
    for write in [one for one in mine if one.state is WriteState.SENDING]:
        for name, raw in write.intended.items():
            if name in FIELDS and link.observed.native.get(name) == raw:
                native[name] = raw
                fields = fields.replace({name: getattr(link.observed.fields, name)})
    return msgspec.structs.replace(link, shadow=Shadow(native=native, fields=fields))


# -- a copy that was not known -------------------------------------------------------------------


def _first_sight(hub: Hub, seen: ObservedIncident, rules: Rules, context: Sighting) -> Hub:
    link = _new_link(hub, seen, rules, context)
    if seen.created_for is not None:
        # ours from before: this journal did not make it, so what differs is for a person to see
        link = msgspec.structs.replace(link, is_ours=True)
    if not rules.sides.taking_part(hub):
        return _opened(hub, link, seen, rules)
    if (write := _our_create(hub, link)) is not None:
        hub = hub.with_write(msgspec.structs.replace(write, state=WriteState.APPLIED))
        sent = _sent_by_create(hub, write, link, seen, rules)
        return hub.with_link(msgspec.structs.replace(link, is_ours=True, shadow=sent))
    hub = _replace_ours(hub, link, rules)
    hub = meet(hub, link, rules, is_accepted=context.is_accepted)
    return hub if rules.sides.is_mirror(link.source_id) else vouch_for_all(hub, link, rules)


def _given_way(before: Hub, met: Hub, seen: ObservedIncident, rules: Rules) -> tuple[Conflict, ...]:
    """Put on record what was settled at once, where a source's differences need nobody's leave."""
    link = met.link_at(seen.source_id, seen.native_id)
    is_settled = link is not None and link.acceptance is Acceptance.ACCEPTED
    if link is None or not is_settled or before.revision == 0 or _our_create(before, link):
        return ()
    pending = msgspec.structs.replace(link, acceptance=Acceptance.PENDING)
    return gave_way(before.with_link(pending), link.source_id, rules)


def _new_link(hub: Hub, seen: ObservedIncident, rules: Rules, context: Sighting) -> Link:
    said = Shadow(native=seen.native, fields=seen.fields)
    blank = Link(
        id=LinkId(short_digest(hub.tenant_id, "link", seen.source_id, seen.native_id)),
        incident_id=hub.id,
        source_id=seen.source_id,
        system=rules.sides.system(seen.source_id),
        native_id=seen.native_id,
        shadow=said,
        observed=said,
        bounds={name: Bounds(since=context.now) for name in FIELDS},
        seen_at=context.now,
    )
    return _read(blank, seen, context.now)


def _opened(hub: Hub, link: Link, seen: ObservedIncident, rules: Rules) -> Hub:
    """Let the first copy say what the incident is; or the first one left, for a hub without any."""
    if hub.revision > 0:
        met = meet(hub, link, rules, is_accepted=True)
        return met if rules.sides.is_mirror(link.source_id) else vouch_for_all(met, link, rules)
    marks = {
        name: Mark(
            system=link.system, link_id=link.id, bounds=link.bounds[name], by=seen.changed_by
        )
        for name in FIELDS
    }
    opened = hub.replace(
        fields=seen.fields,
        marks=marks,
        origin_source_id=seen.source_id,
        origin_native_id=seen.native_id,
        links=(*hub.links, msgspec.structs.replace(link, acceptance=Acceptance.ACCEPTED)),
    )
    return vouch_for_all(opened, link, rules)


def _our_create(hub: Hub, link: Link) -> IncidentWrite | None:
    return next(
        (
            write
            for write in hub.writes
            if write.kind is WriteKind.CREATE
            and write.source_id == link.source_id
            and write.state is WriteState.SENDING
            and write.intended.get("native_id") == link.native_id
        ),
        None,
    )


def _sent_by_create(
    hub: Hub, write: IncidentWrite, link: Link, seen: ObservedIncident, rules: Rules
) -> Shadow:
    """Say what our copy was made with, so that a person's edit since then still is news."""
    is_untouched = seen.created_at is not None and seen.created_at == seen.changed_at
    if is_untouched:
        return link.observed
    sent = msgspec.convert(write.base or {}, type(hub.fields))
    native = {
        name: rules.sides.target(link, name, sent, seen.native)
        if rules.sides.writes(link, name)
        else seen.native.get(name)
        for name in FIELDS
    }
    return Shadow(native=native, fields=sent)


def _replace_ours(hub: Hub, link: Link, rules: Rules) -> Hub:
    """Retire the copy that we made, now that the product's own has come.

    `one_each` does that as well, but is not asked about an incident that was merged away.
    """
    if link.is_ours or not rules.sides.is_mirror(link.source_id):
        return hub
    for old in hub.links:
        if old.source_id == link.source_id and old.is_ours and old.is_live:
            where = link.url or f"{link.system} {link.number or link.native_id}"
            hub = retire(
                hub, old, link.id, f"The product's own copy has taken over: {where}", rules
            )
    for write in hub.writes:
        if write.kind is WriteKind.CREATE and write.source_id == link.source_id and write.is_open:
            hub = hub.with_write(superseded(write, "the product made its own copy"))
    return hub


def _late_copy_closed(hub: Hub, seen: ObservedIncident, rules: Rules) -> Hub:
    """Retire a copy of ours that is heard of only now that its incident was merged away."""
    link = hub.link_at(seen.source_id, seen.native_id)
    if hub.merged_into is None or link is None or not link.is_ours or not link.is_live:
        return hub
    onward = [one for one in hub.links if one.merged_into_native_id is not None]
    where = ", ".join(f"{one.system} {one.merged_into_native_id}" for one in onward)
    return retire(hub, link, None, f"This incident was merged into {where}", rules)


# -- revisions -----------------------------------------------------------------------------------


def revision_of(
    before: Hub,
    changes: dict[str, Any],
    seen: ObservedIncident,
    context: Sighting,
    *,
    is_first: bool = False,
) -> RevisionDraft | None:
    """Draft the revision that a change amounts to; None where nothing canonical differs.

    The first one is told whatever it says; `is_first` says that a later one counts as such.
    """
    is_first = is_first or before.revision == 0
    if not is_first and not changes:
        return None
    stamp = seen.created_at if is_first else seen.changed_at
    return RevisionDraft(
        origin=context.origin,
        events=events_of(changes, is_first=is_first),
        changes=changes,
        happened_at=min(stamp or context.now, context.now),
        source_id=seen.source_id,
        stamp=seen.stamp,
        actor=seen.changed_by,
    )


def events_of(changes: dict[str, Any], *, is_first: bool) -> tuple[IncidentEvent, ...]:
    """Name what happened, as triggers do."""
    first = IncidentEvent.CREATED if is_first else IncidentEvent.UPDATED
    named = [event for name, event in FIELD_EVENTS.items() if name in changes]
    lost, added = changes.get("alerts", ((), ()))
    named += [IncidentEvent.ALERTS_ADDED] if added else []
    named += [IncidentEvent.ALERTS_MOVED] if lost else []
    return (first,) if is_first else (first, *named)
