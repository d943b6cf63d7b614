"""Counts what a PATCH overwrites unseen: Defender has no etag, so the last writer wins.

A person's edit that comes after a client's GET of the incident and before its PATCH of the same
field is lost without a chance to notice. An edit that a client overwrites without having read
the incident since is its own fault: it is told apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from quell_microsoft.simulator.wire import Json

from .clock import stamp
from .items import Edit, Incident
from .queue import Queue


class Reading(StrEnum):
    """How a client last saw an incident."""

    GET = "get"
    LIST = "list"
    #: the answer to its own PATCH
    ANSWER = "answer"
    NEVER = "never"


@dataclass(slots=True)
class Look:
    """What one client has seen of one incident: the number of the newest edit it can know."""

    reading: Reading = Reading.NEVER
    seen: int = 0
    #: the same at the last GET since the client's last PATCH; None when there was no such GET
    got: int | None = None


class Overwrites:
    """Who has seen which edits, and which were overwritten all the same."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._looks: dict[tuple[str, str], Look] = {}
        self.found: list[Json] = []

    def looked(self, app: str, incident: Incident, reading: Reading) -> None:
        """Note that a client was shown an incident as it is now."""
        look = self._looks.setdefault((_client(app), incident.body["id"]), Look())
        look.reading, look.seen = reading, self._queue.last_edit
        if reading is Reading.GET:
            look.got = look.seen
        elif reading is Reading.ANSWER:
            look.got = None

    def patch(self, app: str, incident: Incident, changes: Json) -> None:
        """Note every edit of somebody else that this PATCH overwrites without having shown it."""
        look = self._looks.get((_client(app), incident.body["id"]), Look())
        for name, value in changes.items():
            edit = incident.edits.get(name)
            if edit is None or incident.body.get(name) == value:
                continue
            since_get = look.got is not None and edit.number > look.got
            if since_get or edit.number > look.seen:
                self._note(app, incident, name, edit, value, look, is_window=since_get)

    def _note(
        self,
        app: str,
        incident: Incident,
        name: str,
        edit: Edit,
        value: object,
        look: Look,
        *,
        is_window: bool,
    ) -> None:
        self.found.append(
            {
                "incident": incident.body["id"],
                "field": name,
                "lost": incident.body.get(name),
                "lostBy": edit.by,
                "lostAt": edit.at,
                "written": value,
                "writtenBy": app,
                "writtenAt": stamp(self._queue.clock.shown()),
                "lastRead": look.reading.value,
                "inWindow": is_window,
            }
        )

    def as_json(self) -> Json:
        """Answer the counts and the details."""
        inside = sum(item["inWindow"] for item in self.found)
        return {"inWindow": inside, "blind": len(self.found) - inside, "value": self.found}


def _client(app: str) -> str:
    """Name whose application it is: one client may read as one identity and write as another.

    Their names differ in their last word: `API-App:quell-reader`, `API-App:quell-sync`.
    """
    kind, _, name = app.rpartition(":")
    return f"{kind}:{name.rpartition('-')[0] or name}"
