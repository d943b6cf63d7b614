"""Writes plain text as a Sentinel comment, which the portal shows as HTML, and reads it back."""

from __future__ import annotations

import html

__all__ = ["LIMIT", "read", "write"]

#: most characters of one comment
LIMIT = 30_000


def write(words: str) -> str:
    """Give a message that shows these words and nothing else: no tag of an attacker's text works."""
    escaped = html.escape(words, quote=False)
    if len(escaped) <= LIMIT:
        return escaped
    # no room for entities: signs that only look alike
    return words.replace("<", "‹").replace(">", "›")[:LIMIT]


def read(message: str) -> str:
    """Give the words of a message; tags that a person made in the portal stay as they are."""
    return html.unescape(message)
