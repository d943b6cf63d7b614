"""Inserting what may be there already, in one statement on either engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from quell.journal.writer import Transaction

__all__ = ["insert_missing", "insert_or_update"]


def insert_missing(tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows whose keys are new, leave the others alone. Gives how many were new."""
    if not rows:
        return 0
    statement = _insert(tx, table).values([dict(row) for row in rows]).on_conflict_do_nothing()
    # not every driver counts the rows of an insert
    return len(tx.execute(statement.returning(sa.literal(1))).all())


def insert_or_update(
    tx: Transaction,
    table: sa.Table,
    row: Mapping[str, Any],
    *,
    update: Sequence[str] | None = None,
) -> None:
    """Insert a row, or bring the named columns (all but the key) of the one there up to date."""
    names = [column.name for column in table.primary_key.columns]
    changed = update if update is not None else [name for name in row if name not in names]
    statement = _insert(tx, table).values(dict(row))
    tx.execute(
        statement.on_conflict_do_update(
            index_elements=names, set_={name: statement.excluded[name] for name in changed}
        )
    )


def _insert(tx: Transaction, table: sa.Table) -> Any:
    # the two dialects' inserts have the same methods and no common type
    engine = postgresql if tx.conn.dialect.name == "postgresql" else sqlite
    return engine.insert(table)
