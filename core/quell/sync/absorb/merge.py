"""What happens when a product says that one incident was merged into another. Pure."""

from __future__ import annotations

from typing import cast

import msgspec

from quell.domain.hub import (
    Hub,
    Mark,
    RevisionDraft,
    Sighting,
    Step,
    WriteKind,
    WriteState,
    changed_fields,
)
from quell.domain.playbook import IncidentEvent
from quell.domain.ports import ObservedIncident
from quell.sync.absorb.absorb import events_of
from quell.sync.absorb.comments import inherit_comments, retire
from quell.sync.absorb.first_contact import settle_alike
from quell.sync.absorb.surplus import new_tags, one_each
from quell.sync.derive import joined
from quell.sync.plan import plan, superseded
from quell.sync.rules import Rules
from quell.sync.tasks import carry_tasks, task_changes

__all__ = ["inherit", "merge"]


def merge(winner: Hub, loser: Hub, rules: Rules, context: Sighting) -> tuple[Step, Step]:
    """Make the loser an alias of the winner, which gets its tags and (moved already) its comments.

    `context` names the alerts and entities that the winner has now and did not have.
    """
    return _won(winner, loser, rules, context), _lost(winner, loser, rules, context)


def inherit(
    winner: Hub, before: Hub, loser: Hub, seen: ObservedIncident, rules: Rules, context: Sighting
) -> Step:
    """Give the winner what was said in a copy of the loser, and is read only now.

    `before` is the loser as it was before this look.
    """
    hub, comments = inherit_comments(winner, loser, seen, rules)
    tags = hub.fields.tags | _new_tags(before, loser, seen)
    known = {task.id for task in before.tasks}
    tasks = tuple(task for task in loser.tasks if task.id not in known)
    hub = carry_tasks(
        hub.replace(fields=hub.fields.replace({"tags": tags})), loser.replace(tasks=tasks)
    )
    changes = {
        **changed_fields(winner.fields, hub.fields),
        **({"comments": [[], comments]} if comments else {}),
        **({"tasks": changed} if any(changed := task_changes(winner, hub)) else {}),
    }
    if not changes:
        return Step(hub=hub)
    draft = RevisionDraft(
        origin=context.origin,
        events=events_of(changes, is_first=False),
        changes=changes,
        happened_at=context.now,
        source_id=seen.source_id,
        actor=seen.changed_by,
    )
    return Step(hub=plan(hub, rules, context.now), revision=draft)


def _new_tags(before: Hub, loser: Hub, seen: ObservedIncident) -> frozenset[str]:
    """List the tags that were put on a copy since it was last read."""
    old = before.link_at(seen.source_id, seen.native_id)
    now = loser.link_at(seen.source_id, seen.native_id)
    if now is None:
        return frozenset()
    # one that is met only now was never asked
    known: frozenset[str] = old.observed.fields.tags if old is not None else frozenset()
    return now.observed.fields.tags - known


def _won(winner: Hub, loser: Hub, rules: Rules, context: Sighting) -> Step:
    tags = winner.fields.tags.union(loser.fields.tags, *map(new_tags, loser.links))
    hub = winner.replace(
        fields=winner.fields.replace({"tags": tags}),
        marks=_with_vouched_tags(winner, loser),
    )
    hub = hub.replace(fields=joined(hub.fields, loser.fields))
    hub = settle_alike(carry_tasks(hub, loser), rules)
    hub, surplus = one_each(hub, rules)
    changes = {
        **changed_fields(winner.fields, hub.fields),
        **({"tasks": tasks} if any(tasks := task_changes(winner, hub)) else {}),
        "merged_from": [None, loser.id],
        **_gained(context),
    }
    draft = RevisionDraft(
        origin=context.origin,
        events=events_of(changes, is_first=False),
        changes=changes,
        happened_at=context.now,
    )
    return Step(hub=plan(hub, rules, context.now), revision=draft, conflicts=surplus)


def _gained(context: Sighting) -> dict[str, list[list[str]]]:
    """Name what the winner has now: it may start what neither of the two had started alone."""
    gained: dict[str, list[str]] = {
        "alerts": list(context.new_alerts),
        "entities": list(context.new_entities),
    }
    return {name: [[], list(ids)] for name, ids in gained.items() if ids}


def _with_vouched_tags(winner: Hub, loser: Hub) -> dict[str, Mark]:
    own, other = winner.marks.get("tags"), loser.marks.get("tags")
    if own is None or other is None or other.vouched is msgspec.UNSET:
        return winner.marks
    known = cast("list[str]", [] if own.vouched is msgspec.UNSET else own.vouched)
    gained = cast("list[str]", other.vouched)
    both = sorted({*known, *gained})
    return {**winner.marks, "tags": msgspec.structs.replace(own, vouched=both)}


def _lost(winner: Hub, loser: Hub, rules: Rules, context: Sighting) -> Step:
    hub = loser.replace(merged_into=winner.id)
    for write in hub.writes:
        # a copy that another had taken the place of is still closed
        if write.state is WriteState.PLANNED and write.kind is not WriteKind.RETIRE:
            hub = hub.with_write(superseded(write, "the incident was merged"))
    where = _where(winner, rules)
    for link in loser.links:
        is_copy = link.is_ours and rules.sides.is_mirror(link.source_id)
        if is_copy and link.is_live and link.source_id in rules.sides:
            hub = retire(hub, link, None, f"This incident was merged into {where}", rules)
    draft = RevisionDraft(
        origin=context.origin,
        events=(IncidentEvent.UPDATED, IncidentEvent.MERGED),
        changes={"merged_into": [None, winner.id]},
        happened_at=context.now,
    )
    return Step(hub=plan(hub, rules, context.now), revision=draft)


def _where(winner: Hub, rules: Rules) -> str:
    """Name every copy of the winner, so that people in either product find it."""
    named = [
        link.url or f"{link.system} {link.number or link.native_id}"
        for link in rules.sides.taking_part(winner)
    ]
    return ", ".join(named) or winner.id
