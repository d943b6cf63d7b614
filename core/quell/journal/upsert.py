"""Inserting what may be there already, in one statement on either engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from quell.journal.writer import Transaction

__all__ = ["insert_missing", "insert_or_update"]


def insert_missing(tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows whose keys are new, leave the others alone. Gives how many were new."""
    if not rows:
        return 0
    statement = _missing(tx.conn.dialect.name, table)
    # not every driver counts the rows of an insert
    return len(tx.execute(statement, [dict(row) for row in rows]).all())


def insert_or_update(
    tx: Transaction,
    table: sa.Table,
    row: Mapping[str, Any],
    *,
    update: Sequence[str] | None = None,
) -> None:
    """Insert a row, or bring the named columns (all but the key) of the one there up to date."""
    names = {column.name for column in table.primary_key.columns}
    changed = update if update is not None else [name for name in row if name not in names]
    tx.execute(_update(tx.conn.dialect.name, table, tuple(changed)), dict(row))


# a statement is made once and kept: SQLAlchemy then finds its compiled form by looking


@cache
def _missing(dialect: str, table: sa.Table) -> sa.Executable:
    statement: sa.Executable = (
        _insert(dialect, table).on_conflict_do_nothing().returning(sa.literal(1))
    )
    return statement


@cache
def _update(dialect: str, table: sa.Table, changed: tuple[str, ...]) -> sa.Executable:
    statement = _insert(dialect, table)
    updated: sa.Executable = statement.on_conflict_do_update(
        index_elements=[column.name for column in table.primary_key.columns],
        set_={name: statement.excluded[name] for name in changed},
    )
    return updated


def _insert(dialect: str, table: sa.Table) -> Any:
    # the two dialects' inserts have the same methods and no common type
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)
