"""Tells what the vendor's own connector may still bring by itself, and how long it is waited for.

Copies that such a connector made are left to it, both ways, unless they stay apart for longer
than the policy's patience. What it does not carry is written at once. Pure.
"""

from __future__ import annotations

from datetime import datetime

from quell.domain.hub import Hub, HubComment, Link
from quell.sync.rules import Rules

__all__ = ["comment_waits", "field_waits", "is_brought", "is_vendors"]


def is_vendors(link: Link, rules: Rules) -> bool:
    """Tell whether the vendor's own connector made this copy, and keeps it."""
    is_left = rules.modes.get(link.source_id) == "overlay"
    return is_left and not link.is_ours and rules.sides.is_mirror(link.source_id)


def field_waits(hub: Hub, link: Link, name: str, rules: Rules) -> datetime | None:
    """Give until when a differing field is left to the connector; None where it is not."""
    is_left = _is_field_brought(hub, link, name, rules) and not _is_brought_already(hub, link, name)
    return _came_about(hub, link, name) + rules.policy.patience if is_left else None


def comment_waits(
    hub: Hub, comment: HubComment, link: Link, rules: Rules, now: datetime
) -> datetime | None:
    """Give until when a missing comment is left to the connector; None where it is not."""
    return now + rules.policy.patience if is_brought(hub, comment, link, rules) else None


def is_brought(hub: Hub, comment: HubComment, link: Link, rules: Rules) -> bool:
    """Tell whether a connector brings a comment into this copy."""
    if comment.kind != "comment" or "comments" not in rules.sides[link.source_id].carried:
        return False
    origin = hub.link(comment.origin_link_id)
    return is_vendors(link, rules) or (origin is not None and is_vendors(origin, rules))


def _is_field_brought(hub: Hub, link: Link, name: str, rules: Rules) -> bool:
    """Tell whether a connector brings this field of this incident into this copy."""
    if name not in rules.sides[link.source_id].carried:
        return False
    if rules.sides.is_mirror(link.source_id):
        return is_vendors(link, rules)
    # back into the product that detects: only what came from such a copy
    mark = hub.marks.get(name)
    origin = hub.link(mark.link_id) if mark is not None else None
    return origin is not None and is_vendors(origin, rules)


def _is_brought_already(hub: Hub, link: Link, name: str) -> bool:
    """Tell whether all that is missing is what no connector carries: the determination."""
    said, wanted = link.observed.fields.verdict, hub.fields.verdict
    if name != "verdict" or said is None or wanted is None:
        return False
    return said.classification == wanted.classification


def _came_about(hub: Hub, link: Link, name: str) -> datetime:
    mark = hub.marks.get(name)
    moments = [mark.bounds.since] if mark is not None else [hub.created_at]
    if name == "tags":
        # a set has no mark of its own for what was added last
        others = (one for one in hub.links if one.id != link.id)
        moments += [one.bounds[name].since for one in others if name in one.bounds]
    return max(moments)
