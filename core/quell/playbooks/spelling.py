"""Where each character of a YAML text value is written: quotes, escapes, blocks and folded lines."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field
from typing import Any

from quell.playbooks.source import Place

__all__ = ["Spelling"]

LINE_BREAK = re.compile(r"\r\n|\r|\n")
#: how many characters follow `\x`, `\u` and `\U`
ESCAPE_LENGTHS = {"x": 2, "u": 4, "U": 8}


@dataclass(slots=True)
class Spelling:
    """One scalar as written; its characters are found only when somebody asks."""

    text: str
    event: Any  # PyYAML has no types for its events' marks
    value: str
    _offsets: list[int] = field(default_factory=list[int])

    def place(self, offset: int) -> Place:
        """Find a character of the value in the file; past the end gives the end."""
        if not self._offsets:
            self._offsets = self._locate()
        index = min(max(offset, 0), len(self._offsets) - 1)
        return _place_at(self.text, self._offsets[index])

    def _locate(self) -> list[int]:
        start, end = self.event.start_mark.index, self.event.end_mark.index
        position = self._first(start, end)
        offsets: list[int] = []
        for char in self.value:
            position = self._seek(char, position, end)
            offsets.append(min(position, end))
            position += self._width(char, position)
        return [*offsets, min(position, end)]

    def _first(self, start: int, end: int) -> int:
        if self.event.style in ("'", '"'):
            return int(start + 1)
        if self.event.style in ("|", ">"):
            head = LINE_BREAK.search(self.text, start, end)
            return int(head.end() if head else end)
        return int(start)

    def _seek(self, char: str, position: int, end: int) -> int:
        """Skip indentation and folds until the character, or a spelling of it, is reached."""
        if char in " \n":
            return position
        while position < end and self.text[position] != char and self.text[position] in " \t\r\n":
            position += 1
        if self._is_continued(position):
            return self._seek(char, position + 1, end)
        return position

    def _is_continued(self, position: int) -> bool:
        """Tell whether a double-quoted line ends here with a backslash: it stands for nothing."""
        return self.event.style == '"' and self.text[position : position + 2] in ("\\\n", "\\\r")

    def _width(self, char: str, position: int) -> int:
        if self.event.style == "'" and self.text[position : position + 2] == "''":
            return 2
        if self.event.style == '"' and self.text[position : position + 1] == "\\":
            return 2 + ESCAPE_LENGTHS.get(self.text[position + 1 : position + 2], 0)
        if char in " \n":
            return self._fold_width(position)
        return 1

    def _fold_width(self, position: int) -> int:
        found = LINE_BREAK.match(self.text, position)
        return len(found.group()) if found else 1


def _place_at(text: str, index: int) -> Place:
    breaks = [found.end() for found in LINE_BREAK.finditer(text, 0, index)]
    line = bisect.bisect_right(breaks, index)
    return Place(line + 1, index - (breaks[-1] if breaks else 0) + 1)
