"""Making text from incidents safe to print: it comes from attackers."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["clean", "clean_lines", "clip"]

#: terminal sequences: CSI, OSC and the like up to their end, and two-character escapes
ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f]).*?(?:\x07|\x1b\\|\x9c|$)"
    r"|\x1b[ -/]*[0-~]?",
    re.DOTALL,
)
#: control, format (bidi marks, zero width), surrogates, private use, line and paragraph separators
UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(text: str) -> str:
    """Return one line of printable text: nothing that moves a cursor or turns text round."""
    without_escapes = ESCAPES.sub("", text)
    spaced = re.sub(r"[\t\r\n\v\f\x85\u2028\u2029]+", " ", without_escapes)
    return "".join(char for char in spaced if unicodedata.category(char) not in UNSAFE)


def clean_lines(text: str) -> str:
    """Clean several lines, and keep them apart."""
    return "\n".join(clean(line) for line in text.split("\n"))


def clip(text: str, limit: int) -> str:
    """Cut text that is longer than the limit, visibly."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
