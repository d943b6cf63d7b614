"""One incident, one copy in each mirror: chooses where a product holds two of them. Pure.

The one that is not chosen is put on record once and never written to. Should a person delete
the chosen one, the other takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quell.domain.hub import Acceptance, Conflict, Hub, Link
from quell.domain.ids import SourceId
from quell.sync.absorb.comments import retire
from quell.sync.absorb.first_contact import meet
from quell.sync.absorb.reconcile import take_over
from quell.sync.rules import Rules

__all__ = ["new_tags", "one_each"]


def one_each(hub: Hub, rules: Rules) -> tuple[Hub, tuple[Conflict, ...]]:
    """Let one copy in each mirror take part: the product's own before ours, the older of two."""
    conflicts: list[Conflict] = []
    for source_id in dict.fromkeys(link.source_id for link in hub.links):
        if source_id in rules.sides and rules.sides.is_mirror(source_id):
            hub = _revived(hub, source_id, rules)
            hub, found = _chosen(hub, source_id, rules)
            conflicts += found
    return _with_late_tags(hub, rules), tuple(conflicts)


def _with_late_tags(hub: Hub, rules: Rules) -> Hub:
    """Follow what people tag in a copy of ours that another has taken the place of, before or since."""
    if "tags" in rules.policy.ignored:
        return hub
    for link in hub.links:
        if link.is_ours and link.retired_to is not None and link.source_id in rules.sides:
            tags = hub.fields.tags - _taken_off(link) | new_tags(link)
            # nobody is asked any more whether to accept it
            settled = msgspec.structs.replace(take_over(link), acceptance=Acceptance.ACCEPTED)
            hub = hub.replace(fields=hub.fields.replace({"tags": tags})).with_link(settled)
    return hub


def new_tags(link: Link) -> frozenset[str]:
    """List the tags of a copy that the incident was not given yet; all, where it is pending."""
    is_pending = link.acceptance is Acceptance.PENDING
    known: frozenset[str] = frozenset() if is_pending else link.shadow.fields.tags
    return link.observed.fields.tags - known


def _taken_off(link: Link) -> frozenset[str]:
    """List the tags that a copy had when it was last taken over, and has no more."""
    if link.acceptance is Acceptance.PENDING or link.deleted_at is not None:
        return frozenset()
    return link.shadow.fields.tags - link.observed.fields.tags


def _chosen(hub: Hub, source_id: SourceId, rules: Rules) -> tuple[Hub, list[Conflict]]:
    theirs = [link for link in _live(hub, source_id) if not link.is_ours and link.counterpart_id]
    conflicts: list[Conflict] = []
    for counterpart in dict.fromkeys(link.counterpart_id for link in theirs):
        same = [link for link in theirs if link.counterpart_id == counterpart]
        best = min(same, key=_rank)
        for other in same:
            if other.id != best.id:
                aside = msgspec.structs.replace(other, retired_to=best.id)
                hub = hub.with_link(aside)
                conflicts.append(_unpaired(other, best))
    for ours in [link for link in _live(hub, source_id) if link.is_ours]:
        if theirs and _began_elsewhere(hub, rules):
            hub = _given_way(hub, ours, theirs, rules)
    return hub, conflicts


def _began_elsewhere(hub: Hub, rules: Rules) -> bool:
    """Tell whether the product that detects was ever heard, even if the incident is gone there."""
    return any(not rules.sides.is_mirror(link.source_id) for link in hub.links)


def _rank(link: Link) -> tuple[bool, bool, int]:
    """Prefer what was written to already, then what is older: numbers are given in order."""
    number = int(link.number) if link.number.isascii() and link.number.isdigit() else None
    return not link.echoes, number is None, number or 0


def _given_way(hub: Hub, ours: Link, theirs: Sequence[Link], rules: Rules) -> Hub:
    best = min(theirs, key=_rank)
    where = best.url or f"{best.system} {best.number or best.native_id}"
    return retire(hub, ours, best.id, f"The product's own copy has taken over: {where}", rules)


def _revived(hub: Hub, source_id: SourceId, rules: Rules) -> Hub:
    """Let a copy that was put aside meet the others, once the chosen one was deleted."""
    for link in hub.links:
        chosen = hub.link(link.retired_to)
        is_aside = link.source_id == source_id and not link.is_ours and link.deleted_at is None
        if is_aside and chosen is not None and chosen.deleted_at is not None:
            back = msgspec.structs.replace(link, retired_to=None, acceptance=Acceptance.ACCEPTED)
            hub = meet(hub, back, rules, is_accepted=False)
    return hub


def _live(hub: Hub, source_id: SourceId) -> list[Link]:
    return [link for link in hub.links if link.source_id == source_id and link.is_live]


def _unpaired(other: Link, best: Link) -> Conflict:
    return Conflict(
        field="copy",
        kind="unpaired",
        body={
            "source": other.source_id,
            "native_id": other.native_id,
            "says": f"{other.counterpart_system} {other.counterpart_id}",
            "chosen": best.native_id,
        },
    )
