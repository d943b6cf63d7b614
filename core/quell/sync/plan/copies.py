"""Plans which copies of an incident still have to be made. Pure."""

from __future__ import annotations

from datetime import datetime

from quell.domain.hub import (
    Hub,
    Link,
    WriteKind,
)
from quell.domain.ports import IncidentSource
from quell.sync.plan.writes import new_write, superseded
from quell.sync.rules import Rules

__all__ = ["plan_creates"]


def plan_creates(hub: Hub, rules: Rules, now: datetime) -> Hub:
    origin = rules.sides.detects(hub)
    for source in rules.sides.mirrors():
        if origin is None or any(link.source_id == source.source_id for link in hub.links):
            hub = _drop_create(hub, source)
            continue
        if (mode := rules.modes.get(source.source_id)) is not None:
            hub = _plan_create(hub, origin, source, rules, now, is_overlay=mode == "overlay")
    return hub


def _plan_create(
    hub: Hub, origin: Link, source: IncidentSource, rules: Rules, now: datetime, *, is_overlay: bool
) -> Hub:
    write = new_write(
        hub,
        link=None,
        source_id=source.source_id,
        kind=WriteKind.CREATE,
        key=f"create/{source.source_id}/{origin.source_id}/{origin.native_id}",
        intended={"created_for": f"{origin.source_id}/{origin.native_id}"},
        now=now,
        not_before=hub.created_at + rules.policy.grace if is_overlay else None,
    )
    if any(one.id == write.id for one in hub.writes):
        return hub
    return hub.with_write(write)


def _drop_create(hub: Hub, source: IncidentSource) -> Hub:
    for write in hub.writes:
        if write.kind is WriteKind.CREATE and write.source_id == source.source_id and write.is_open:
            hub = hub.with_write(superseded(write, "there is a copy"))
    return hub
