"""Reads events of Defender by time: alerts and evidence from their list, raw tables by hunting.

https://learn.microsoft.com/graph/api/security-security-runhuntingquery

A hunting query is built from names that stand in this program and from moments that it wrote
itself; nothing that an incident or an event says ever enters one.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

from quell import ConnectorContext, EventPage, EventTable
from quell.domain.ids import SourceId
from quell.errors import BadAnswer, ConnectorError, RequestRefused, ServerFailure
from quell_defender.alert_rows import ALERTS, EVIDENCE, alert_rows, evidence_rows
from quell_defender.client import IncidentClient
from quell_defender.hunting import HuntingClient
from quell_defender.hunting_tables import hunting_tables
from quell_defender.poison import PoisonReader, Rows
from quell_defender.settings import DefenderSettings
from quell_microsoft import GraphClient
from quell_microsoft.changes import Batch, Walk
from quell_microsoft.lenient import first, text
from quell_microsoft.stamps import parse_stamp, write_stamp

__all__ = ["DefenderEvents", "event_tables"]

logger = logging.getLogger(__name__)

#: rows that one query may give: the service gives 100,000, which would be hundreds of megabytes
ROWS_AT_MOST = 5_000
#: what is read in one go at first; more rows than fit make it shorter, few make it longer
FIRST, LONGEST = timedelta(hours=6), timedelta(days=5)
#: below this a window is not halved any more
SHORTEST = timedelta(milliseconds=1)
#: the service keeps thirty days; the last hour may go while we read
DAYS_KEPT = 30
#: seconds that a query may take; the service gives it three minutes
QUERY_PATIENCE = 200.0
ALERTS_PAGE = 200
ROWS_OF: Mapping[str, Callable[[Mapping[str, Any]], list[dict[str, Any]]]] = {
    ALERTS.name: alert_rows,
    EVIDENCE.name: evidence_rows,
}


def event_tables() -> Sequence[EventTable]:
    """List every table."""
    return (ALERTS, EVIDENCE, *hunting_tables())


class DefenderEvents:
    """The tables of one tenant."""

    reaches_back_days = DAYS_KEPT

    def __init__(
        self, source_id: SourceId, graph: GraphClient, *, rows_at_most: int = ROWS_AT_MOST
    ) -> None:
        self.source_id = source_id
        self._alerts_client = IncidentClient(graph)
        self._hunting = HuntingClient(graph)
        self._rows_at_most = rows_at_most

    @classmethod
    def build(cls, context: ConnectorContext) -> Sequence[DefenderEvents]:
        """Build the source of a tenant, unless Defender is switched off there."""
        settings = context.settings(DefenderSettings)
        if not settings.enabled:
            return []
        return [cls(SourceId(settings.source_id), context.connector(GraphClient))]

    def read(self, table: EventTable, since: datetime, until: datetime) -> AsyncIterator[EventPage]:
        """Read rows by time, oldest stretch first."""
        if table.name in ROWS_OF:
            return self._alerts(ROWS_OF[table.name], since, until)
        return self._hunted(table, since, until)

    # -- alerts and evidence ---------------------------------------------------------------------

    async def _alerts(
        self,
        rows_of: Callable[[Mapping[str, Any]], list[dict[str, Any]]],
        since: datetime,
        until: datetime,
    ) -> AsyncIterator[EventPage]:
        """Walk the alerts by their last change, which may move while they are read."""
        rows = Rows(
            at=self._alerts_client.alert_at,
            by_id=self._alerts_client.alert,
            aside=lambda name: text(name.get("id")),
        )

        async def around(boundary: str, failure: ConnectorError) -> Batch:
            return await PoisonReader(rows, boundary).read(failure)

        walk = Walk(
            pages=self._alerts_client.alert_pages,
            stamp_of=_stamp_of,
            page_size=ALERTS_PAGE,
            around=around,
        )
        async with aclosing(walk.batches(write_stamp(since))) as batches:
            async for batch in batches:
                read_until = until if batch.is_last else parse_stamp(batch.boundary) or since
                # what changed after `until` is read all the same: the next read finds it known
                yield EventPage(
                    rows=tuple(row for alert in batch.rows for row in rows_of(alert)),
                    until=min(read_until, until),
                    unreadable=dict(batch.poison),
                )

    # -- raw tables ------------------------------------------------------------------------------

    async def _hunted(
        self, table: EventTable, since: datetime, until: datetime
    ) -> AsyncIterator[EventPage]:
        """Read window by window: shorter ones where there are too many rows, then longer again."""
        start, width = since, FIRST
        while start < until:
            end = min(start + width, until)
            rows = await self._window(table, start, end)
            if rows is None:
                width = self._half(table, end - start)
                continue
            yield EventPage(rows=tuple(dict(row) for row in rows), until=end)
            start = end
            if len(rows) * 4 <= self._rows_at_most:
                width = min(width * 2, LONGEST)

    async def _window(
        self, table: EventTable, start: datetime, end: datetime
    ) -> Sequence[Mapping[str, Any]] | None:
        """Read the rows of a window; None where it holds more than can be read in one go."""
        query = _query(table, start, end, self._rows_at_most + 1)
        try:
            rows = await self._hunting.run(query, read_timeout=QUERY_PATIENCE)
        except (BadAnswer, ServerFailure):
            # too much work or too long an answer: half of it may do
            if end - start <= SHORTEST * 2:
                raise
            logger.info("A window of %s is read in smaller parts", table.name)
            return None
        except RequestRefused as refused:
            raise _not_there(table, refused) from refused
        return rows if len(rows) <= self._rows_at_most else None

    def _half(self, table: EventTable, width: timedelta) -> timedelta:
        if width <= SHORTEST:
            raise BadAnswer(
                endpoint="graph POST /v1.0/security/runHuntingQuery",
                problem=f"{table.name} has more than {self._rows_at_most} rows in a millisecond",
                remedy="Take the table out of `events.tables`, or report it.",
            )
        return width / 2


def _query(table: EventTable, start: datetime, end: datetime, most: int) -> str:
    """Write the query for a window: the name of one of our tables, and two moments."""
    return (
        f"{table.name} | where {table.time} >= datetime({write_stamp(start)})"
        f" and {table.time} < datetime({write_stamp(end)}) | take {most}"
    )


def _not_there(table: EventTable, refused: RequestRefused) -> RequestRefused:
    fields: dict[str, Any] = {
        **refused.fields,
        "problem": f"{table.name} cannot be asked for",
        "remedy": "The product that fills the table may not be there: take it out of "
        "`events.tables`.",
    }
    return RequestRefused(**fields)


def _stamp_of(alert: Mapping[str, Any]) -> str:
    return text(first(alert, "lastUpdateDateTime")) or ""
