"""The incident queue of Microsoft Defender as a source: polled, read, changed and commented on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NoReturn
from uuid import NAMESPACE_URL, uuid5

import msgspec

from quell import ConnectorContext, ObservedIncident, PolledPage
from quell.domain.fields import FieldRule
from quell.domain.ids import SourceId
from quell.domain.incident import Comment, IncidentFields, Task
from quell.domain.ports import Clock, Detail, NewIncident
from quell.errors import BadAnswer, RequestRefused, ServerFailure
from quell_defender import mapping as fields_mapping
from quell_defender.alerts import LOOSE
from quell_defender.client import ALERTS, INCIDENTS, IncidentClient
from quell_defender.fields import CARRIED, FIELDS, WRITABLE
from quell_defender.observed import merged_into, observe, read_comments, wrong_shape
from quell_defender.patch import patch_body
from quell_defender.places import is_place, read_place
from quell_defender.reading import NO_INCIDENT, Reading, Scope
from quell_defender.settings import DefenderSettings
from quell_microsoft import GraphClient
from quell_microsoft.changes import Cursor
from quell_microsoft.lenient import first, fold, text
from quell_microsoft.shapes import check_shape
from quell_microsoft.stamps import write_stamp
from quell_microsoft.track import Track, reached

__all__ = ["DefenderIncidents"]


class DefenderIncidents:
    """Implements `quell.IncidentSource` for one tenant.

    Reads as `reader`, writes as `sync`: the second identity is asked for at the first write.
    """

    system: str = "defender"
    can_create: bool = False
    writable: frozenset[str] = WRITABLE
    comment_limit: int = 30_000
    comments_at_most: int = 100
    edits_comments: bool = False
    tasks_at_most: int = 0
    carried: frozenset[str] = CARRIED
    fields: Mapping[str, FieldRule] = FIELDS

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
        self.sweep_every = settings.sweep_hours * 3600.0
        self.sweep_back = timedelta(days=settings.sweep_days)
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
        """Go through what changed since the cursor, oldest change first, with changed alerts.

        A page always comes, also where nothing changed, so that the first poll leaves a cursor.
        """
        now = self._clock.now()
        state = Cursor.load(cursor, now - self._settings.lookback)
        scope = Scope(page_size=self._settings.page_size, overlap=self._settings.overlap, now=now)
        async for page in self._pages(state, scope):
            yield page

    async def sweep(
        self, since: datetime, *, until: datetime | None = None, cursor: str | None = None
    ) -> AsyncGenerator[PolledPage, None]:
        """Go through all that changed in a time; at the end come alerts without an incident."""
        scope = Scope(
            page_size=self._settings.page_size,
            overlap=timedelta(0),
            now=self._clock.now(),
            until=until,
            is_sweep=True,
        )
        async for page in self._pages(Cursor.load(cursor, since), scope):
            yield page

    async def _pages(self, state: Cursor, scope: Scope) -> AsyncGenerator[PolledPage, None]:
        track = Track(state, scope.overlap)
        reading = Reading(self.source_id, self._reader, track, scope)
        async with aclosing(reading.pages()) as pages:
            async for page in pages:
                yield page

    async def count(self, since: datetime, until: datetime) -> int | None:
        """Count the incidents that changed in a time; None where the list does not tell."""
        try:
            return await self._reader.count(write_stamp(since), write_stamp(until))
        except (ServerFailure, BadAnswer, RequestRefused):
            return None

    def reached(self, cursor: str | None) -> datetime | None:
        """Give the newest change that a cursor stands for."""
        return reached(cursor)

    # -- one incident --------------------------------------------------------------------------

    async def fetch(self, native_id: str, *, details: bool = True) -> ObservedIncident:
        """Read one incident with its alerts and comments, or its fields alone. Raises AnswerNotFound."""
        if native_id.startswith(LOOSE):
            native_id = await self._incident_of(native_id.removeprefix(LOOSE))
        elif is_place(native_id):
            native_id = await read_place(self._reader, native_id)
        read = self._reader.get_with_alerts if details else self._reader.get
        row = await read(native_id)
        check_shape(f"GET {INCIDENTS}/{native_id}", wrong_shape(row))
        return observe(self.source_id, row)

    async def fetch_details(
        self, seen: ObservedIncident, parts: Collection[Detail]
    ) -> ObservedIncident:
        """Read the alerts: comments come with every list. Raises AnswerNotFound."""
        found = await self.fetch(seen.native_id, details=Detail.ALERTS in parts)
        if found.alerts is not None:
            return found
        # what is known of its alerts came with the list, and not again
        return msgspec.structs.replace(
            found, news=seen.news, news_since=seen.news_since, proofs=found.proofs | seen.proofs
        )

    async def _incident_of(self, alert_id: str) -> str:
        """Find the incident that an alert belongs to by now."""
        found = text(first(await self._reader.alert(alert_id), "incidentId"))
        if found is None:
            raise BadAnswer(endpoint=f"GET {ALERTS}", problem=NO_INCIDENT)
        return found

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

    async def edit_comment(self, native_id: str, comment_key: str, text: str) -> NoReturn:
        """Refuse: what was said in the product stays as it was said."""
        raise RequestRefused(
            endpoint=f"PUT {INCIDENTS}/{native_id}/comments",
            problem="comments of Defender incidents cannot be changed",
            remedy="Add a further comment.",
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


def _with_key(comments: tuple[Comment, ...], key: str) -> Comment | None:
    return next((comment for comment in comments if key and key in comment.text), None)
