"""Plans which fields a copy still has to be given. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from quell.domain.hub import (
    Hub,
    IncidentWrite,
    Link,
    WriteKind,
    WriteState,
)
from quell.sync.plan.writes import new_write, superseded
from quell.sync.reconcile import due_fields
from quell.sync.remarks import (
    content_digest,
)
from quell.sync.rules import Rules

__all__ = ["plan_fields"]


def plan_fields(
    hub: Hub, link: Link, rules: Rules, now: datetime, delay: timedelta, caused_by: str | None
) -> Hub:
    mine = [w for w in hub.writes if w.link_id == link.id and w.kind is WriteKind.UPDATE]
    if any(write.state is WriteState.SENDING for write in mine):
        return hub
    due = _unparked(due_fields(hub, link, rules.sides, rules.policy), mine)
    for write in mine:
        if write.state is not WriteState.PLANNED:
            continue
        if all(name in due and due[name] == raw for name, raw in write.intended.items()):
            due = {name: raw for name, raw in due.items() if name not in write.intended}
        else:
            hub = hub.with_write(superseded(write, "the incident went on"))
    if not due:
        return hub
    key = f"update/{link.id}/{now.isoformat()}/{content_digest(due)}"
    write = new_write(
        hub,
        link=link,
        source_id=link.source_id,
        kind=WriteKind.UPDATE,
        key=key,
        intended=due,
        now=now,
        not_before=now + delay if delay else None,
        caused_by=caused_by,
    )
    return hub.with_write(write)


def _unparked(due: dict[str, Any], writes: Sequence[IncidentWrite]) -> dict[str, Any]:
    """Leave out what the product has refused already: a person looks at that."""
    parked = [write.intended for write in writes if write.state is WriteState.PARKED]
    return {
        name: raw
        for name, raw in due.items()
        if not any(name in one and one[name] == raw for one in parked)
    }
