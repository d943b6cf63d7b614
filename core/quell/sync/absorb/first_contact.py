"""What happens when a copy that we did not make is met: differences are drift until accepted. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from quell.domain.hub import Acceptance, Bounds, Conflict, Hub, Link, Mark
from quell.domain.incident import Classification, IncidentFields, Severity, Status
from quell.sync.absorb.reconcile import plain, take_over
from quell.sync.policy import LATEST
from quell.sync.rules import Rules
from quell.sync.sides import FIELDS

__all__ = ["Drift", "accept", "drift_of", "gave_way", "meet", "settle_alike"]

#: who settled what no person had to look at
BY_POLICY = "policy"


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """One field in which a copy differed when it was first met, and what accepting would write."""

    incident_id: str
    source_id: str
    native_id: str
    field: str
    #: the incident's value, and the copy's
    ours: Any
    theirs: Any
    #: the value that both will have
    settled: Any


def meet(hub: Hub, link: Link, rules: Rules, *, is_accepted: bool) -> Hub:
    """Add a copy that somebody else made. Nothing is written to either side while they differ."""
    link = take_over(link)
    met = hub.with_link(link)
    if not _differing(met, link, rules):
        return met
    pending = met.with_link(msgspec.structs.replace(link, acceptance=Acceptance.PENDING))
    return accept(pending, link.source_id, rules) if is_accepted else pending


def drift_of(hub: Hub, rules: Rules) -> list[Drift]:
    """List what differs in copies that nobody has accepted yet."""
    found: list[Drift] = []
    for link in _pending(hub, rules):
        fields = settled_fields(hub, link, rules)
        found += [_drift(hub, link, name, fields) for name in _differing(hub, link, rules)]
    return found


def gave_way(hub: Hub, source_id: str | None, rules: Rules, by: str = "") -> tuple[Conflict, ...]:
    """Put on record what accepting pending copies takes away from one side or the other."""
    found: list[Conflict] = []
    for link in _pending(hub, rules):
        if source_id is not None and link.source_id != source_id:
            continue
        fields = settled_fields(hub, link, rules)
        for name in _differing(hub, link, rules):
            own, other = getattr(hub.fields, name), getattr(link.observed.fields, name)
            won = getattr(fields, name)
            if name == "tags" or own == other:
                continue
            # an empty value may be one that somebody emptied: on record, and nobody has to decide
            gave = [one for one in (own, other) if one != won]
            is_contest = any(_is_said(name, one) for one in gave)
            settled_by = by if is_contest else by or BY_POLICY
            found.append(_first_conflict(hub, link, name, won, settled_by))
    return tuple(found)


def _first_conflict(hub: Hub, link: Link, name: str, won: Any, by: str) -> Conflict:
    own = getattr(hub.fields, name)
    mark = hub.marks.get(name)
    giver = hub.link(mark.link_id) if mark is not None else None
    theirs = {
        "system": link.system,
        "source": link.source_id,
        "value": plain(getattr(link.observed.fields, name)),
        "raw": link.observed.native.get(name),
    }
    ours = {
        "system": mark.system if mark is not None else "",
        "source": giver.source_id if giver is not None else "quell",
        "value": plain(own),
        "by": mark.by if mark is not None else "",
    }
    body = {
        "won": ours["system"] if won == own else link.system,
        "value": plain(won),
        "sides": [ours, theirs],
    }
    return Conflict(field=name, kind="first_contact", body=body, settled_by=by)


def accept(hub: Hub, source_id: str | None, rules: Rules) -> Hub:
    """Settle the differences of pending copies and allow writing to them."""
    for link in _pending(hub, rules):
        if source_id is not None and link.source_id != source_id:
            continue
        fields = settled_fields(hub, link, rules)
        marks = dict(hub.marks)
        for name in FIELDS:
            if getattr(fields, name) != getattr(hub.fields, name):
                bounds = link.bounds.get(name) or Bounds(since=link.seen_at)
                marks[name] = Mark(system=link.system, link_id=link.id, bounds=bounds)
        accepted = msgspec.structs.replace(link, acceptance=Acceptance.ACCEPTED)
        hub = hub.replace(fields=fields, marks=marks).with_link(accepted)
    return hub


def settle_alike(hub: Hub, rules: Rules) -> Hub:
    """Accept the pending copies that do not differ: there is nothing for a person to decide."""
    for link in _pending(hub, rules):
        if not _differing(hub, link, rules):
            hub = hub.with_link(msgspec.structs.replace(link, acceptance=Acceptance.ACCEPTED))
    return hub


def settled_fields(hub: Hub, link: Link, rules: Rules) -> IncidentFields:
    """Decide each differing field: what was said wins over what was not, then the policy."""
    theirs = link.observed.fields
    changes: dict[str, Any] = {}
    for name in _differing(hub, link, rules):
        own, other = getattr(hub.fields, name), getattr(theirs, name)
        if name == "tags":
            changes[name] = own | other
        elif _is_said(name, other) and (not _is_said(name, own) or _wins(name, hub, link, rules)):
            changes[name] = other
    return hub.fields.replace(changes)


def _differing(hub: Hub, link: Link, rules: Rules) -> list[str]:
    native = link.observed.native
    return [
        name
        for name in FIELDS
        if name not in rules.policy.ignored
        and rules.sides.writes(link, name)
        and not rules.sides.stands(link, name, hub.fields, native)
    ]


def _wins(name: str, hub: Hub, link: Link, rules: Rules) -> bool:
    """Tell whether the copy's value wins over the incident's."""
    winner = rules.policy.winner(name)
    if winner != LATEST:
        return link.system == winner
    others = [one.changed_at for one in hub.links if one.id != link.id and one.changed_at]
    return link.changed_at is not None and all(link.changed_at > other for other in others)


def _is_said(name: str, value: Any) -> bool:
    """Tell whether somebody has set a value, rather than left it as it begins."""
    if name == "verdict":
        return value is not None and value.classification is not Classification.UNDETERMINED
    return bool(value) and value not in {Status.NEW, Severity.UNKNOWN}


def _pending(hub: Hub, rules: Rules) -> list[Link]:
    live = rules.sides.taking_part(hub)
    return [link for link in live if link.acceptance is Acceptance.PENDING]


def _drift(hub: Hub, link: Link, name: str, settled: IncidentFields) -> Drift:
    return Drift(
        incident_id=hub.id,
        source_id=link.source_id,
        native_id=link.native_id,
        field=name,
        ours=plain(getattr(hub.fields, name)),
        theirs=plain(getattr(link.observed.fields, name)),
        settled=plain(getattr(settled, name)),
    )
