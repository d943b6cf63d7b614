"""Small rewritings of an expression's text before the library sees it.

Constants of enums become their words, ordered enums compare by rank, entities by id. The
text is edited rather than printed anew, so that nothing else of it can change its meaning.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

__all__ = ["Splices"]


def _texts() -> defaultdict[int, list[str]]:
    return defaultdict(list)


@dataclass(slots=True)
class Splices:
    """Edits by place; inner ones are noted before outer ones."""

    #: opened at a place: what is noted later encloses what was noted before
    opened: defaultdict[int, list[str]] = field(default_factory=_texts)
    #: closed at a place: what is noted later comes after
    closed: defaultdict[int, list[str]] = field(default_factory=_texts)
    replaced: dict[int, tuple[int, str]] = field(default_factory=dict[int, tuple[int, str]])

    def wrap(self, start: int, end: int, before: str, after: str) -> None:
        """Put text around a part."""
        self.opened[start].insert(0, before)
        self.closed[end].append(after)

    def replace(self, start: int, end: int, text: str) -> None:
        """Put text in place of a part that holds no other edits."""
        self.replaced[start] = (end, text)

    def apply(self, text: str) -> str:
        """Give the edited text."""
        parts: list[str] = []
        position = 0
        for place in sorted({*self.opened, *self.closed, *self.replaced, len(text)}):
            parts.append(text[position:place])
            parts.extend(self.closed.get(place, ()))
            parts.extend(self.opened.get(place, ()))
            position = place
            if place in self.replaced:
                position, new = self.replaced[place]
                parts.append(new)
        return "".join(parts)
