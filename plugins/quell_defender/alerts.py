"""Reads the alerts that changed, just far enough ahead of the incidents that they belong to."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import msgspec

from quell.errors import BadAnswer, ConnectorError, PermissionMissing, RequestRefused, ServerFailure
from quell_defender.client import ALERTS_PAGE, IncidentClient
from quell_defender.poison import PoisonReader, Rows
from quell_microsoft.changes import Batch, Row, Walk
from quell_microsoft.lenient import first, text
from quell_microsoft.stamps import parse_stamp

__all__ = ["LOOSE", "AlertStream", "alert_mark"]

#: an alert is stamped a moment later than its incident where one change caused the other
SLACK = timedelta(minutes=1)
#: alerts that wait for their incident at most; what is beyond is read with the incident itself
MOST_WAITING = 5_000
#: begins the ids under which alerts are put aside that belong to no incident
LOOSE = "alert:"
#: the incidents can be read all the same, each with its alerts
_NOT_FATAL = (ServerFailure, BadAnswer, PermissionMissing, RequestRefused)
_PARTIAL = 206


@dataclass(frozen=True, slots=True)
class Waiting:
    """One alert whose incident has not come by yet, packed."""

    mark: tuple[str, str]
    instant: datetime | None
    packed: bytes

    def row(self) -> Row:
        """Unpack it."""
        found: Row = msgspec.json.decode(zlib.decompress(self.packed))
        return found


class AlertStream:
    """The alerts that changed from a stamp on, by incident, in the order of their change."""

    def __init__(self, client: IncidentClient, start: str, until: str | None = None) -> None:
        self._client = client
        self._start = start
        self._until = until
        self._batches: AsyncGenerator[Batch, None] | None = None
        self._position = start
        self._is_over = False
        self._waiting: dict[str, list[Waiting]] = {}
        self._count = 0
        #: incidents of which some alerts were let go for want of room
        self.dropped: set[str] = set()
        #: incidents (or alerts) of which some alert cannot be read, with the reason
        self.poison: dict[str, str] = {}
        #: why alerts cannot be listed at all
        self.failure: ConnectorError | None = None

    async def read_past(self, stamp: str | None) -> None:
        """Read until every alert is there that changed by then; None reads all.

        Where alerts cannot be listed, that is kept as `failure`: a partial answer is raised.
        """
        goal = parse_stamp(stamp)
        try:
            while not self._is_over and self.failure is None:
                position = parse_stamp(self._position)
                if goal is not None and position is not None and position > goal + self._slack():
                    return
                await self._read_on()
        except _NOT_FATAL as error:
            if error.status == _PARTIAL:
                raise
            self.failure = error

    def _slack(self) -> timedelta:
        """Tell how far beyond its incident an alert is waited for: while there is no room, not at all.

        In a burst everything lies within the slack, and would push out what is wanted next.
        """
        return SLACK if self._count + ALERTS_PAGE <= MOST_WAITING else timedelta(0)

    async def _read_on(self) -> None:
        if self._batches is None:
            self._batches = self._walk().batches(self._start)
        batch = await anext(self._batches, None)
        if batch is None:
            self._is_over = True
            return
        for row in batch.rows:
            self._keep(row)
        self.poison.update(batch.poison)
        self._position, self._is_over = batch.boundary, batch.is_last

    def _walk(self) -> Walk:
        rows = Rows(at=self._client.alert_at, by_id=self._client.alert, aside=_aside)

        async def around(boundary: str, failure: ConnectorError) -> Batch:
            return await PoisonReader(rows, boundary).read(failure)

        return Walk(
            pages=partial(self._client.alert_pages, until=self._until),
            stamp_of=lambda row: alert_mark(row)[1],
            page_size=ALERTS_PAGE,
            around=around,
        )

    def _keep(self, row: Row) -> None:
        mark = alert_mark(row)
        owner = text(row.get("incidentId")) or f"{LOOSE}{mark[0]}"
        kept = self._waiting.setdefault(owner, [])
        if any(one.mark == mark for one in kept):
            return
        # of an alert that changed while the list was read, only the newest state counts
        older = [one for one in kept if one.mark[0] == mark[0]]
        for one in older:
            kept.remove(one)
        packed = zlib.compress(msgspec.json.encode(row), 1)
        kept.append(Waiting(mark, parse_stamp(mark[1]), packed))
        self._count += 1 - len(older)
        while self._count > MOST_WAITING:
            first_owner = next(iter(self._waiting))
            self.dropped.add(first_owner)
            self._count -= len(self._waiting.pop(first_owner))

    def marks(self, incident_id: str) -> list[tuple[str, str]]:
        """List ids and stamps of what waits for an incident."""
        return [one.mark for one in self._waiting.get(incident_id, ())]

    def take(self, incident_id: str) -> list[Row]:
        """Give what waits for an incident, once."""
        found = self._waiting.pop(incident_id, [])
        self._count -= len(found)
        return [one.row() for one in found]

    def waiting(self) -> list[str]:
        """List the incidents that something waits for."""
        return list(self._waiting)

    def owed(self, before: str) -> Iterator[str]:
        """List the incidents of which alerts wait that changed before a stamp, or were let go."""
        boundary = parse_stamp(before)
        yield from self.dropped
        for owner, kept in self._waiting.items():
            instants = [one.instant for one in kept]
            if boundary is not None and any(one and one < boundary for one in instants):
                yield owner

    async def aclose(self) -> None:
        """Leave the list where it is."""
        if self._batches is not None:
            await self._batches.aclose()


def alert_mark(row: Row) -> tuple[str, str]:
    """Give what tells one state of an alert from another: its id and its last change."""
    stamp = text(first(row, "lastUpdateDateTime", "lastUpdateTime"))
    return text(first(row, "id", "alertId")) or "", stamp or ""


def _aside(name: Row) -> str | None:
    """Put the incident aside that an unreadable alert belongs to, else the alert itself."""
    alert_id = text(name.get("id"))
    return text(name.get("incidentId")) or (f"{LOOSE}{alert_id}" if alert_id else None)
