"""Knows comments of ours again that the vendor's own connector carried into another copy. Pure.

A key alone proves nothing: anybody can quote one. The words must be the ones that we wrote.
"""

from __future__ import annotations

from quell.domain.hub import Copy, Hub, HubComment, Link
from quell.domain.incident import Comment
from quell.sync.plan.patience import is_brought
from quell.sync.plan.words import copy_text
from quell.sync.remarks import joined, keys_in, squeezed
from quell.sync.rules import Rules

__all__ = ["brought_here", "place_for"]

#: the part under which the vendor's own copy of a comment is known where ours was there before
LATE = -1


def place_for(hub: Hub, comment: HubComment, link: Link, rules: Rules) -> int | None:
    """Give the part that a copy made by others would be; None where there is one already.

    Of what a connector carries, a copy may still come when ours is there: it had been late.
    """
    there = [copy for copy in comment.copy_in(link.id) if copy.native_key is not None]
    if not there:
        return 0
    is_ours_alone = all(copy.copy_key for copy in there)
    return LATE if is_ours_alone and is_brought(hub, comment, link, rules) else None


def brought_here(
    hub: Hub, link: Link, comment: Comment, rules: Rules
) -> list[tuple[str, Copy]] | None:
    """List the copies that a carried comment makes unnecessary here; None if it is something else."""
    keys = keys_in(comment.text)
    ours = [
        (one, copy)
        for one in (hub.comments if keys else ())
        for copy in one.copies
        if copy.copy_key in keys and copy.link_id != link.id
    ]
    ours.sort(key=lambda item: comment.text.index(item[1].copy_key))
    if not ours or not _are_the_words(hub, ours, comment, rules):
        return None
    return [
        (one.id, Copy(link_id=link.id, part=copy.part))
        for one, copy in ours
        if _is_missing(one, link, copy.part)
    ]


def _are_the_words(
    hub: Hub, ours: list[tuple[HubComment, Copy]], comment: Comment, rules: Rules
) -> bool:
    if any(_is_elsewhere(hub, copy, rules) for _, copy in ours):
        return False
    said = joined([copy_text(hub, one, copy, rules) for one, copy in ours])
    return squeezed(said) == squeezed(comment.text)


def _is_elsewhere(hub: Hub, copy: Copy, rules: Rules) -> bool:
    link = hub.link(copy.link_id)
    return link is None or link.source_id not in rules.sides


def _is_missing(comment: HubComment, link: Link, part: int) -> bool:
    there = (one for one in comment.copy_in(link.id) if one.part == part)
    return comment.origin_link_id != link.id and not any(one.native_key for one in there)
