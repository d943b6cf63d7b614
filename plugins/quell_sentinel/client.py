"""Calls Sentinel's incident endpoints of one workspace.

https://learn.microsoft.com/rest/api/securityinsights/incidents
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, cast

from quell.errors import BadAnswer, RequestRefused
from quell_microsoft import ArmClient, quote
from quell_microsoft.changes import rows_of
from quell_microsoft.lenient import items, mapping, text
from quell_sentinel.settings import Workspace

__all__ = ["WorkspaceClient"]

#: roles rather than permissions: Azure grants these on the workspace or its resource group
READER = "Microsoft Sentinel Reader"
RESPONDER = "Microsoft Sentinel Responder"
ORDER = "properties/lastModifiedTimeUtc asc"

Row = Mapping[str, Any]


class WorkspaceClient:
    """The calls about incidents, as JSON. Each kind of call is counted by itself."""

    def __init__(self, arm: ArmClient, workspace: Workspace) -> None:
        self._arm = arm
        self._root = workspace.path
        self._version = {"api-version": workspace.api_version}

    def path(self, incident: str, *more: str) -> str:
        """Give the path of an incident or of what belongs to it."""
        return "/".join([f"{self._root}/incidents", _segment(incident), *more])

    # -- incidents -----------------------------------------------------------------------------

    async def pages(
        self, since: str, top: int, *, before: str | None = None
    ) -> AsyncGenerator[Row, None]:
        """List incidents that changed at or after a stamp, oldest change first, page by page."""
        end = f" and properties/lastModifiedTimeUtc lt {before}" if before else ""
        params = {
            "$filter": f"properties/lastModifiedTimeUtc ge {since}{end}",
            "$orderby": ORDER,
            "$top": str(top),
        }
        async with aclosing(self._listed(f"{self._root}/incidents", "list", params)) as found:
            async for page in found:
                yield page

    async def newest(self) -> Row | None:
        """Read any one incident, to see whether that works at all."""
        page = await self._arm.get(
            f"{self._root}/incidents",
            self._version | {"$top": "1"},
            operation="list",
            permission=READER,
        )
        return next(iter(rows_of(mapping(page))), None)

    async def get(self, incident: str) -> Row:
        """Read one incident. Raises AnswerNotFound."""
        found = mapping(
            await self._arm.get(
                self.path(incident), self._version, operation="incidents.read", permission=READER
            )
        )
        if text(found.get("name")) is None:
            raise BadAnswer(endpoint="GET …/incidents", problem="an incident has no name")
        return found

    async def put(self, incident: str, body: Row, *, is_repeatable: bool = False) -> Row:
        """Write a whole incident. Raises WriteConflict where the etag in the body is stale."""
        return await self._put(self.path(incident), body, "incidents", is_repeatable)

    # -- what belongs to an incident -----------------------------------------------------------

    async def alerts(self, incident: str) -> list[Any]:
        """List an incident's alerts: a POST that only reads."""
        return items((await self._read(incident, "alerts")).get("value"))

    async def entities(self, incident: str) -> list[Any]:
        """List an incident's entities: a POST that only reads."""
        return items((await self._read(incident, "entities")).get("entities"))

    async def comments(self, incident: str) -> list[Row]:
        """List an incident's comments, through all pages."""
        pages = self._listed(self.path(incident, "comments"), "comments.read", {})
        return [row async for page in pages for row in rows_of(page)]

    async def comment(self, incident: str, comment: str) -> Row:
        """Read one comment. Raises AnswerNotFound."""
        return mapping(
            await self._arm.get(
                self.path(incident, "comments", _segment(comment)),
                self._version,
                operation="comments.read",
                permission=READER,
            )
        )

    async def put_comment(self, incident: str, comment: str, message: str) -> Row:
        """Write a comment under an id that we choose: twice is once."""
        path = self.path(incident, "comments", _segment(comment))
        return await self._put(path, {"properties": {"message": message}}, "comments", True)

    async def tasks(self, incident: str) -> list[Row]:
        """List an incident's tasks, through all pages."""
        pages = self._listed(self.path(incident, "tasks"), "tasks.read", {})
        return [row async for page in pages for row in rows_of(page)]

    async def task(self, incident: str, task: str) -> Row:
        """Read one task. Raises AnswerNotFound."""
        return mapping(
            await self._arm.get(
                self.path(incident, "tasks", _segment(task)),
                self._version,
                operation="tasks.read",
                permission=READER,
            )
        )

    async def put_task(self, incident: str, task: str, body: Row) -> Row:
        """Write a task under an id that we choose: twice is once."""
        return await self._put(self.path(incident, "tasks", _segment(task)), body, "tasks", True)

    async def relations(self, incident: str) -> list[Row]:
        """List what an incident is related to: alerts and bookmarks."""
        pages = self._listed(self.path(incident, "relations"), "relations.read", {})
        return [row async for page in pages for row in rows_of(page)]

    async def put_relation(self, incident: str, relation: str, resource_id: str) -> Row:
        """Relate an alert or a bookmark of the same workspace to an incident: twice is once."""
        path = self.path(incident, "relations", _segment(relation))
        body = {"properties": {"relatedResourceId": resource_id}}
        return await self._put(path, body, "relations", True)

    # -- one call ------------------------------------------------------------------------------

    async def _listed(
        self, path: str, operation: str, params: Mapping[str, str]
    ) -> AsyncGenerator[Row, None]:
        listed = self._arm.pages(
            path, {**self._version, **params}, operation=operation, permission=READER
        )
        async with aclosing(cast("AsyncGenerator[Row, None]", listed)) as found:
            async for page in found:
                yield page

    async def _read(self, incident: str, part: str) -> Row:
        answer = await self._arm.post(
            self.path(incident, part),
            params=self._version,
            operation=f"{part}.read",
            permission=READER,
            is_repeatable=True,
        )
        if answer.status == 206:
            raise BadAnswer(endpoint=f"POST …/{part}", status=206, problem="the answer is partial")
        return mapping(answer.body)

    async def _put(self, path: str, body: Row, operation: str, is_repeatable: bool) -> Row:
        answer = await self._arm.put(
            path,
            dict(body),
            params=self._version,
            operation=f"{operation}.write",
            permission=RESPONDER,
            is_repeatable=is_repeatable,
        )
        return mapping(answer.body)


def _segment(name: str) -> str:
    """Write a name into a path; one that a server could read as two is refused."""
    if re.fullmatch(r"[A-Za-z0-9_.~-]{1,200}", name) is None:
        raise RequestRefused(
            endpoint="…/incidents", problem="a name holds signs that no such name has"
        )
    return quote(name)
