"""Reads again what was put aside by its place in the list of incidents: its id was not to be had."""

from __future__ import annotations

import re

from quell.errors import AnswerNotFound, BadAnswer
from quell_defender.client import INCIDENTS, IncidentClient
from quell_microsoft.lenient import first, text
from quell_microsoft.stamps import parse_stamp

__all__ = ["is_place", "read_place"]

#: `at:STAMP` for a row without an id, `STAMP+NUMBER` for a row that could not be read at all
_PLACE = re.compile(r"at:(?P<stamp>.*)|(?P<since>\d{4}-[^+]*)\+(?P<number>\d{1,3})", re.DOTALL)


def is_place(native_id: str) -> bool:
    """Tell whether this names a place of the list, and no incident."""
    return _PLACE.fullmatch(native_id) is not None


async def read_place(client: IncidentClient, name: str) -> str:
    """Give the id of the incident that is there now. Raises AnswerNotFound where nothing is.

    Raises BadAnswer while the row there has no id. Rows move: one that is somewhere else by now
    is found by the next sweep.
    """
    found = _PLACE.fullmatch(name)
    since = (found["stamp"] or found["since"]) if found else None
    wanted = parse_stamp(since)
    if found is None or since is None or wanted is None:
        raise AnswerNotFound(endpoint=f"GET {INCIDENTS}", status=404)
    row = await client.one_at(since, int(found["number"] or 0))
    if row is None or (
        found["stamp"] and parse_stamp(first(row, "lastUpdateDateTime", "lastUpdateTime")) != wanted
    ):
        raise AnswerNotFound(endpoint=f"GET {INCIDENTS}", status=404)
    native_id = text(first(row, "id", "incidentId"))
    if native_id is None:
        raise BadAnswer(
            endpoint=f"GET {INCIDENTS}",
            problem="a row of the list has no id",
            remedy="Nothing can be made of it; quell goes on asking. Report it to Microsoft.",
        )
    return native_id
