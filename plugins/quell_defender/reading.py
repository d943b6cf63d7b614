"""One reading of the incident queue: pages of what changed, each with the alerts that changed.

Lists of incidents come without alerts; those are listed by themselves, in far larger pages.
Both lists are read side by side, oldest change first, a stride of incidents at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import msgspec

from quell import ObservedIncident, PolledPage
from quell.domain.ids import SourceId
from quell.errors import AnswerNotFound, BadAnswer, ConnectorError, RequestRefused, ServerFailure
from quell_defender.alerts import LOOSE, AlertStream
from quell_defender.client import IncidentClient
from quell_defender.observed import alert_proofs, observe, read_alert, wrong_shape
from quell_defender.poison import PoisonReader, Rows
from quell_microsoft.changes import Batch, Row, Walk
from quell_microsoft.lenient import first, text
from quell_microsoft.stamps import parse_stamp, write_stamp
from quell_microsoft.track import Track, nameless

__all__ = ["Reading", "Scope"]

#: pages of incidents that are read before their alerts are
STRIDE = 10
#: incidents that are read alone at a time
AT_A_TIME = 4
#: incidents read alone, in one sweep, because only an alert of theirs came by
MOST_ALONE = 50
#: who changed an incident last when alerts were moved to it or away, as the product writes it
CORRELATION = "alertcorrelation"
NO_INCIDENT = "the alert belongs to no incident (yet)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What one reading covers."""

    page_size: int
    overlap: timedelta
    now: datetime
    until: datetime | None = None
    #: give also what hangs loose, at the end
    is_sweep: bool = False


