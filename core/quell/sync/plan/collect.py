"""Plans comments that several originals share, where a copy is nearly as full as its product allows.

Nothing is dropped: while there is room, what is said goes into a comment of ours that is there
already, or into a new one that several share. After that it stays on record, and one parked
write says how much is not shown, and where it can be read. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from quell.domain.hub import Copy, Hub, HubComment, IncidentWrite, Link, WriteKind, WriteState
from quell.sync.plan.words import copy_text
from quell.sync.plan.writes import new_write, superseded
from quell.sync.remarks import fitting, joined, short_digest, units
from quell.sync.rules import Rules

__all__ = ["Entry", "Slots", "plan_collected", "revoked", "slots"]

#: comments of an incident that are kept for those that several share
RESERVE = 10
#: how long comments are gathered where one that was written cannot be added to
GATHERING = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One part of a comment that a copy does not have, as it would be written there."""

    comment: HubComment
    copy: Copy
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """How many comments a copy can still be given; less than none where too many are planned."""

    left: int
    at_most: int

    def is_room_for(self, entry: Entry) -> bool:
        """Tell whether one may have a comment of its own: alerts leave half to people."""
        share = self.at_most // 2 if entry.comment.kind == "alerts" else RESERVE
        return self.left > min(share, self.at_most // 2)

    def less_one(self) -> Slots:
        """Give what is left after one more."""
        return replace(self, left=self.left - 1)


def slots(hub: Hub, link: Link, rules: Rules) -> Slots:
    """Count what a copy can still hold, besides what is on its way."""
    known = {copy.native_key for one in hub.comments for copy in one.copy_in(link.id)} - {None}
    used = max(len(known), link.comment_count or 0)
    at_most = rules.sides[link.source_id].comments_at_most
    return Slots(left=at_most - used - len(_single(hub, link)), at_most=at_most)


def revoked(hub: Hub, link: Link, rules: Rules) -> Hub:
    """Take back comments that were planned before it was known how full the copy is."""
    over = -slots(hub, link, rules).left
    unsent = [write for write in _single(hub, link) if write.state is WriteState.PLANNED]
    for write in unsent[::-1][: max(over, 0)]:
        hub = hub.with_write(superseded(write, "there is no room for it alone"))
    return hub


def _single(hub: Hub, link: Link) -> list[IncidentWrite]:
    """List the comments that are on their way into a copy, each by itself."""
    return [
        write
        for write in hub.writes
        if write.link_id == link.id
        and write.kind is WriteKind.COMMENT
        and write.is_open
        and "comment" in write.intended
    ]


def plan_collected(
    hub: Hub, link: Link, entries: Sequence[Entry], left: Slots, rules: Rules, now: datetime
) -> Hub:
    """Bring the one shared comment that is planned for a copy up to date."""
    planned = [write for write in hub.writes if write.link_id == link.id and _is_shared(write)]
    if any(write.state is WriteState.SENDING for write in planned):
        return hub
    refused = {tuple(one) for write in planned if not write.is_open for one in _named(write)}
    entries = [one for one in entries if _name(one) not in refused]
    open_ones = [write for write in planned if write.is_open]
    wanted = _wanted(hub, link, entries, left, rules) if entries else None
    if wanted is not None and any(write.intended == wanted for write in open_ones):
        return hub
    for write in open_ones:
        hub = hub.with_write(superseded(write, "more was said"))
    if wanted is not None:
        is_final = not rules.sides[link.source_id].edits_comments
        begun = min((one.not_before for one in open_ones if one.not_before), default=None)
        return hub.with_write(_shared(hub, link, wanted, now, begun or _later(now, is_final)))
    return _with_unshown(hub, link, entries, now) if entries else hub


def _later(now: datetime, is_final: bool) -> datetime | None:
    return now + GATHERING if is_final else None


def _is_shared(write: IncidentWrite) -> bool:
    is_kept = write.state in {WriteState.PLANNED, WriteState.SENDING, WriteState.PARKED}
    return write.kind is WriteKind.COMMENT and is_kept and "entries" in write.intended


def _named(write: IncidentWrite) -> list[list[Any]]:
    return list(write.intended["entries"])


def _name(entry: Entry) -> tuple[str, int, str]:
    return entry.comment.id, entry.copy.part, entry.copy.copy_key


def _wanted(
    hub: Hub, link: Link, entries: Sequence[Entry], left: Slots, rules: Rules
) -> dict[str, Any] | None:
    """Choose the comment that takes the next entries, with all its words; None if none can."""
    source = rules.sides[link.source_id]
    texts = [one.text for one in entries]
    if source.edits_comments:
        for host, said in reversed(_hosts(hub, link, rules).items()):
            count = fitting(texts, units(joined(said)), source.comment_limit)
            if count:
                return _intended(entries[:count], host, joined([*said, *texts[:count]]))
    if left.left <= 0:
        return None
    count = max(fitting(texts, 0, source.comment_limit), 1)
    return _intended(entries[:count], "", joined(texts[:count]))


def _intended(entries: Sequence[Entry], host: str, text: str) -> dict[str, Any]:
    return {
        "entries": [list(_name(one)) for one in entries],
        "host": host,
        "key": entries[0].copy.copy_key,
        "text": text,
    }


def _hosts(hub: Hub, link: Link, rules: Rules) -> dict[str, list[str]]:
    """Give the words of each comment of ours in a copy, by the product's id of it."""
    found: dict[str, list[str]] = {}
    for one in hub.comments:
        for copy in one.copy_in(link.id):
            if copy.native_key is not None and copy.copy_key:
                found.setdefault(copy.native_key, []).append(copy_text(hub, one, copy, rules))
    return found


def _shared(
    hub: Hub, link: Link, intended: dict[str, Any], now: datetime, not_before: datetime | None
) -> IncidentWrite:
    names = short_digest(intended["host"], *(str(one) for one in intended["entries"]))
    return new_write(
        hub,
        link=link,
        source_id=link.source_id,
        kind=WriteKind.COMMENT,
        key=f"shared/{link.id}/{names}",
        intended=intended,
        now=now,
        not_before=not_before,
    )


# -- what is not shown ---------------------------------------------------------------------------


def _with_unshown(hub: Hub, link: Link, entries: Sequence[Entry], now: datetime) -> Hub:
    """Keep one write that stands for all that a copy cannot be given any more."""
    known = next(
        (
            write
            for write in hub.writes
            if write.link_id == link.id and "not_shown" in write.intended
        ),
        None,
    )
    origins = {one.comment.origin_link_id for one in entries}
    where = sorted({o.url or o.native_id for o in hub.links if o.id in origins})
    intended = {"not_shown": len(entries), "where": where}
    if known is not None:
        return hub.with_write(msgspec.structs.replace(known, intended=intended))
    write = new_write(
        hub,
        link=link,
        source_id=link.source_id,
        kind=WriteKind.COMMENT,
        key=f"unshown/{link.id}",
        intended=intended,
        now=now,
    )
    return hub.with_write(write)
