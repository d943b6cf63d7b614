"""The incident queue of Microsoft Defender as a source: polled, read, changed and commented on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, NoReturn
from uuid import NAMESPACE_URL, uuid5

from quell import ConnectorContext, ObservedIncident, PolledPage
from quell.domain.fields import FieldRule
from quell.domain.ids import SourceId
from quell.domain.incident import Comment, IncidentFields, Task
from quell.domain.ports import Clock, NewIncident
from quell.errors import AnswerNotFound, BadAnswer, ConnectorError, RequestRefused, ServerFailure
from quell_defender import mapping as fields_mapping
from quell_defender.client import INCIDENTS, IncidentClient
from quell_defender.observed import merged_into, observe, read_comments
from quell_defender.patch import patch_body
from quell_defender.poison import PoisonReader
from quell_defender.settings import DefenderSettings
from quell_microsoft import GraphClient
from quell_microsoft.changes import Batch, Cursor, Row, Walk
from quell_microsoft.lenient import first, fold, text

__all__ = ["DefenderIncidents"]

#: incidents whose alerts are read at a time
AT_A_TIME = 4


class DefenderIncidents:
    """Implements `quell.IncidentSource` for one tenant.

    Reads as `reader`, writes as `sync`: the second identity is asked for at the first write.
    """

    system: str = "defender"
    can_create: bool = False
    writable: frozenset[str] = fields_mapping.WRITABLE
    comment_limit: int = 30_000
    comments_at_most: int = 100
    tasks_at_most: int = 0
    carried: frozenset[str] = frozenset()
    fields: Mapping[str, FieldRule] = {}

    def __init__(
        self,
        settings: DefenderSettings,
        clock: Clock,
        *,
        reader: IncidentClient,
        writer: Callable[[], IncidentClient],
    ) -> None:
        self.source_id = SourceId(settings.source_id)
        self.poll_every = settings.poll_every
        self._settings = settings
        self._clock = clock
        self._reader = reader
        self._writer = writer

    @classmethod
    def build(cls, context: ConnectorContext) -> list[DefenderIncidents]:
        """Make the source of a tenant, or none where it is switched off."""
        settings = context.settings(DefenderSettings)
        if not settings.enabled:
            return []
        reader = IncidentClient(context.connector(GraphClient, identity="reader"))
        return [cls(settings, context.clock, reader=reader, writer=partial(_writer, context))]

    # -- polling -------------------------------------------------------------------------------

    async def poll(self, cursor: str | None) -> AsyncGenerator[PolledPage, None]:
        """Go through what changed since the cursor, oldest change first, with alerts.

        A page always comes, also where nothing changed, so that the first poll leaves a cursor.
        """
        overlap = self._settings.overlap
        state = Cursor.load(cursor, self._clock.now() - self._settings.lookback)
        async with aclosing(self._walk().batches(state.start(overlap))) as batches:
            async for batch in batches:
                news = [row for row in batch.rows if state.is_news(*_mark(row))]
                after = state.after(dict(_mark(row) for row in news), overlap)
                async for page in self._pages(batch, news, state.dump(), after.dump()):
                    yield page
                state = after

    def _walk(self) -> Walk:
        async def around(boundary: str, failure: ConnectorError) -> Batch:
            return await PoisonReader(self._reader, boundary).read(failure)

        return Walk(
            pages=self._reader.pages,
            stamp_of=lambda row: _mark(row)[1],
            page_size=self._settings.page_size,
            around=around,
        )

    async def _pages(
        self, batch: Batch, news: list[Row], before: str, after: str
    ) -> AsyncGenerator[PolledPage, None]:
        """Give a batch in pages; only the last one moves the cursor."""
        size = self._settings.page_size
        poison = dict(batch.poison)
        for start in range(0, max(len(news), 1), size):
            is_last = start + size >= len(news)
            incidents, unread = await self._detailed(news[start : start + size])
            yield PolledPage(
                incidents=incidents, cursor=after if is_last else before, poison=poison | unread
            )
            poison = {}

    async def _detailed(
        self, rows: list[Row]
    ) -> tuple[tuple[ObservedIncident, ...], dict[str, str]]:
        gate = asyncio.Semaphore(AT_A_TIME)
        found = await asyncio.gather(
            *(self._with_alerts(row, gate) for row in rows), return_exceptions=True
        )
        unread: dict[str, str] = {}
        incidents: list[ObservedIncident] = []
        for row, one in zip(rows, found, strict=True):
            if isinstance(one, ServerFailure | BadAnswer) and one.status != 206:
                # the incident itself was read: it is passed on, and its alerts are reported
                unread[_mark(row)[0]] = one.message
                incidents.append(observe(self.source_id, row))
            elif isinstance(one, BaseException):
                raise one
            else:
                incidents.append(one)
        return tuple(incidents), unread

    async def _with_alerts(self, row: Row, gate: asyncio.Semaphore) -> ObservedIncident:
        listed = observe(self.source_id, row)
        if listed.merged_into is not None or not listed.native_id:
            return listed
        async with gate:
            try:
                return observe(self.source_id, await self._reader.get_with_alerts(listed.native_id))
            except AnswerNotFound:
                # gone between two requests: whoever fetches it next is told so
                return listed

    # -- one incident --------------------------------------------------------------------------

    async def fetch(self, native_id: str, *, details: bool = True) -> ObservedIncident:
        """Read one incident with its alerts and comments, or its fields alone. Raises AnswerNotFound."""
        if not details:
            return observe(self.source_id, await self._reader.get(native_id))
        return observe(self.source_id, await self._reader.get_with_alerts(native_id))

    def project(self, name: str, fields: IncidentFields, native: Mapping[str, Any]) -> Any:
        """Give the raw value that a canonical field should have here."""
        return fields_mapping.project(name, fields, native)

    def name_for(self, created_for: str) -> str:
        """Give a name for a copy; Defender makes no copies, so none ever has it."""
        return str(uuid5(NAMESPACE_URL, f"quell:defender/{self.source_id}/{created_for}"))

    async def create(self, incident: NewIncident) -> NoReturn:
        """Refuse: the product makes incidents out of alerts, and by no other way."""
        raise RequestRefused(
            endpoint=f"POST {INCIDENTS}",
            problem="Defender incidents cannot be created",
            remedy="Let the incident be copied to a source that can hold copies.",
        )

    async def update(self, base: ObservedIncident, changes: Mapping[str, Any]) -> ObservedIncident:
        """Change the named fields and no others; gives the whole incident as the product then has it.

        Defender has no version token: compare the fields that were not sent with `base`.
        """
        if is_merged(base):
            raise RequestRefused(
                endpoint=f"PATCH {INCIDENTS}/{base.native_id}",
                problem="the incident was merged into another",
                remedy=f"Write to incident {base.merged_into or 'that it points to'} instead.",
            )
        body = patch_body(f"PATCH {INCIDENTS}/{base.native_id}", changes)
        if not body:
            return base
        return observe(self.source_id, await self._writer().patch(base.native_id, body))

    async def comment(self, native_id: str, text: str, key: str) -> Comment:
        """Add a comment whose text carries the key. Not repeatable: look for the key first."""
        comments = read_comments(await self._writer().comment(native_id, text))
        found = _with_key(comments, key) or await self.find_comment(native_id, key)
        if found is None:
            raise BadAnswer(
                endpoint=f"POST {INCIDENTS}/{native_id}/comments",
                problem="the comment was accepted but is not in the list of comments",
                remedy="Look at the incident before the comment is added again.",
            )
        return found

    async def put_task(self, native_id: str, task: Task, key: str) -> NoReturn:
        """Refuse: the product offers no tasks to applications."""
        raise RequestRefused(
            endpoint=f"PUT {INCIDENTS}/{native_id}/tasks",
            problem="Defender incidents have no tasks",
            remedy="Keep the task in a copy of the incident that can hold it.",
        )

    async def find_comment(self, native_id: str, key: str) -> Comment | None:
        """Look for the comment whose text carries our key."""
        incident = observe(self.source_id, await self._reader.get(native_id))
        return _with_key(incident.comments or (), key)


def is_merged(incident: ObservedIncident) -> bool:
    """Tell whether an incident was merged into another, named or not."""
    status = incident.native.get("status")
    is_redirected = isinstance(status, str) and fold(status) == "redirected"
    return is_redirected or merged_into(incident.raw) is not None or bool(incident.merged_into)


def _writer(context: ConnectorContext) -> IncidentClient:
    return IncidentClient(context.connector(GraphClient, identity="sync"))


def _mark(row: Row) -> tuple[str, str]:
    """Give what tells one state of an incident from another: its id and its last change."""
    stamp = text(first(row, "lastUpdateDateTime", "lastUpdateTime"))
    return text(first(row, "id", "incidentId")) or "", stamp or ""


def _with_key(comments: tuple[Comment, ...], key: str) -> Comment | None:
    return next((comment for comment in comments if key and key in comment.text), None)
