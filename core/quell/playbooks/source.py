"""A playbook's text and the places in it: decoding, limits, and the list of mistakes found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from quell.errors import PlaybookError

__all__ = [
    "MAX_BYTES",
    "START",
    "Place",
    "Problems",
    "check_text",
    "decode_playbook",
    "one_of",
    "quote",
    "suggest",
]

#: larger files are refused unread
MAX_BYTES = 256 * 1024
#: what a message shows at most of a value
SHOWN = 60
#: line breaks to YAML's scanner, but not to editors: positions would disagree
ODD_BREAKS = "\x85\u2028\u2029"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line and a column in the file, both from 1."""

    line: int
    column: int


START = Place(1, 1)


@dataclass(slots=True)
class Problems:
    """The mistakes of one file, collected so that all are told at once."""

    name: str
    found: set[tuple[Place, str]] = field(default_factory=set[tuple[Place, str]])

    def add(self, place: Place, text: str) -> None:
        """Note a mistake; the same one at the same place counts once."""
        self.found.add((place, text))

    def lines(self) -> list[str]:
        """List the mistakes as `file:line:column: text`, in the file's order."""
        return [f"{self.name}:{at.line}:{at.column}: {text}" for at, text in sorted(self.found)]

    def raise_if_any(self) -> None:
        """Raise PlaybookError with everything found so far, if anything was."""
        if self.found:
            raise PlaybookError(problems=self.lines())


def decode_playbook(raw: bytes, *, name: str) -> str:
    """Decode a file's bytes as UTF-8; raises PlaybookError at the first byte that is not."""
    problems = Problems(name)
    if len(raw) > MAX_BYTES:
        problems.add(START, f"the file has {len(raw)} bytes; at most {MAX_BYTES} are read")
        problems.raise_if_any()
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        place = end_of(raw[: error.start].decode("utf-8"))
        problems.add(place, "this byte is not UTF-8; save the file as UTF-8")
        raise PlaybookError(problems=problems.lines()) from None


def check_text(text: str, problems: Problems) -> str:
    """Refuse what no editor shows as it is; returns the text without a byte order mark."""
    text = text.removeprefix("\ufeff")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        problems.add(START, f"the file is larger than {MAX_BYTES} bytes")
        return ""
    bad = next((index for index, char in enumerate(text) if _is_unfit(char)), None)
    if bad is not None:
        place = end_of(text[:bad])
        problems.add(place, f"the character U+{ord(text[bad]):04X} cannot be part of a playbook")
    return text


def _is_unfit(char: str) -> bool:
    if char in "\t\n\r":
        return False
    return (
        char < " "
        or "\x7f" <= char <= "\x9f"
        or char in ODD_BREAKS
        or "\ud800" <= char <= "\udfff"
        or char in "\ufeff\ufffe\uffff"
    )


def end_of(text: str) -> Place:
    """Find the place just after a text, counting lines as editors do."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return Place(len(lines), len(lines[-1]) + 1)


def suggest(word: str, known: Iterable[str]) -> str:
    """Give `; did you mean "x"?` for a near miss, or nothing."""
    near = difflib.get_close_matches(word[:SHOWN], list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def one_of(known: Iterable[str]) -> str:
    """Write out the choices, as many as a reader wants to see."""
    names = list(known)
    shown = ", ".join(names[:16])
    return f"{shown}, …" if len(names) > 16 else shown


def quote(text: str) -> str:
    """Quote a piece of the file for a message: one line, short, printable."""
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return f'"{shown[: SHOWN - 1]}…"' if len(shown) > SHOWN else f'"{shown}"'
