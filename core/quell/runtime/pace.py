"""How soon a source is polled again: fast while things change, slow when it is quiet."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FASTEST", "SLOWEST", "Pace", "next_wait"]

#: bounds of the wait, as parts of the source's own
FASTEST, SLOWEST = 1 / 3, 2.0
#: by how much each quiet poll makes the next wait longer
SLACKEN = 1.25


def next_wait(normal: float, last: float, *, is_busy: bool) -> float:
    """Give the seconds until the next poll, from the wait before. Pure."""
    if is_busy:
        return normal * FASTEST
    return min(max(last * SLACKEN, normal * FASTEST), normal * SLOWEST)


@dataclass(slots=True)
class Pace:
    """The wait between two polls of one source, as it goes along."""

    normal: float
    wait: float

    @classmethod
    def of(cls, normal: float) -> Pace:
        """Begin at the source's own pace."""
        return cls(normal=normal, wait=normal)

    def note(self, *, is_busy: bool) -> None:
        """Take in whether the last poll found anything."""
        self.wait = next_wait(self.normal, self.wait, is_busy=is_busy)
