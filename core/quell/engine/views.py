"""Incidents as runs need them when they are claimed: those wanted at one moment are read together."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from quell.domain.ids import IncidentId, TenantId
from quell.domain.view import IncidentView
from quell.errors import NotFoundError
from quell.journal import Journal, incidents

__all__ = ["Views"]

#: most incidents that are read at a time: one that is large keeps few others waiting
AT_ONCE = 50


@dataclass(slots=True, kw_only=True)
class Views:
    """Reads incidents of one tenant, on one event loop."""

    journal: Journal
    tenant_id: TenantId
    _wanted: dict[IncidentId, asyncio.Future[IncidentView]] = field(
        default_factory=dict[IncidentId, asyncio.Future[IncidentView]]
    )
    _reading: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def get(self, incident_id: IncidentId) -> IncidentView:
        """Read an incident as it is from now on. Raises NotFoundError."""
        loop = asyncio.get_running_loop()
        if not self._wanted:
            # claims are told of together: whoever else goes on now asks before this is called
            loop.call_soon(self._begin)
        future = self._wanted.get(incident_id)
        if future is None:
            future = self._wanted[incident_id] = loop.create_future()
        # several may wait for it, and one that gives up takes nothing from the others
        return await asyncio.shield(future)

    def _begin(self) -> None:
        wanted, self._wanted = list(self._wanted.items()), {}
        for at in range(0, len(wanted), AT_ONCE):
            task = asyncio.ensure_future(self._read(dict(wanted[at : at + AT_ONCE])))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def _read(self, wanted: dict[IncidentId, asyncio.Future[IncidentView]]) -> None:
        try:
            found = await self.journal.ask(incidents.views(self.tenant_id, list(wanted)))
        except Exception as error:  # noqa: BLE001 # whatever it is, whoever waits has to hear it
            await self._fail(wanted, error)
            return
        for incident_id, future in wanted.items():
            if (view := found.get(incident_id)) is not None:
                future.set_result(view)
            else:
                _tell(future, NotFoundError(what="incident", name=incident_id))

    async def _fail(
        self, wanted: dict[IncidentId, asyncio.Future[IncidentView]], error: Exception
    ) -> None:
        """Read one by one what could not be read together: only the culprit fails."""
        if len(wanted) == 1:
            for future in wanted.values():
                _tell(future, error)
            return
        for incident_id, future in wanted.items():
            await self._read({incident_id: future})


def _tell(future: asyncio.Future[IncidentView], error: Exception) -> None:
    future.set_exception(error)
    # whoever waited may have given up meanwhile; then nobody is left to be told
    future.exception()
