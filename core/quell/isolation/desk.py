"""How a child process uses the one writer of incidents, which stays in the worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec

from quell.domain.ids import IncidentId
from quell.domain.incident import IncidentFields
from quell.domain.offers import Bridge, ConnectorContext
from quell.domain.outcome import Outcome
from quell.domain.ports import IncidentDesk
from quell.errors import RequestRefused

__all__ = ["DESK_BRIDGE"]

FIELD_TYPES = {one.encode_name: one.type for one in msgspec.structs.fields(IncidentFields)}


class DeskRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a child asks of the desk."""

    do: Literal["comment", "update", "current", "has_comment", "outcome"]
    incident: str
    key: str = ""
    text: str = ""
    run_id: str | None = None
    changes: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


async def serve(desk: IncidentDesk, body: Any) -> Any:
    """Do in the worker what a child asks of the desk. Raises RequestRefused."""
    try:
        asked = msgspec.convert(body, DeskRequest)
        changes = {
            name: msgspec.convert(value, FIELD_TYPES[name]) for name, value in asked.changes.items()
        }
    except (msgspec.ValidationError, KeyError) as error:
        raise RequestRefused(endpoint="incident desk", problem="cannot be read") from error
    incident = IncidentId(asked.incident)
    if asked.do == "comment":
        return await desk.comment(incident, asked.text, key=asked.key, run_id=asked.run_id)
    if asked.do == "update":
        return await desk.update(incident, changes, key=asked.key, run_id=asked.run_id)
    if asked.do == "current":
        return await desk.current(incident)
    if asked.do == "has_comment":
        return await desk.has_comment(incident, asked.key)
    return await desk.outcome(incident, asked.key)


class FarDesk:
    """An `IncidentDesk` in a child process."""

    def __init__(self, ask: Callable[[Any], Awaitable[Any]]) -> None:
        self._ask = ask

    async def comment(
        self, incident_id: IncidentId, text: str, *, key: str, run_id: str | None
    ) -> Outcome:
        """Add a comment to every copy."""
        asked = DeskRequest(do="comment", incident=incident_id, text=text, key=key, run_id=run_id)
        return await self._outcome(asked)

    async def update(
        self, incident_id: IncidentId, changes: Mapping[str, Any], *, key: str, run_id: str | None
    ) -> Outcome:
        """Change canonical fields, on every copy."""
        asked = DeskRequest(
            do="update", incident=incident_id, changes=dict(changes), key=key, run_id=run_id
        )
        return await self._outcome(asked)

    async def current(self, incident_id: IncidentId) -> IncidentFields:
        """Read the canonical fields as the journal has them now."""
        found = await self._ask(DeskRequest(do="current", incident=incident_id))
        return msgspec.convert(found, IncidentFields)

    async def has_comment(self, incident_id: IncidentId, key: str) -> bool:
        """Tell whether the comment with that key is on record as written."""
        return bool(await self._ask(DeskRequest(do="has_comment", incident=incident_id, key=key)))

    async def outcome(self, incident_id: IncidentId, key: str) -> Outcome:
        """Tell what has become of an earlier comment or update with that key."""
        return await self._outcome(DeskRequest(do="outcome", incident=incident_id, key=key))

    async def _outcome(self, asked: DeskRequest) -> Outcome:
        # the type checkers take a union for a value, not for a type
        kind: Any = Outcome
        found: Outcome = msgspec.convert(await self._ask(asked), kind)
        return found


def _stand_in(context: ConnectorContext, ask: Callable[[Any], Awaitable[Any]]) -> FarDesk:
    return FarDesk(ask)


DESK_BRIDGE = Bridge(serve=serve, stand_in=_stand_in)
