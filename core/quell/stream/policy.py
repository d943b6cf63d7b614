"""What is streamed, and how: the rules of one tenant."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import msgspec

from quell.domain.events import EventTable
from quell.errors import SettingsError

__all__ = ["StreamPolicy", "chosen_tables"]


class StreamPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of `[events]`, as values."""

    #: names or patterns of tables
    tables: tuple[str, ...] = ()
    #: `replica`: only to a place where quell itself makes the copies of incidents
    when: Literal["always", "replica"] = "always"
    #: ids of sinks; empty is all
    sinks: tuple[str, ...] = ()
    #: how far each read goes back behind the checkpoint: rows become visible late
    overlap: timedelta = timedelta(minutes=30)
    #: how far the first read goes back
    lookback: timedelta = timedelta(hours=1)
    #: bytes of one table that may wait for one sink before it is not read any further
    spool_bytes: int = 256 * 1024 * 1024


def chosen_tables(policy: StreamPolicy, tables: Sequence[EventTable]) -> list[EventTable]:
    """Pick the tables that the settings name. Raises SettingsError for a name that none has."""
    names = [table.name for table in tables]
    for pattern in policy.tables:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise SettingsError(
                name="events.tables",
                problem=f"no enabled plugin has a table {pattern!r}",
                remedy="`quell events tables` lists them all.",
            )
    return [
        table
        for table in tables
        if any(fnmatch.fnmatchcase(table.name, pattern) for pattern in policy.tables)
    ]
