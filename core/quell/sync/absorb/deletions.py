"""Puts on record that people deleted a comment whose copies are elsewhere. Pure.

What somebody has said is never taken away: the copies stay, and next to them stands that the
original is gone.
"""

from __future__ import annotations

from quell.domain.hub import Hub, HubComment, Link
from quell.domain.ports import ObservedIncident
from quell.sync.absorb.comments import note
from quell.sync.remarks import origin_line, short_digest, squeezed
from quell.sync.rules import Rules

__all__ = ["note_deletions"]


def note_deletions(hub: Hub, seen: ObservedIncident, rules: Rules) -> Hub:
    """Say once, beside its copies, that a comment is not where it was written any more."""
    link = hub.link_at(seen.source_id, seen.native_id)
    if link is None or seen.comments is None or link.is_past(seen.changed_at):
        return hub
    if seen.is_deleted or seen.comment_count not in {None, len(seen.comments)}:
        return hub  # not all of them are shown
    keys = {comment.key for comment in seen.comments}
    texts = {squeezed(comment.text) for comment in seen.comments}
    for one in hub.comments:
        # a product without ids for comments may show the same one under another key
        if _is_gone(one, link, keys) and squeezed(one.text) not in texts:
            hub = _noted(hub, one, link, rules)
    return hub


def _is_gone(comment: HubComment, link: Link, keys: set[str]) -> bool:
    if comment.kind != "comment" or comment.origin_link_id != link.id:
        return False
    return all(copy.native_key not in keys for copy in comment.copy_in(link.id))


def _noted(hub: Hub, comment: HubComment, origin: Link, rules: Rules) -> Hub:
    said = origin_line(comment.author, origin.system, comment.created_at, 0, 1).rstrip(":")
    text = f"The comment that {said} was deleted there. Its copy here stays."
    # several versions of one edited comment go at once, and are told of once
    key = f"deleted/{origin.id}/{comment.created_at or short_digest(comment.text)}"
    for link in rules.sides.taking_part(hub):
        if link.id != origin.id and any(one.native_key for one in comment.copy_in(link.id)):
            hub = note(hub, link, text, key)
    return hub
