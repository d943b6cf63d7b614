"""Our mark in the product's own records: how an idempotency key is put into a text and found again."""

from __future__ import annotations

import re

__all__ = ["clean", "keys_in", "sign"]

#: the key comes first, so that a product which cuts the text keeps it
_MARK = re.compile(r"\[quell ([^\[\]\s]{1,200})\]")


def clean(text: str, limit: int) -> str:
    """Make text fit for a record that people read: printable characters only, cut to `limit`.

    Line breaks, control characters and direction overrides become spaces.
    """
    spaced = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(spaced.split())[:limit].rstrip()


def sign(note: str, key: str, *, limit: int) -> str:
    """Give the text for the product's record: our key, then why. Safe to cut at the end."""
    # a mark that came along in the note would claim authorship for another key
    words = _MARK.sub("", note)
    return clean(f"[quell {key}] {words}", limit)


def keys_in(*texts: str) -> tuple[str, ...]:
    """List the keys of ours that the texts carry, each once, in the order found."""
    return tuple(dict.fromkeys(key for text in texts for key in _MARK.findall(text)))
