"""How the journal's tables are declared: keys, columns, and columns held to an enum."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from quell.journal.columns import PlainText

__all__ = ["key", "may", "metadata", "need", "one_of", "table"]

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def key(name: str, type_: Any = PlainText) -> sa.Column[Any]:
    """Declare a column of the primary key."""
    return sa.Column(name, type_, primary_key=True, nullable=False)


def need(name: str, type_: Any = PlainText, **options: Any) -> sa.Column[Any]:
    """Declare a column that is always filled."""
    return sa.Column(name, type_, nullable=False, **options)


def may(name: str, type_: Any = PlainText, **options: Any) -> sa.Column[Any]:
    """Declare a column that may be empty."""
    return sa.Column(name, type_, nullable=True, **options)


def one_of(column: str, values: Iterable[StrEnum]) -> sa.CheckConstraint:
    """Hold a column to the members of an enum."""
    listed = ", ".join(f"'{value.value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def table(name: str, *parts: sa.schema.SchemaItem) -> sa.Table:
    """Declare a table whose key begins with the tenant."""
    return sa.Table(name, metadata, key("tenant_id"), *parts)
