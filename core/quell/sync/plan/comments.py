"""Plans where each comment still has to be copied to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from quell.domain.hub import (
    Acceptance,
    Copy,
    Hub,
    HubComment,
    Link,
    WriteKind,
    WriteState,
)
from quell.sync.plan.collect import Entry, plan_collected, revoked, slots
from quell.sync.plan.patience import comment_waits
from quell.sync.plan.words import copy_text
from quell.sync.plan.writes import PATIENT, new_write
from quell.sync.remarks import copy_key, copy_parts
from quell.sync.rules import Rules

__all__ = ["plan_comments"]


def plan_comments(
    hub: Hub, rules: Rules, now: datetime, caused_by: str | None, *, kinds: Sequence[str]
) -> Hub:
    """Bring the planned copies of comments up to date, in every copy of the incident."""
    if any(link.acceptance is Acceptance.PENDING for link in rules.sides.taking_part(hub)):
        return hub
    missing: dict[str, list[Entry]] = {}
    for comment in hub.comments:
        if comment.kind not in kinds:
            continue
        for link in _audience(hub, comment, rules):
            hub, entries = _missing(hub, comment.id, link, rules)
            missing.setdefault(link.id, []).extend(entries)
    for link in hub.links:
        if not missing.get(link.id):
            continue
        hub = revoked(hub, link, rules)
        entries = [one for one in missing[link.id] if not _is_planned(hub, link, one)]
        if entries:
            hub = _plan_entries(hub, link, entries, rules, now, caused_by)
    return hub


def _audience(hub: Hub, comment: HubComment, rules: Rules) -> list[Link]:
    """List the copies of the incident that a comment belongs into, but for where it comes from."""
    if comment.kind == "note":
        wanted = {copy.link_id for copy in comment.copies}
        return [one for one in hub.links if one.id in wanted and one.deleted_at is None]
    origin = hub.link(comment.origin_link_id)
    if origin is not None and rules.sides.is_left_out(hub, origin):
        return []  # the filter leaves the incident alone: nothing passes between its copies
    links = [one for one in rules.sides.taking_part(hub) if one.id != comment.origin_link_id]
    if comment.kind == "alerts":
        # copies that the products made themselves have the alerts
        return [one for one in links if one.is_ours and rules.sides.is_mirror(one.source_id)]
    return links


def _missing(hub: Hub, comment_id: str, link: Link, rules: Rules) -> tuple[Hub, list[Entry]]:
    """List the parts of a comment that a copy does not have, and give each its key."""
    comment = next(one for one in hub.comments if one.id == comment_id)
    there = {copy.part: copy for copy in comment.copy_in(link.id)}
    if 0 in there and there[0].native_key is not None and not there[0].copy_key:
        return hub, []  # the product's own copy of it
    others = tuple(copy for copy in comment.copies if copy.link_id != link.id)
    entries: list[Entry] = []
    for part in range(len(copy_parts(comment.text, rules.sides[link.source_id].comment_limit))):
        if part not in there or not (there[part].copy_key or there[part].native_key):
            key = copy_key(rules.secret, hub.tenant_id, link.id, comment.id, str(part))
            there[part] = Copy(link_id=link.id, part=part, copy_key=key)
        if there[part].native_key is None:
            text = copy_text(hub, comment, there[part], rules)
            entries.append(Entry(comment=comment, copy=there[part], text=text))
    copies = (*others, *(there[part] for part in sorted(there)))
    if set(copies) != set(comment.copies):
        hub = hub.with_comment(msgspec.structs.replace(comment, copies=copies))
    return hub, entries


def _is_planned(hub: Hub, link: Link, entry: Entry) -> bool:
    """Tell whether a write of its own is under way for it, or was refused."""
    wanted = (entry.comment.id, entry.copy.part)
    return any(
        write.link_id == link.id
        and write.kind is WriteKind.COMMENT
        and write.state in {WriteState.PLANNED, WriteState.SENDING, WriteState.PARKED}
        and (write.intended.get("comment"), write.intended.get("part")) == wanted
        for write in hub.writes
    )


def _plan_entries(
    hub: Hub,
    link: Link,
    entries: Sequence[Entry],
    rules: Rules,
    now: datetime,
    caused_by: str | None,
) -> Hub:
    """Plan a comment of its own for each while there is room, and join the rest."""
    left = slots(hub, link, rules)
    joined: list[Entry] = []
    for entry in entries:
        if left.is_room_for(entry):
            left = left.less_one()
            hub = _plan_copy(hub, entry, link, rules, now, caused_by)
        else:
            joined.append(entry)
    return plan_collected(hub, link, joined, left, rules, now)


def _plan_copy(
    hub: Hub, entry: Entry, link: Link, rules: Rules, now: datetime, caused_by: str | None
) -> Hub:
    comment, copy = entry.comment, entry.copy
    waits = comment_waits(hub, comment, link, rules, now)
    key = f"comment/{link.id}/{comment.id}/{copy.part}"
    write = new_write(
        hub,
        link=link,
        source_id=link.source_id,
        kind=WriteKind.COMMENT,
        key=key if waits is None else f"{PATIENT}{key}",
        intended={
            "comment": comment.id,
            "part": copy.part,
            "key": copy.copy_key,
            "text": entry.text,
        },
        now=now,
        not_before=waits,
        caused_by=comment.caused_by or caused_by,
    )
    return hub.with_write(write)
