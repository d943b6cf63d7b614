"""One reading of a workspace's incidents: pages of what changed, oldest change first.

Rows carry all fields, counts of what belongs to them and a version token: whoever stores them
can tell what must be fetched besides.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from quell import ObservedIncident, PolledPage
from quell_microsoft.changes import Batch, Row, Walk
from quell_microsoft.lenient import mapping, text
from quell_microsoft.stamps import parse_stamp, write_stamp
from quell_microsoft.track import Track, nameless
from quell_sentinel.client import WorkspaceClient
from quell_sentinel.holes import HoleReader
from quell_sentinel.observed import wrong_shape

__all__ = ["Reading", "Scope"]

#: most incidents that are handed over, and so stored, at a time
CHUNK = 200
#: the filter ends before a stamp, a sweep with one
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What one reading covers."""

    page_size: int
    overlap: timedelta
    now: datetime
    until: datetime | None = None


class Reading:
    """One walk over the incidents of a workspace."""

    def __init__(
        self,
        client: WorkspaceClient,
        track: Track,
        scope: Scope,
        observe: Callable[[Row], ObservedIncident],
    ) -> None:
        self._client = client
        self._track = track
        self._scope = scope
        self._observe = observe

    async def pages(self) -> AsyncGenerator[PolledPage, None]:
        """Read to the end. A page always comes, also where nothing changed."""
        async with aclosing(self._batches()) as batches:
            async for batch in batches:
                for page in self._batch(batch):
                    yield page

    async def _batches(self) -> AsyncGenerator[Batch, None]:
        """Walk from one place that is known to be bad to the next, and on to the end."""
        start, until = self._track.start, self._scope.until
        end = until + TICK if until else None
        for hole in sorted(self._track.holes, key=lambda one: one.place):
            begin = parse_stamp(start)
            if begin is None or hole.end <= begin or (end is not None and hole.place >= end):
                continue
            async for batch in self._walk(hole.place).batches(start):
                yield replace(batch, is_last=False)
            start = write_stamp(hole.end)
        async for batch in self._walk(end).batches(start):
            yield batch

    def _walk(self, before: datetime | None) -> Walk:
        pages: Callable[[str, int], AsyncGenerator[Row, None]] = self._client.pages
        if before is not None:
            pages = partial(self._client.pages, before=write_stamp(before))
        return Walk(
            pages=pages,
            stamp_of=lambda row: mark_of(row)[1],
            page_size=self._scope.page_size,
            around=HoleReader(self._client, self._track, self._scope.now).around,
        )

    def _batch(self, batch: Batch) -> list[PolledPage]:
        """Give a batch in pages; only the last one moves the cursor."""
        rows = {mark: row for row in batch.rows if self._track.is_news(mark := mark_of(row))}
        rows = {mark: row for mark, row in rows.items() if mark[0]}
        wrong = {mark[0]: why for mark, row in rows.items() if (why := wrong_shape(row))}
        poison = dict(batch.poison) | nameless(map(mark_of, batch.rows)) | wrong
        before = self._track.on_the_way()
        self._track.note(rows)
        self._track.reach(batch.boundary)
        after = self._track.at_the_end() if batch.is_last else self._track.on_the_way()
        seen = [self._observe(row) for mark, row in rows.items() if mark[0] not in wrong]
        starts = range(0, max(len(seen), 1), CHUNK)
        return [
            PolledPage(
                incidents=tuple(seen[start : start + CHUNK]),
                cursor=after if start == starts[-1] else before,
                poison=poison if start == 0 else {},
            )
            for start in starts
        ]


def mark_of(row: Row) -> tuple[str, str]:
    """Give what tells one state of an incident from another: its name and its last change."""
    stamp = text(mapping(row.get("properties")).get("lastModifiedTimeUtc"))
    return text(row.get("name")) or "", stamp or ""
