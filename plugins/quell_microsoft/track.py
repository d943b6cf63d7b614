"""Remembers what one walk over a list has seen: tells news from repeats, and writes its cursors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from quell_microsoft.changes import Cursor, Hole
from quell_microsoft.stamps import parse_stamp

__all__ = ["Mark", "Track", "nameless", "reached"]

#: what tells one state of a row from another: its id and its stamp
Mark = tuple[str, str]
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
#: most states that a cursor remembers; what it forgets is only read again
MOST_SEEN = 20_000
#: most ids that a cursor on the way holds back for
MOST_OWED = 1_000


class Track:
    """One walk from a cursor on.

    The cursors on the way say only how far it got: whoever goes on from one reads the overlap
    again. The one at the end knows what the overlap held.
    """

    def __init__(self, cursor: Cursor, overlap: timedelta) -> None:
        self._overlap = overlap
        self._newest = cursor.since
        self._at = parse_stamp(cursor.since) or _LONG_AGO
        self.since = cursor.since
        #: where to read from: what appears late inside the overlap is found
        self.start = cursor.start(overlap)
        #: ids of which more changed than this walk can tell
        self.owed = frozenset(cursor.owed)
        self.holes: tuple[Hole, ...] = cursor.holes
        self._seen = dict(cursor.seen)
        self._parts = dict(cursor.parts)
        self._most = MOST_SEEN

    def is_news(self, mark: Mark) -> bool:
        """Tell whether a row was not seen with this stamp."""
        return self._seen.get(mark[0]) != mark[1]

    def is_new_part(self, mark: Mark) -> bool:
        """Tell whether something that belongs to a row was not seen with this stamp."""
        return self._parts.get(mark[0]) != mark[1]

    def note(self, rows: Iterable[Mark], parts: Iterable[Mark] = ()) -> None:
        """Remember what was given."""
        self._seen.update((mark[0], mark[1]) for mark in rows)
        self._parts.update((mark[0], mark[1]) for mark in parts)
        if len(self._seen) + len(self._parts) > self._most:
            self._seen, self._parts = self._near(self._seen), self._near(self._parts)
            self._most = max(MOST_SEEN, 2 * (len(self._seen) + len(self._parts)))

    def reach(self, boundary: str) -> None:
        """Remember how far the walk got; it never goes back."""
        instant = parse_stamp(boundary)
        if instant is not None and instant > self._at:
            self._newest, self._at = boundary, instant

    def leave(self, hole: Hole) -> None:
        """Remember a place that cannot be read, so that it is stepped over from now on."""
        self.holes = (*(one for one in self.holes if one.place != hole.place), hole)

    def on_the_way(self, owed: Collection[str] = ()) -> str:
        """Write the cursor for a page that is not the last."""
        left = sorted(self.owed | set(owed))[:MOST_OWED]
        return Cursor(since=self._newest, owed=tuple(left), holes=self._near_holes()).dump()

    def at_the_end(self) -> str:
        """Write the cursor for the last page."""
        return Cursor(
            since=self._newest,
            seen=self._near(self._seen),
            parts=self._near(self._parts),
            holes=self._near_holes(),
        ).dump()

    @property
    def resume(self) -> str:
        """Give where a walk from the present cursor on would read from."""
        return Cursor(since=self._newest).start(self._overlap)

    def _near(self, marks: Mapping[str, str]) -> dict[str, str]:
        """Keep what the next overlap covers, the newest of it where that is too much."""
        oldest = parse_stamp(self.resume) or _LONG_AGO
        kept = [
            (instant, key)
            for key, stamp in marks.items()
            if (instant := parse_stamp(stamp) or _LONG_AGO) >= oldest
        ]
        if len(kept) > MOST_SEEN:
            kept = sorted(kept)[-MOST_SEEN:]
        return {key: marks[key] for _, key in kept}

    def _near_holes(self) -> tuple[Hole, ...]:
        oldest = parse_stamp(self.resume) or _LONG_AGO
        return tuple(one for one in self.holes if one.end >= oldest)


def nameless(marks: Iterable[Mark]) -> dict[str, str]:
    """Say of rows without an id that they cannot be kept apart: nothing can be made of them."""
    return {
        f"at:{stamp or '?'}": "a row of the list has no id" for name, stamp in marks if not name
    }


def reached(cursor: str | None) -> datetime | None:
    """Give the newest change that a written cursor stands for; None before the first."""
    since = Cursor.load(cursor, _LONG_AGO).since if cursor else None
    instant = parse_stamp(since)
    return instant if instant != _LONG_AGO else None
