"""Plans which copies of an incident still have to be made. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from quell.domain.hub import (
    Hub,
    IncidentWrite,
    Link,
    WriteKind,
    WriteState,
)
from quell.domain.ids import SourceId
from quell.domain.original import Original
from quell.domain.ports import IncidentSource
from quell.sync.plan.writes import new_write, superseded
from quell.sync.rules import Rules

__all__ = ["belongs_in", "plan_creates", "wait_for_theirs"]


def plan_creates(hub: Hub, rules: Rules, now: datetime) -> Hub:
    """Plan a copy wherever the rules send the incident and there never was one."""
    origin = rules.sides.detects(hub)
    for source in rules.sides.mirrors():
        source_id = source.source_id
        if origin is None or any(link.source_id == source_id for link in hub.links):
            hub = _drop(hub, _creates(hub, source_id), "there is a copy")
            continue
        if (is_sent := rules.routes.sends(hub, source_id)) is False:
            # one that is on its way is left alone until it is known what became of it
            waiting = [one for one in _creates(hub, source_id) if one.state is WriteState.PLANNED]
            hub = _drop(hub, waiting, "no rule sends the incident there")
        mode = rules.modes.get(source_id)
        if is_sent and mode is not None:
            hub = _plan_create(hub, origin, source, rules, now, is_overlay=mode == "overlay")
    return hub


def belongs_in(hub: Hub, source_id: SourceId, rules: Rules) -> bool:
    """Tell whether a source has a copy of an incident, is about to get one, or may get one."""
    is_there = any(link.source_id == source_id for link in hub.links)
    is_sent = rules.routes.sends(hub, source_id) is True
    return is_there or is_sent or bool(_creates(hub, source_id))


def wait_for_theirs(hub: Hub, source_id: SourceId, until: datetime | None) -> Hub:
    """Let copies that are not made yet wait for the product's own; or no longer, without `until`."""
    for write in _creates(hub, source_id):
        if write.state is not WriteState.PLANNED:
            continue
        if until is not None:
            later = max(write.not_before or until, until)
            hub = hub.with_write(msgspec.structs.replace(write, not_before=later))
        elif write.attempts == 0:
            hub = hub.with_write(msgspec.structs.replace(write, not_before=None))
    return hub


def _plan_create(
    hub: Hub, origin: Link, source: IncidentSource, rules: Rules, now: datetime, *, is_overlay: bool
) -> Hub:
    original = Original(
        tenant_id=hub.tenant_id, source_id=origin.source_id, native_id=origin.native_id
    )
    write = new_write(
        hub,
        link=None,
        source_id=source.source_id,
        kind=WriteKind.CREATE,
        key=f"create/{source.source_id}/{origin.source_id}/{origin.native_id}",
        intended={"created_for": str(original)},
        now=now,
        not_before=hub.created_at + rules.policy.grace if is_overlay else None,
    )
    if any(one.id == write.id for one in hub.writes):
        return hub
    return hub.with_write(write)


def _creates(hub: Hub, source_id: SourceId) -> list[IncidentWrite]:
    return [
        write
        for write in hub.writes
        if write.kind is WriteKind.CREATE and write.source_id == source_id and write.is_open
    ]


def _drop(hub: Hub, writes: list[IncidentWrite], reason: str) -> Hub:
    for write in writes:
        hub = hub.with_write(superseded(write, reason))
    return hub
