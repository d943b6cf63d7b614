"""Gives the words that a copy of a comment has: the same ones each time. Pure."""

from __future__ import annotations

from quell.domain.hub import Copy, Hub, HubComment
from quell.sync.remarks import copy_parts, origin_line, signed
from quell.sync.rules import Rules

__all__ = ["copy_text"]


def copy_text(hub: Hub, comment: HubComment, copy: Copy, rules: Rules) -> str:
    """Give the words of one part of a comment in one copy, with our key and who said it."""
    link, origin = hub.link(copy.link_id), hub.link(comment.origin_link_id)
    limit = rules.sides[link.source_id].comment_limit if link else len(comment.text)
    parts = copy_parts(comment.text, limit)
    body = parts[min(copy.part, len(parts) - 1)]
    if comment.origin_link_id is None:
        return signed(copy.copy_key, "", body)
    where = origin.system if origin else "another incident"
    header = origin_line(comment.author, where, comment.created_at, copy.part, len(parts))
    return signed(copy.copy_key, header, body)
