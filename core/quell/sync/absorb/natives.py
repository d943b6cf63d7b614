"""Tells people in the product that detects of a related incident that began in a mirror. Pure."""

from __future__ import annotations

from datetime import datetime

from quell.domain.hub import Hub, Step
from quell.domain.incident import Status
from quell.sync.absorb.comments import note
from quell.sync.plan import plan
from quell.sync.remarks import line
from quell.sync.rules import Rules

__all__ = ["is_native", "mention"]


def is_native(hub: Hub, rules: Rules) -> bool:
    """Tell whether an incident began in a mirror and is there alone: it is never copied from there."""
    return bool(hub.links) and all(
        rules.sides.is_mirror(link.source_id) and not link.is_ours and link.counterpart_id is None
        for link in hub.links
    )


def mention(hub: Hub, native: Hub, rules: Rules, now: datetime) -> Step:
    """Say on an open incident that another one names the same thing, once; nothing else is copied."""
    origin = rules.sides.detects(hub)
    closed = Status.CLOSED in {hub.fields.status, native.fields.status}
    if origin is None or closed or not is_native(native, rules):
        return Step(hub=hub)
    (there, *_) = native.links
    where = there.url or f"{there.system} {there.number or there.native_id}"
    title = line(native.fields.title or "") or "untitled"
    text = (
        f"An incident of {there.system} names the same device, account or mailbox: {title}, {where}"
    )
    told = note(hub, origin, text, f"native/{native.id}")
    return Step(hub=plan(told, rules, now) if told is not hub else hub)
