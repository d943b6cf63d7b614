"""What happens when a product says that one incident was merged into another. Pure."""

from __future__ import annotations

from datetime import datetime

from quell.domain.hub import Hub, RevisionDraft, Step, WriteState, changed_fields
from quell.domain.incident import Origin
from quell.domain.playbook import IncidentEvent
from quell.sync.absorb import events_of, replace_ours
from quell.sync.comments import retire
from quell.sync.first_contact import settle_alike
from quell.sync.plan import plan, superseded
from quell.sync.rules import Rules

__all__ = ["merge"]


def merge(winner: Hub, loser: Hub, rules: Rules, now: datetime) -> tuple[Step, Step]:
    """Make the loser an alias of the winner, which gets its tags and (moved already) its comments."""
    return _won(winner, loser, rules, now), _lost(winner, loser, rules, now)


def _won(winner: Hub, loser: Hub, rules: Rules, now: datetime) -> Step:
    hub = winner.replace(
        fields=winner.fields.replace({"tags": winner.fields.tags | loser.fields.tags})
    )
    hub = settle_alike(hub, rules)
    for link in rules.sides.taking_part(hub):
        hub = replace_ours(hub, link, rules)
    changes = {
        **changed_fields(winner.fields, hub.fields),
        "merged_from": [None, loser.id],
    }
    draft = RevisionDraft(
        origin=Origin.LIVE,
        events=events_of(changes, is_first=False),
        changes=changes,
        happened_at=now,
    )
    return Step(hub=plan(hub, rules, now), revision=draft)


def _lost(winner: Hub, loser: Hub, rules: Rules, now: datetime) -> Step:
    hub = loser.replace(merged_into=winner.id)
    for write in hub.writes:
        if write.state is WriteState.PLANNED:
            hub = hub.with_write(superseded(write, "the incident was merged"))
    where = _where(winner, rules)
    for link in loser.links:
        is_copy = link.is_ours and rules.sides.is_mirror(link.source_id)
        if is_copy and link.is_live and link.source_id in rules.sides:
            hub = retire(hub, link, None, f"This incident was merged into {where}", rules)
    draft = RevisionDraft(
        origin=Origin.LIVE,
        events=(IncidentEvent.UPDATED, IncidentEvent.MERGED),
        changes={"merged_into": [None, winner.id]},
        happened_at=now,
    )
    return Step(hub=plan(hub, rules, now), revision=draft)


def _where(winner: Hub, rules: Rules) -> str:
    """Name every copy of the winner, so that people in either product find it."""
    named = [
        link.url or f"{link.system} {link.number or link.native_id}"
        for link in rules.sides.taking_part(winner)
    ]
    return ", ".join(named) or winner.id
