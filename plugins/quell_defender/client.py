"""Calls the incidents and alerts endpoints of Microsoft Graph.

https://learn.microsoft.com/graph/api/resources/security-incident
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import Any, cast

from quell.errors import BadAnswer, RequestRefused, ServerFailure
from quell_defender.observed import FOUND_ALERTS
from quell_microsoft import GraphClient, quote
from quell_microsoft.changes import rows_of
from quell_microsoft.lenient import first, items, mapping, number, text
from quell_microsoft.stamps import parse_stamp, write_stamp

__all__ = ["INCIDENTS", "READ", "IncidentClient"]

INCIDENTS = "/v1.0/security/incidents"
ALERTS = "/v1.0/security/alerts_v2"
READ = "SecurityIncident.Read.All"
READ_ALERTS = "SecurityAlert.Read.All"
WRITE = "SecurityIncident.ReadWrite.All"
#: incidents and alerts are counted together
OPERATION = "security"
#: the order is asked for, and checked by the reader: it works but is not documented
ORDER = "lastUpdateDateTime asc"
#: most alerts on one page
ALERTS_PAGE = 1_000
#: how long before its incident an alert may have changed last
ALERT_LEAD = timedelta(days=1)

Row = Mapping[str, Any]


class IncidentClient:
    """The calls about incidents, as JSON; reads with one identity, writes with another."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph

    async def pages(
        self, since: str, top: int, *, until: str | None = None
    ) -> AsyncGenerator[Row, None]:
        """List incidents that changed at or after a stamp, oldest change first, page by page."""
        params = _window(since, until) | {"$top": str(top)}
        listed = self._graph.pages(INCIDENTS, params, operation=OPERATION, permission=READ)
        async with aclosing(cast("AsyncGenerator[Row, None]", listed)) as found:
            async for page in found:
                yield page

    async def one_at(self, since: str, place: int, *, names_only: bool = False) -> Row | None:
        """Read the row at a place of that list, or None past its end."""
        params = _window(since) | {"$top": "1", "$skip": str(place)}
        if names_only:
            params["$select"] = "id,lastUpdateDateTime"
        page = await self._graph.get(INCIDENTS, params, operation=OPERATION, permission=READ)
        return next(iter(rows_of(mapping(page))), None)

    async def count(self, since: str, until: str | None) -> int | None:
        """Count the incidents that changed in a time; None where the product does not say."""
        params = _window(since, until) | {"$top": "1", "$count": "true"}
        page = mapping(
            await self._graph.get(INCIDENTS, params, operation=OPERATION, permission=READ)
        )
        return number(page.get("@odata.count"))

    async def newest(self) -> Row | None:
        """Read any one incident, to see whether that works at all."""
        page = await self._graph.get(INCIDENTS, {"$top": "1"}, operation=OPERATION, permission=READ)
        return next(iter(rows_of(mapping(page))), None)

    async def any_alert(self) -> Row | None:
        """Read any one alert, to see whether that works at all."""
        page = await self._graph.get(
            ALERTS, {"$top": "1"}, operation=OPERATION, permission=READ_ALERTS
        )
        return next(iter(rows_of(mapping(page))), None)

    async def get(self, incident_id: str) -> Row:
        """Read one incident without its alerts. Raises AnswerNotFound."""
        return await self._get(incident_id, None)

    async def get_with_alerts(self, incident_id: str) -> Row:
        """Read one incident with its alerts. Raises AnswerNotFound.

        The product fails for good to expand some incidents; their alerts are then looked up in
        the alerts' own list, and stand under `FOUND_ALERTS`: an old one may be missing there.
        """
        try:
            found = await self._get(incident_id, {"$expand": "alerts"})
            # a list that goes on elsewhere is not the whole: what it lacks would count as gone
            if isinstance(found.get("alerts"), list) and "alerts@odata.nextLink" not in found:
                return found
        except (ServerFailure, BadAnswer):
            pass
        found = await self.get(incident_id)
        return {**found, FOUND_ALERTS: await self.alerts_of(found)}

    async def _get(self, incident_id: str, params: Mapping[str, str] | None) -> Row:
        path = f"{INCIDENTS}/{_segment(incident_id)}"
        found = mapping(await self._graph.get(path, params, operation=OPERATION, permission=READ))
        if text(found.get("id")) is None:
            raise BadAnswer(endpoint=f"GET {INCIDENTS}", problem="an incident has no id")
        return found

    async def alerts_of(self, incident: Row) -> list[Row]:
        """Find an incident's alerts in the list of all alerts, which cannot be asked for them."""
        created = parse_stamp(first(incident, "createdDateTime"))
        params = {"$top": str(ALERTS_PAGE)}
        if created is not None:
            params["$filter"] = f"lastUpdateDateTime ge {write_stamp(created - ALERT_LEAD)}"
        wanted = text(incident.get("id"))
        found: list[Row] = []
        async for page in self._graph.pages(
            ALERTS, params, operation=OPERATION, permission=READ_ALERTS
        ):
            found += [row for row in rows_of(page) if text(row.get("incidentId")) == wanted]
        return found

    # -- alerts by themselves ------------------------------------------------------------------

    async def alert_pages(
        self, since: str, top: int, *, until: str | None = None
    ) -> AsyncGenerator[Row, None]:
        """List alerts that changed at or after a stamp, oldest change first, page by page."""
        params = _window(since, until) | {"$top": str(top)}
        listed = self._graph.pages(ALERTS, params, operation=OPERATION, permission=READ_ALERTS)
        async with aclosing(cast("AsyncGenerator[Row, None]", listed)) as found:
            async for page in found:
                yield page

    async def alert_at(self, since: str, place: int, *, names_only: bool = False) -> Row | None:
        """Read the alert at a place of that list, or None past its end."""
        params = _window(since) | {"$top": "1", "$skip": str(place)}
        if names_only:
            params["$select"] = "id,incidentId,lastUpdateDateTime"
        page = await self._graph.get(ALERTS, params, operation=OPERATION, permission=READ_ALERTS)
        return next(iter(rows_of(mapping(page))), None)

    async def alert(self, alert_id: str) -> Row:
        """Read one alert. Raises AnswerNotFound."""
        path = f"{ALERTS}/{_segment(alert_id)}"
        return mapping(
            await self._graph.get(path, None, operation=OPERATION, permission=READ_ALERTS)
        )

    # -- writing -------------------------------------------------------------------------------

    async def patch(self, incident_id: str, body: Row) -> Row:
        """Change properties; gives the whole incident as it is then."""
        path = f"{INCIDENTS}/{_segment(incident_id)}"
        # setting the same values again changes nothing, but the answer to a repeat would no
        # longer tell what somebody else wrote in between: it is sent once
        answer = await self._graph.patch(path, dict(body), operation=OPERATION, permission=WRITE)
        return mapping(answer.body)

    async def comment(self, incident_id: str, words: str) -> list[Any]:
        """Add a comment; gives all comments. Not repeatable: each call adds one."""
        answer = await self._graph.post(
            f"{INCIDENTS}/{_segment(incident_id)}/comments",
            {"@odata.type": "microsoft.graph.security.alertComment", "comment": words},
            operation=OPERATION,
            permission=WRITE,
        )
        return items(mapping(answer.body).get("value"))


def _window(since: str, until: str | None = None) -> dict[str, str]:
    end = f" and lastUpdateDateTime le {until}" if until else ""
    return {"$filter": f"lastUpdateDateTime ge {since}{end}", "$orderby": ORDER}


def _segment(incident_id: str) -> str:
    """Write an id into a path; one that a server could read as two segments is refused."""
    if re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", incident_id) is None:
        raise RequestRefused(
            endpoint=INCIDENTS, problem="an incident's id holds signs that no id has"
        )
    return quote(incident_id)
