"""Tells which values may set off containment: those that the product which detects gave itself. Pure.

A value counts when a side that is believed changed it by itself. What quell wrote there, or what
the vendor's own connector carried there from a copy, is somebody else's word.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from quell.domain.hub import Bounds, Hub, Link, Mark, WriteState
from quell.sync.absorb.reconcile import plain
from quell.sync.rules import Rules
from quell.sync.sides import FIELDS

__all__ = ["is_believed", "vouch_changes", "vouch_for_all"]


def is_believed(hub: Hub, link: Link, rules: Rules) -> bool:
    """Tell whether a side's own word counts: it detects, or policy names its system.

    What began in a mirror, and mirrors nothing, was detected there.
    """
    if not rules.sides.is_mirror(link.source_id) or link.system in rules.policy.authority:
        return True
    is_native = all(rules.sides.is_mirror(one.source_id) for one in hub.links)
    return is_native and not link.is_ours and link.counterpart_id is None


def vouch_for_all(hub: Hub, link: Link, rules: Rules) -> Hub:
    """Let a side that is met for the first time vouch for all that it says."""
    if not is_believed(hub, link, rules):
        return hub
    marks = dict(hub.marks)
    for name in FIELDS:
        marks[name] = _vouched(marks.get(name), name, link, _said(name, link))
    return hub.replace(marks=marks)


def vouch_changes(hub: Hub, link: Link, rules: Rules) -> Hub:
    """Let a side vouch for what it has changed since its shadow, unless that was our own doing."""
    if not is_believed(hub, link, rules):
        return hub
    marks = dict(hub.marks)
    for name in FIELDS:
        if link.observed.native.get(name) == link.shadow.native.get(name):
            continue
        if _is_anothers_word(hub, link, name, rules):
            continue
        value = _tags(hub, link) if name == "tags" else _said(name, link)
        marks[name] = _vouched(marks.get(name), name, link, value)
    return hub if marks == hub.marks else hub.replace(marks=marks)


def _is_anothers_word(hub: Hub, link: Link, name: str, rules: Rules) -> bool:
    """Tell whether the new value is what another side had said first."""
    if getattr(link.observed.fields, name) != getattr(hub.fields, name):
        return False
    if _is_being_sent(hub, link, name):
        return True
    mark = hub.marks.get(name)
    giver = hub.link(mark.link_id) if mark is not None else None
    # the vendor's connector carries values by itself, but never from copies that it did not make
    return (
        giver is not None
        and giver.id != link.id
        and not giver.is_ours
        and not is_believed(hub, giver, rules)
    )


def _is_being_sent(hub: Hub, link: Link, name: str) -> bool:
    return any(
        write.link_id == link.id and write.state is WriteState.SENDING and name in write.intended
        for write in hub.writes
    )


def _said(name: str, link: Link) -> Any:
    return plain(getattr(link.observed.fields, name))


def _tags(hub: Hub, link: Link) -> list[str]:
    """Add and take away what this side did; tags that came from elsewhere stay out.

    A tag that the incident has already was somebody else's first: it may be what we sent here.
    """
    mark = hub.marks.get("tags")
    before, now = link.shadow.fields.tags, link.observed.fields.tags
    known = cast("list[str] | msgspec.UnsetType", mark.vouched if mark else msgspec.UNSET)
    tags = frozenset(known) if known is not msgspec.UNSET else frozenset[str]()
    return sorted((tags - (before - now)) | (now - before - hub.fields.tags))


def _vouched(mark: Mark | None, name: str, link: Link, value: Any) -> Mark:
    if mark is None:
        bounds = link.bounds.get(name) or Bounds(since=link.seen_at)
        mark = Mark(system=link.system, link_id=link.id, bounds=bounds)
    return msgspec.structs.replace(mark, vouched=value)
