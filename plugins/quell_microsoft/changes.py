"""Walks a list of things by their time of change, so that nothing is lost while they change.

Following page links through a list that is sorted by change loses rows: what changes meanwhile
moves to the end, and everything behind it moves up by one place. Here each page is read from a
moving boundary instead, inclusively; links are followed only through rows of few instants. Where
a product ignores the order that was asked for, the window is read to its end first.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from quell.errors import BadAnswer, ConnectorError, ServerFailure
from quell_microsoft.lenient import items, mapping
from quell_microsoft.stamps import parse_stamp, write_stamp

__all__ = ["Batch", "Cursor", "Hole", "Row", "Walk", "rows_of"]

Row = Mapping[str, Any]
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
#: how much smaller a page gets each time that it cannot be read
_SHRINK = 5
#: so many instants in a row, each later than the last, show that the order is kept; fewer may
#: come so by chance, and who went on from the last of them would lose what is older
_IN_ORDER = 8
#: a partial answer stays partial however small the page is
_PARTIAL = 206


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows that were read together, oldest change first, and where to go on."""

    rows: tuple[Row, ...]
    #: stamp of the newest row, or the boundary that was asked for
    boundary: str
    is_last: bool
    #: rows that could not be read: id (or place), reason
    poison: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How one list is walked."""

    #: whole pages from a boundary on, with so many rows each
    pages: Callable[[str, int], AsyncGenerator[Row, None]]
    stamp_of: Callable[[Row], str]
    page_size: int
    #: reads on around a row that cannot be read even alone; raises where nothing else is readable
    around: Callable[[str, ConnectorError], Awaitable[Batch]] | None = None

    async def batches(self, boundary: str) -> AsyncGenerator[Batch, None]:
        """Read everything that changed at or after the boundary."""
        size = self.page_size
        while True:
            batch, size = await self._batch(boundary, size)
            yield batch
            if batch.is_last:
                return
            boundary = batch.boundary
            # what made the last page too large may be on the next one still
            size = min(self.page_size, size * _SHRINK)

    async def _batch(self, boundary: str, size: int) -> tuple[Batch, int]:
        """Read one batch, in smaller pages where it takes that; gives the size that worked."""
        while True:
            try:
                return await self._collect(boundary, size), size
            except (ServerFailure, BadAnswer) as failure:
                if failure.status == _PARTIAL:
                    raise
                if size > 1:
                    size = max(1, size // _SHRINK)
                elif self.around is None:
                    raise
                else:
                    return await self.around(boundary, failure), self.page_size

    async def _collect(self, boundary: str, size: int) -> Batch:
        rows: list[Row] = []
        has_more = False
        async with aclosing(self.pages(boundary, size)) as pages:
            async for page in pages:
                rows += rows_of(page)
                has_more = has_next(page)
                if has_more and self._moved(rows, boundary):
                    return Batch(rows=tuple(rows), boundary=self.stamp_of(rows[-1]), is_last=False)
        if has_more:
            # what is behind it would be taken for read
            raise BadAnswer(endpoint="GET a list", problem="its pages lead back to themselves")
        ordered = sorted(rows, key=self._instant)
        newest = self.stamp_of(ordered[-1]) if ordered else boundary
        return Batch(rows=tuple(ordered), boundary=newest or boundary, is_last=True)

    def _moved(self, rows: list[Row], boundary: str) -> bool:
        """Tell whether the last row can be the next boundary: in order, and past the present one."""
        instants = [self._instant(row) for row in rows]
        enough = max(2, min(_IN_ORDER, self.page_size))
        if len(set(instants)) < enough or instants != sorted(instants):
            return False
        return instants[-1] > (parse_stamp(boundary) or _LONG_AGO)

    def _instant(self, row: Row) -> datetime:
        return parse_stamp(self.stamp_of(row)) or _LONG_AGO


def rows_of(page: Row) -> list[Row]:
    """Give a page's rows; what is no object is no row."""
    return [mapping(row) for row in items(page.get("value")) if isinstance(row, dict)]


def has_next(page: Row) -> bool:
    """Tell whether a page names a next one."""
    return bool(page.get("@odata.nextLink") or page.get("nextLink"))


class Hole(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a list that the product cannot give: from its first instant to past its last."""

    place: datetime
    end: datetime


class Cursor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a list has been read, and what of the overlap has been seen already."""

    #: stamp of the newest change that was seen
    since: str
    #: stamps by id of what lies in the overlap: the same again is no news
    seen: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    #: the same for what belongs to the rows and is listed apart
    parts: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    #: ids of rows whose parts changed before the overlap and were not given with them
    owed: tuple[str, ...] = ()
    #: places that could not be read
    holes: tuple[Hole, ...] = ()
    version: int = 1

    @classmethod
    def load(cls, text: str | None, window_start: datetime) -> Cursor:
        """Read a cursor; one that cannot be used begins the look-back window again."""
        try:
            found = msgspec.json.decode((text or "").encode(), type=cls)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return cls(since=write_stamp(window_start))
        is_known = found.version == 1 and parse_stamp(found.since) is not None
        return found if is_known else cls(since=write_stamp(window_start))

    def dump(self) -> str:
        """Write the cursor."""
        return msgspec.json.encode(self).decode()

    def start(self, overlap: timedelta) -> str:
        """Give the boundary to read from: what appears late inside the overlap is found."""
        return write_stamp(_before(self.since, overlap))


def _before(stamp: str, overlap: timedelta) -> datetime:
    earliest = _LONG_AGO + overlap
    return max(parse_stamp(stamp) or earliest, earliest) - overlap
