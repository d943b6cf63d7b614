"""Reads the list of incidents on behind a place that the workspace cannot give even alone.

The list can be narrowed by time only, so the place is found by halving; what was found once is
stepped over from then on, and tried again apart from the polls.
"""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime, timedelta

from quell.errors import AnswerNotFound, BadAnswer, ConnectorError, ServerFailure
from quell_microsoft.changes import Batch, Hole, Row, rows_of
from quell_microsoft.stamps import parse_stamp, write_stamp
from quell_microsoft.track import Track
from quell_sentinel.client import WorkspaceClient

__all__ = ["PLACE", "HoleReader", "read_place"]

#: begins the ids under which places are put aside
PLACE = "at:"
#: how closely a place is found
WIDTH = timedelta(milliseconds=1)
#: stamps of the workspace can be ahead of our clock by this much
AHEAD = timedelta(days=1)
#: so many places in a row with nothing readable between them: that is an outage
OUTAGE = 3
#: incidents a page while a place is looked for
SIZE = 10
_PARTIAL = 206


class HoleReader:
    """Steps over what cannot be read, for one walk."""

    def __init__(self, client: WorkspaceClient, track: Track, now: datetime) -> None:
        self._client = client
        self._track = track
        self._end = now + AHEAD
        #: what was read before the bad places that were met in a row
        self._good: list[Row] = []

    async def around(self, boundary: str, failure: ConnectorError) -> Batch:
        """Go on behind the bad place. Raises the first failure where nothing is readable."""
        begin = parse_stamp(boundary)
        if begin is None:
            raise failure
        bad: dict[str, str] = {}
        for _ in range(OUTAGE):
            hole = await self._find(begin, failure)
            self._good += await self._read(begin, hole.place) or []
            bad[f"{PLACE}{write_stamp(hole.place)}"] = failure.message
            behind = await self._read(hole.end, None, is_first_only=True)
            if behind is not None:
                self._track.leave(hole)
                good, end = tuple(self._good), write_stamp(hole.end)
                self._good.clear()
                return Batch(rows=good, boundary=end, is_last=not behind, poison=bad)
            begin = hole.end
        raise failure

    async def _find(self, begin: datetime, failure: ConnectorError) -> Hole:
        """Halve the time: up to the place the list can be read, beyond it the list fails."""
        if await self._read(self._end, None) is None:
            raise failure
        if await self._read(begin, self._end) is not None:
            raise failure  # it is readable again: the next poll reads it
        good, bad = begin, self._end
        while bad - good > WIDTH:
            middle = good + (bad - good) / 2
            if await self._read(begin, middle) is None:
                bad = middle
            else:
                good = middle
        return Hole(place=good, end=bad)

    async def _read(
        self, since: datetime, before: datetime | None, *, is_first_only: bool = False
    ) -> list[Row] | None:
        """Read a time to its end, or its first incident; None where the list fails.

        What comes before the bad place is of one instant, so that this is little.
        """
        if since == before:
            return []
        end = write_stamp(before) if before else None
        rows: list[Row] = []
        size = 1 if is_first_only else SIZE
        try:
            async with aclosing(self._client.pages(write_stamp(since), size, before=end)) as pages:
                async for page in pages:
                    rows += rows_of(page)
                    if is_first_only:
                        break
        except (ServerFailure, BadAnswer) as failure:
            if failure.status == _PARTIAL:
                raise
            return None
        return rows


async def read_place(client: WorkspaceClient, place: str) -> Row:
    """Read what is at a place that was put aside. Raises AnswerNotFound when nothing is."""
    begin = parse_stamp(place.removeprefix(PLACE))
    if begin is not None:
        end = write_stamp(begin + WIDTH)
        async with aclosing(client.pages(write_stamp(begin), 1, before=end)) as pages:
            async for page in pages:
                for row in rows_of(page):
                    return row
    raise AnswerNotFound(endpoint="GET …/incidents", status=404)
