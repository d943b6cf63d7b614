"""The incident queue of one Sentinel workspace as a source: polled, read, written, copied to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any
from uuid import UUID, uuid5

import msgspec

from quell import ConnectorContext, ObservedIncident, PolledPage
from quell.domain.fields import FieldRule
from quell.domain.ids import SourceId
from quell.domain.incident import Comment, IncidentFields, Task
from quell.domain.ports import Clock, NewIncident
from quell.errors import AnswerNotFound, RequestRefused, WriteConflict
from quell_microsoft import ArmClient
from quell_microsoft.changes import Batch, Cursor, Row, Walk
from quell_microsoft.lenient import mapping, text
from quell_sentinel import mapping as fields_mapping
from quell_sentinel import messages
from quell_sentinel.bodies import changed_body, new_body
from quell_sentinel.client import WorkspaceClient
from quell_sentinel.observed import is_from_defender, observe, read_comment
from quell_sentinel.settings import SentinelSettings, Workspace

__all__ = ["SentinelIncidents"]

#: names that quell gives are derived below this one; changing it makes every copy a second time
NAMES = UUID("6b0c3c6e-5a63-5a0b-9a3c-3c1f5f6c7d11")


class SentinelIncidents:
    """Implements `quell.IncidentSource` for one workspace.

    Reads as `reader`, writes as `sync`: the second identity is asked for at the first write.
    """

    system: str = "sentinel"
    writable: frozenset[str] = fields_mapping.WRITABLE
    comment_limit: int = messages.LIMIT
    comments_at_most: int = 100
    tasks_at_most: int = 40
    carried: frozenset[str] = frozenset()
    fields: Mapping[str, FieldRule] = {}

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
        self.poll_every = settings.poll_every
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
        overlap = self._settings.overlap
        state = Cursor.load(cursor, self._clock.now() - self._settings.lookback)
        async with aclosing(self._walk().batches(state.start(overlap))) as batches:
            async for batch in batches:
                news = [row for row in batch.rows if state.is_news(*_mark(row))]
                state = state.after(dict(_mark(row) for row in news), overlap)
                yield self._page(batch, news, state)

    def _walk(self) -> Walk:
        return Walk(
            pages=self._reader.pages,
            stamp_of=lambda row: _mark(row)[1],
            page_size=self._settings.page_size,
        )

    def _page(self, batch: Batch, news: list[Row], state: Cursor) -> PolledPage:
        incidents = tuple(self._observe(row) for row in news)
        return PolledPage(incidents=incidents, cursor=state.dump(), poison=dict(batch.poison))

    def _observe(self, row: Row, **parts: list[Any]) -> ObservedIncident:
        """Read an incident; a mark that does not fit its name was copied there by somebody."""
        found = observe(self.source_id, row, **parts)
        origin = found.created_for
        if origin is None or self.name_for(origin) == found.native_id.lower():
            return found
        return msgspec.structs.replace(found, created_for=None)

    # -- one incident --------------------------------------------------------------------------

    async def fetch(self, native_id: str, *, details: bool = True) -> ObservedIncident:
        """Read one incident with its alerts and comments, or its fields alone. Raises AnswerNotFound."""
        row = await self._reader.get(native_id)
        listed = self._observe(row)
        if not details:
            return listed
        parts: dict[str, list[Any]] = {"alerts": [], "comments": []}
        if listed.alert_count != 0:
            parts["alerts"] = await self._reader.alerts(native_id)
            # what Defender knows of its own entities comes from there, with roles and verdicts
            if not is_from_defender(mapping(row.get("properties"))):
                parts["entities"] = await self._reader.entities(native_id)
        if listed.comment_count != 0:
            parts["comments"] = [*await self._reader.comments(native_id)]
        return self._observe(row, **parts)

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
        if not base.etag:
            base = self._observe(await self._reader.get(base.native_id))
        body = changed_body(
            f"PUT …/incidents/{base.native_id}",
            mapping(base.raw.get("properties")),
            base.etag,
            changes,
        )
        return self._observe(await self._writer().put(base.native_id, body))

    # -- comments ------------------------------------------------------------------------------

    async def comment(self, native_id: str, text: str, key: str) -> Comment:
        """Add a comment under an id that is derived from the key: twice is once."""
        name = self._comment_name(native_id, key)
        try:
            made = await self._writer().put_comment(native_id, name, messages.write(text))
        except WriteConflict:
            made = await self._writer().comment(native_id, name)
        return read_comment(made)

    async def find_comment(self, native_id: str, key: str) -> Comment | None:
        """Look for the comment with the id that is derived from our key."""
        try:
            found = await self._reader.comment(native_id, self._comment_name(native_id, key))
        except AnswerNotFound:
            return None
        return read_comment(found)

    async def put_task(self, native_id: str, task: Task, key: str) -> Task:
        """Make or change a task."""
        raise NotImplementedError

    def _comment_name(self, native_id: str, key: str) -> str:
        return str(uuid5(NAMES, f"comment:{self._workspace.path}:{native_id}:{key}".lower()))


def client(context: ConnectorContext, workspace: Workspace, identity: str) -> WorkspaceClient:
    """Make the client of one workspace for one identity."""
    return WorkspaceClient(context.connector(ArmClient, identity=identity), workspace)


def _mark(row: Row) -> tuple[str, str]:
    """Give what tells one state of an incident from another: its name and its last change."""
    stamp = text(mapping(row.get("properties")).get("lastModifiedTimeUtc"))
    return text(row.get("name")) or "", stamp or ""
