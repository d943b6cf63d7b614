"""Inserting what may be there already, in one statement on either engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from quell.journal.writer import Transaction

__all__ = [
    "insert_missing",
    "insert_missing_later",
    "insert_or_lock",
    "insert_or_update",
    "insert_or_update_later",
]


def insert_missing(tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows whose keys are new, leave the others alone. Gives how many were new."""
    if not rows:
        return 0
    statement = _missing(tx.conn.dialect.name, table)
    # not every driver counts the rows of an insert
    values = dict(rows[0]) if len(rows) == 1 else [dict(row) for row in rows]
    return len(tx.execute(statement, values).all())


def insert_missing_later(tx: Transaction, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Insert a row whose key is new, together with others; leave alone what is there."""
    tx.later(_missing_many(tx.conn.dialect.name, table), dict(row))


def insert_or_lock(
    tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, Any]], column: str
) -> Sequence[sa.Row[Any]]:
    """Insert the rows whose keys are new, lock those that are there. Gives each as it is then.

    `column` is one outside of the key: it is set to what it is. For rows that this transaction has
    not changed.
    """
    values = dict(rows[0]) if len(rows) == 1 else [dict(row) for row in rows]
    return tx.beside(_lock(tx.conn.dialect.name, table, column), values).all()


def insert_or_update(
    tx: Transaction,
    table: sa.Table,
    row: Mapping[str, Any],
    *,
    update: Sequence[str] | None = None,
) -> None:
    """Insert a row, or bring the named columns (all but the key) of the one there up to date."""
    names = tuple(update) if update is not None else _beside_key(table, tuple(row))
    tx.execute(_update(tx.conn.dialect.name, table, names), dict(row))


def insert_or_update_later(
    tx: Transaction, table: sa.Table, row: Mapping[str, Any], *, update: tuple[str, ...]
) -> None:
    """Insert a row, or bring the named columns up to date, together with others of the group."""
    tx.later(_update(tx.conn.dialect.name, table, update), dict(row))


# a statement is made once and kept: SQLAlchemy then finds its compiled form by looking


@cache
def _missing(dialect: str, table: sa.Table) -> sa.Executable:
    statement: sa.Executable = (
        _insert(dialect, table).on_conflict_do_nothing().returning(sa.literal(1))
    )
    return statement


@cache
def _missing_many(dialect: str, table: sa.Table) -> sa.Executable:
    statement: sa.Executable = _insert(dialect, table).on_conflict_do_nothing()
    return statement


@cache
def _lock(dialect: str, table: sa.Table, column: str) -> sa.Executable:
    locked: sa.Executable = (
        _insert(dialect, table)
        .on_conflict_do_update(
            index_elements=[column.name for column in table.primary_key.columns],
            set_={column: table.c[column]},
        )
        .returning(*table.columns)
    )
    return locked


@cache
def _beside_key(table: sa.Table, names: tuple[str, ...]) -> tuple[str, ...]:
    key = {column.name for column in table.primary_key.columns}
    return tuple(name for name in names if name not in key)


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
