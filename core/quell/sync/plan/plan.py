"""Plans what has to be written where. Pure: the plan is part of the hub, and the journal keeps it.

Planning again changes nothing where nothing changed. A planned write that is no longer wanted
is superseded; one that is being sent is left alone until it is known what became of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from quell.domain.hub import (
    Hub,
    IncidentWrite,
    WriteKind,
    WriteState,
)
from quell.sync.plan.comments import plan_comments
from quell.sync.plan.copies import plan_creates
from quell.sync.plan.fields import plan_fields
from quell.sync.plan.tasks import plan_tasks
from quell.sync.plan.writes import superseded
from quell.sync.rules import Rules

__all__ = ["plan"]


def plan(
    hub: Hub,
    rules: Rules,
    now: datetime,
    *,
    delay: timedelta = timedelta(),
    caused_by: str | None = None,
) -> Hub:
    """Bring a hub's planned writes up to date with what it says."""
    if hub.merged_into is not None:
        return plan_comments(hub, rules, now, caused_by, kinds=("note",))
    hub = _supersede_dead(hub, rules)
    for link in rules.sides.taking_part(hub):
        hub = plan_fields(hub, link, rules, now, delay, caused_by)
    hub = plan_tasks(hub, rules, now, caused_by)
    hub = plan_comments(hub, rules, now, caused_by, kinds=("comment", "alerts", "note"))
    return plan_creates(hub, rules, now)


def _supersede_dead(hub: Hub, rules: Rules) -> Hub:
    """Drop planned updates and comments for copies that take no part any more."""
    for write in hub.writes:
        link = hub.link(write.link_id)
        if write.state is not WriteState.PLANNED or link is None or link.is_live:
            continue
        if write.kind is WriteKind.UPDATE or (
            write.kind is WriteKind.COMMENT and not _is_note(hub, write)
        ):
            hub = hub.with_write(superseded(write, "the copy takes no part any more"))
    return hub


def _is_note(hub: Hub, write: IncidentWrite) -> bool:
    comment_id = write.intended.get("comment")
    return any(one.id == comment_id and one.kind == "note" for one in hub.comments)
