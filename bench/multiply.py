"""Makes a large journal out of a small one: the rows of its incidents are copied under new ids."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

__all__ = ["multiply"]

#: tables that grow with incidents, and their columns that tell one incident's rows from another's
OWN = {
    "incidents": ("id", "origin_native_id"),
    "links": ("id", "incident_id", "native_id"),
    "alerts": ("native_id", "incident_id"),
    "entities": ("id",),
    "entity_aliases": ("value", "entity_id"),
    "incident_entities": ("incident_id", "entity_id"),
    "revisions": ("incident_id", "link_id"),
    "incident_writes": ("id", "incident_id", "link_id", "write_key"),
}


def multiply(path: Path, times: int) -> None:
    """Copy until there are so many times as many incidents; nobody else may have the file open."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        # a history: what is old was matched against playbooks long ago
        connection.execute("UPDATE revisions SET matched_at = at WHERE matched_at IS NULL")
        counts = {name: _count(connection, name) for name in OWN}
        for number in range(1, times):
            for name, own in OWN.items():
                connection.execute(_copying(connection, name, own, number), (counts[name],))


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0])


def _copying(connection: sqlite3.Connection, table: str, own: tuple[str, ...], number: int) -> str:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    values = [f"{name} || '-{number}'" if name in own else name for name in columns]
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) "
        f"SELECT {', '.join(values)} FROM {table} WHERE rowid <= ?"
    )
