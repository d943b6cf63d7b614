"""Parts of statements that are built once, when a module is loaded: values come with each execution.

Building a statement anew takes many times what the database needs to run it. What runs often is
therefore a constant of its module, made with `same` and `among`, and run with `its(…)`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeVar

import sqlalchemy as sa

__all__ = ["among", "its", "listed", "same"]

StateT = TypeVar("StateT", bound=StrEnum)

#: keeps the values that find a row apart from those that a statement sets
MARK = "its_"


def same(*columns: sa.Column[Any]) -> sa.ColumnElement[bool]:
    """Say that each column has the value that `its` gives under the column's name."""
    return sa.and_(*(one == sa.bindparam(MARK + one.name) for one in columns))


def listed(column: sa.Column[Any]) -> sa.ColumnElement[bool]:
    """Say that a column has one of the values that `its` gives as a list under its name."""
    return column.in_(sa.bindparam(MARK + column.name, expanding=True))


def among(column: sa.Column[Any], values: Iterable[StateT]) -> sa.ColumnElement[bool]:
    """Say that a column has one of these values, which never change."""
    # single values: a list would be spelled out again at each execution
    return column.in_([sa.literal(one.value) for one in values])


def its(**values: Any) -> dict[str, Any]:
    """Name the values that find a row."""
    return {MARK + name: value for name, value in values.items()}