class Reading:
    """One walk over the incidents, with the alerts that changed beside them."""

    def __init__(
        self, source_id: SourceId, client: IncidentClient, track: Track, scope: Scope
    ) -> None:
        self._source_id = source_id
        self._client = client
        self._track = track
        self._scope = scope
        self._until = write_stamp(scope.until) if scope.until else None
        self._since = parse_stamp(track.since)
        self._alerts = AlertStream(client, track.start, self._until)

    async def pages(self) -> AsyncGenerator[PolledPage, None]:
        """Read to the end. A page always comes, also where nothing changed."""
        stride: list[Batch] = []
        try:
            async with aclosing(self._walk().batches(self._track.start)) as batches:
                async for batch in batches:
                    stride.append(batch)
                    if len(stride) < STRIDE and not batch.is_last:
                        continue
                    async for page in self._stride(stride):
                        yield page
                    stride = []
            if self._has_rest:
                yield await self._rest()
        finally:
            await self._alerts.aclose()

    @property
    def _has_rest(self) -> bool:
        """Tell whether loose ends are looked at: not where newer changes are left to others."""
        return self._scope.is_sweep and self._until is None

    def _walk(self) -> Walk:
        rows = Rows(
            at=self._client.one_at,
            by_id=self._client.get,
            aside=lambda name: text(name.get("id")),
        )

        async def around(boundary: str, failure: ConnectorError) -> Batch:
            return await PoisonReader(rows, boundary).read(failure)

        pages: Callable[[str, int], AsyncGenerator[Row, None]] = self._client.pages
        return Walk(
            pages=partial(self._client.pages, until=self._until) if self._until else pages,
            stamp_of=lambda row: mark_of(row)[1],
            page_size=self._scope.page_size,
            around=around,
        )

    # -- a stride ------------------------------------------------------------------------------

    async def _stride(self, stride: Sequence[Batch]) -> AsyncGenerator[PolledPage, None]:
        last = stride[-1]
        has_news = any(self._track.is_news(mark_of(row)) for one in stride for row in one.rows)
        if has_news or self._scope.is_sweep:
            await self._alerts.read_past(None if last.is_last else last.boundary)
        for batch in stride:
            async for page in self._batch(batch):
                yield page

    async def _batch(self, batch: Batch) -> AsyncGenerator[PolledPage, None]:
        """Give a batch in pages; only the last one moves the cursor."""
        rows = list({mark_of(row): row for row in batch.rows if self._is_wanted(row)}.values())
        size = self._scope.page_size
        wrong = {mark_of(row)[0]: why for row in rows if (why := wrong_shape(row))}
        self._track.note(mark_of(row) for row in rows if mark_of(row)[0] in wrong)
        rows = [row for row in rows if mark_of(row)[0] not in wrong]
        poison = dict(batch.poison) | nameless(map(mark_of, batch.rows)) | wrong
        before = self._cursor()
        for start in range(0, max(len(rows), 1), size):
            is_end = start + size >= len(rows)
            incidents, unread = await self._observed(rows[start : start + size])
            poison |= self._bad_alerts() | unread
            if is_end:
                self._track.reach(batch.boundary)
            is_over = is_end and batch.is_last and not self._has_rest
            after = self._track.at_the_end() if is_over else self._cursor()
            yield PolledPage(incidents=incidents, cursor=after if is_end else before, poison=poison)
            poison = {}

    def _cursor(self) -> str:
        return self._track.on_the_way(set(self._alerts.owed(self._track.resume)))

    def _is_wanted(self, row: Row) -> bool:
        mark = mark_of(row)
        if not mark[0]:
            return False
        if self._track.is_news(mark):
            return True
        # an alert that became visible later than its incident
        return any(self._track.is_new_part(part) for part in self._alerts.marks(mark[0]))

    def _bad_alerts(self) -> dict[str, str]:
        found = dict(self._alerts.poison)
        self._alerts.poison.clear()
        return found

    # -- its incidents -------------------------------------------------------------------------

    async def _observed(
        self, rows: Sequence[Row]
    ) -> tuple[tuple[ObservedIncident, ...], dict[str, str]]:
        if self._alerts.failure is not None:
            return await self._one_by_one(rows)
        return tuple(self._with_news(row) for row in rows), {}

    def _with_news(self, row: Row) -> ObservedIncident:
        mark = mark_of(row)
        parts = self._alerts.marks(mark[0])
        news = tuple(read_alert(alert) for alert in self._alerts.take(mark[0]))
        seen = observe(self._source_id, row)
        is_whole = not self._is_incomplete(seen, has_news=bool(news))
        if news or not self._may_have_alerts_later(seen):
            self._track.note([mark], parts)
        return msgspec.structs.replace(
            seen,
            news=news,
            news_since=self._since if is_whole else None,
            proofs=seen.proofs | alert_proofs(news),
        )

    def _is_incomplete(self, seen: ObservedIncident, *, has_news: bool) -> bool:
        """Tell whether its alerts may have changed in a way that their list does not show."""
        if seen.native_id in self._track.owed or seen.native_id in self._alerts.dropped:
            return True
        # whether a move stamps the alert is not documented
        return not has_news and CORRELATION in seen.changed_by.lower()

    def _may_have_alerts_later(self, seen: ObservedIncident) -> bool:
        """Tell whether it is so new that its alerts may become visible after it."""
        created = seen.created_at
        if created is None or self._since is None or seen.merged_into is not None:
            return False
        return created >= self._since and self._scope.now - created < self._scope.overlap

    async def _one_by_one(
        self, rows: Sequence[Row]
    ) -> tuple[tuple[ObservedIncident, ...], dict[str, str]]:
        """Read each incident whole: the list of alerts does not answer."""
        gate = asyncio.Semaphore(AT_A_TIME)
        found = await asyncio.gather(
            *(self._whole(row, gate) for row in rows), return_exceptions=True
        )
        unread: dict[str, str] = {}
        incidents: list[ObservedIncident] = []
        for row, one in zip(rows, found, strict=True):
            if isinstance(one, ServerFailure | BadAnswer | RequestRefused) and one.status != 206:
                # the incident itself was read: it is passed on, and its alerts are reported
                unread[mark_of(row)[0]] = one.message
                incidents.append(observe(self._source_id, row))
            elif isinstance(one, BaseException):
                raise one
            else:
                incidents.append(one)
            self._track.note([mark_of(row)])
        return tuple(incidents), unread

    async def _whole(self, row: Row, gate: asyncio.Semaphore) -> ObservedIncident:
        listed = observe(self._source_id, row)
        if listed.merged_into is not None or not listed.native_id:
            return listed
        async with gate:
            try:
                return observe(
                    self._source_id, await self._client.get_with_alerts(listed.native_id)
                )
            except AnswerNotFound:
                # gone between two requests: whoever fetches it next is told so
                return listed

    # -- what hangs loose ----------------------------------------------------------------------

    async def _rest(self) -> PolledPage:
        """Give what changed alerts belong to that no list of incidents showed."""
        poison: dict[str, str] = {}
        incidents: list[ObservedIncident] = []
        for owner in self._alerts.waiting():
            if owner.startswith(LOOSE):
                poison[owner] = NO_INCIDENT
            elif len(incidents) < MOST_ALONE:
                try:
                    row = await self._client.get_with_alerts(owner)
                    incidents.append(observe(self._source_id, row))
                except AnswerNotFound:
                    continue
                except (ServerFailure, BadAnswer, RequestRefused) as error:
                    poison[owner] = error.message
        return PolledPage(
            incidents=tuple(incidents), cursor=self._track.at_the_end(), poison=poison
        )


def mark_of(row: Row) -> tuple[str, str]:
    """Give what tells one state of an incident from another: its id and its last change."""
    stamp = text(first(row, "lastUpdateDateTime", "lastUpdateTime"))
    return text(first(row, "id", "incidentId")) or "", stamp or ""
