"""The incident queue of one Sentinel workspace as a source: polled, read, written, copied to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid5

import msgspec

from quell import ConnectorContext, ObservedIncident, PolledPage
from quell.domain.fields import FieldRule
from quell.domain.ids import SourceId
from quell.domain.incident import Comment, IncidentFields, Task
from quell.domain.ports import Clock, Detail, NewIncident
from quell.errors import AnswerNotFound, RequestRefused, WriteConflict
from quell_microsoft import ArmClient
from quell_microsoft.changes import Cursor, Row
from quell_microsoft.lenient import mapping, text
from quell_microsoft.shapes import check_shape
from quell_microsoft.track import Track, reached
from quell_sentinel import labels, messages
from quell_sentinel import mapping as fields_mapping
from quell_sentinel.bodies import changed_body, is_whole, new_body, task_body
from quell_sentinel.client import WorkspaceClient
from quell_sentinel.fields import CARRIED, FIELDS, WRITABLE
from quell_sentinel.holes import PLACE, read_place
from quell_sentinel.observed import is_from_defender, observe, read_comment, read_task, wrong_shape
from quell_sentinel.reading import Reading, Scope
from quell_sentinel.settings import SentinelSettings, Workspace

__all__ = ["SentinelIncidents"]

#: most tasks of one incident
TASKS_AT_MOST = 40
#: names that quell gives are derived below this one; changing it makes every copy a second time
NAMES = UUID("6b0c3c6e-5a63-5a0b-9a3c-3c1f5f6c7d11")


class SentinelIncidents:
    """Implements `quell.IncidentSource` for one workspace.

    Reads as `reader`, writes as `sync`: the second identity is asked for at the first write.
    """

    system: str = "sentinel"
    writable: frozenset[str] = WRITABLE
    comment_limit: int = messages.LIMIT
    comments_at_most: int = 100
    edits_comments: bool = True
    tasks_at_most: int = TASKS_AT_MOST
    carried: frozenset[str] = CARRIED
    fields: Mapping[str, FieldRule] = FIELDS

    def __init__(
        self,
        settings: SentinelSettings,
        workspace: Workspace,
        clock: Clock,
        *,
        reader: WorkspaceClient,
        writer: Callable[[], WorkspaceClient],
    ) -> None:
        self.source_id = SourceId(workspace.source_id)
        self.can_create = workspace.can_create
        self.tasks_at_most = TASKS_AT_MOST if settings.tasks else 0
        self.poll_every = settings.poll_every
        self.sweep_every = settings.sweep_hours * 3600.0
        self.sweep_back = timedelta(days=settings.sweep_days)
        self._settings = settings
        self._workspace = workspace
        self._clock = clock
        self._reader = reader
        self._writer = writer

    @classmethod
    def build(cls, context: ConnectorContext) -> list[SentinelIncidents]:
        """Make the sources of a tenant, one for each workspace."""
        settings = context.settings(SentinelSettings)
        return [
            cls(
                settings,
                workspace,
                context.clock,
                reader=client(context, workspace, "reader"),
                writer=partial(client, context, workspace, "sync"),
            )
            for workspace in settings.workspaces
        ]

    # -- polling -------------------------------------------------------------------------------

    async def poll(self, cursor: str | None) -> AsyncGenerator[PolledPage, None]:
        """Go through what changed since the cursor, oldest change first; counts tell of details.

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
        """Go through all that changed in a time, known or not."""
        scope = Scope(
            page_size=self._settings.page_size,
            overlap=timedelta(0),
            now=self._clock.now(),
            until=until,
        )
        async for page in self._pages(Cursor.load(cursor, since), scope):
            yield page

    async def _pages(self, state: Cursor, scope: Scope) -> AsyncGenerator[PolledPage, None]:
        track = Track(state, scope.overlap)
        async with aclosing(Reading(self._reader, track, scope, self._observe).pages()) as pages:
            async for page in pages:
                yield page

    async def count(self, since: datetime, until: datetime) -> None:
        """Say that the service does not count."""

    def reached(self, cursor: str | None) -> datetime | None:
        """Give the newest change that a cursor stands for."""
        return reached(cursor)

    def _observe(self, row: Row, **parts: list[Any]) -> ObservedIncident:
        """Read an incident; marks that do not fit its name were put there by somebody."""
        found = observe(self.source_id, row, **parts)
        if found.created_for is None:
            return found
        marks = labels.originals(mapping(row.get("properties")).get("labels"))
        name = found.native_id.lower()
        ours = next((mark for mark in marks if self.name_for(mark) == name), None)
        return msgspec.structs.replace(found, created_for=ours)

    # -- one incident --------------------------------------------------------------------------

    async def fetch(self, native_id: str, *, details: bool = True) -> ObservedIncident:
        """Read one incident with its alerts and comments, or its fields alone. Raises AnswerNotFound."""
        if native_id.startswith(PLACE):
            native_id = text((await read_place(self._reader, native_id)).get("name")) or native_id
        row = await self._reader.get(native_id)
        check_shape("GET …/incidents", wrong_shape(row))
        listed = self._observe(row)
        return await self.fetch_details(listed, tuple(Detail)) if details else listed

    async def fetch_details(
        self, seen: ObservedIncident, parts: Collection[Detail]
    ) -> ObservedIncident:
        """Read parts of an incident; what its counts say is not there is not asked for."""
        found: dict[str, list[Any]] = {}
        if Detail.ALERTS in parts:
            found |= await self._alerts(seen)
        if Detail.COMMENTS in parts:
            there = seen.comment_count != 0
            found["comments"] = [*await self._reader.comments(seen.native_id)] if there else []
        if Detail.TASKS in parts and self.tasks_at_most:
            found["tasks"] = [*await self._reader.tasks(seen.native_id)]
        row = {name: part for name, part in seen.raw.items() if name != "entities"}
        return self._observe(row, **found)

    async def _alerts(self, seen: ObservedIncident) -> dict[str, list[Any]]:
        if seen.alert_count == 0:
            return {"alerts": []}
        found = {"alerts": await self._reader.alerts(seen.native_id)}
        # what Defender knows of its own entities comes from there, with roles and verdicts
        if not is_from_defender(mapping(seen.raw.get("properties"))):
            found["entities"] = await self._reader.entities(seen.native_id)
        return found

    def project(self, name: str, fields: IncidentFields, native: Mapping[str, Any]) -> Any:
        """Give the raw value that a canonical field should have here."""
        return fields_mapping.project(name, fields, native)

    def name_for(self, created_for: str) -> str:
        """Give the name of our own copy of an incident in this workspace."""
        return str(uuid5(NAMES, f"incident:{self._workspace.path.lower()}:{created_for}"))

    async def create(self, incident: NewIncident) -> ObservedIncident:
        """Make a copy under its deterministic name; a repeat finds the one that is there."""
        if not self.can_create:
            raise RequestRefused(
                endpoint="PUT …/incidents",
                problem=f"the source {self.source_id} is not meant to hold copies",
                remedy=f"Set `can_create` for the workspace of {self.source_id}.",
            )
        try:
            made = await self._writer().put(
                incident.native_id, new_body(incident), is_repeatable=True
            )
        except WriteConflict as conflict:
            # without an etag this means: it exists already, unless the service was just busy
            try:
                return await self.fetch(incident.native_id)
            except AnswerNotFound:
                raise conflict from None
        return self._observe(made)

    async def update(self, base: ObservedIncident, changes: Mapping[str, Any]) -> ObservedIncident:
        """Write the base with changes put over it. Raises WriteConflict where the base is stale."""
        if not changes:
            return base
        endpoint = f"PUT …/incidents/{base.native_id}"
        if not (base.etag and is_whole(base.native)):
            base = await self._read_anew(endpoint, base)
        body = changed_body(endpoint, base.native, base.etag, changes)
        return self._observe(await self._writer().put(base.native_id, body))

    async def _read_anew(self, endpoint: str, base: ObservedIncident) -> ObservedIncident:
        """Read what a base does not have, without taking a later state for it."""
        found = self._observe(await self._reader.get(base.native_id))
        if base.etag and found.etag != base.etag:
            raise WriteConflict(endpoint=endpoint, status=409)
        return found

    # -- comments ------------------------------------------------------------------------------

    async def comment(self, native_id: str, text: str, key: str) -> Comment:
        """Add a comment under an id that is derived from the key: twice is once."""
        name = self._comment_name(native_id, key)
        try:
            made = await self._writer().put_comment(native_id, name, messages.write(text))
        except WriteConflict:
            made = await self._writer().comment(native_id, name)
        return read_comment(made)

    async def edit_comment(self, native_id: str, comment_key: str, text: str) -> Comment:
        """Write a comment of ours anew, under the id that it has."""
        made = await self._writer().put_comment(native_id, comment_key, messages.write(text))
        return read_comment(made)

    async def find_comment(self, native_id: str, key: str) -> Comment | None:
        """Look for the comment with the id that is derived from our key."""
        try:
            found = await self._reader.comment(native_id, self._comment_name(native_id, key))
        except AnswerNotFound:
            return None
        return read_comment(found)

    async def put_task(self, native_id: str, task: Task, key: str) -> Task:
        """Make a task under an id that is derived from the key, or change one."""
        name = task.key or self._task_name(native_id, key)
        body = task_body(task)
        try:
            made = await self._writer().put_task(native_id, name, body)
        except WriteConflict:
            # there is one already: written over with its version token
            found = await self._reader.task(native_id, name)
            made = await self._writer().put_task(
                native_id, name, body | {"etag": text(found.get("etag")) or ""}
            )
        return read_task(made)

    def _task_name(self, native_id: str, key: str) -> str:
        return str(uuid5(NAMES, f"task:{self._workspace.path}:{native_id}:{key}".lower()))

    def _comment_name(self, native_id: str, key: str) -> str:
        return str(uuid5(NAMES, f"comment:{self._workspace.path}:{native_id}:{key}".lower()))


def client(context: ConnectorContext, workspace: Workspace, identity: str) -> WorkspaceClient:
    """Make the client of one workspace for one identity."""
    return WorkspaceClient(context.connector(ArmClient, identity=identity), workspace)
