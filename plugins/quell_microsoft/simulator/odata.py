"""OData filters: what they are made of, and whether a row passes one."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from .state.clock import sortable


class Kind(StrEnum):
    """What a property holds, as far as comparisons care."""

    TEXT = "Edm.String"
    MOMENT = "Edm.DateTimeOffset"
    NUMBER = "Edm.Int32"
    BOOL = "Edm.Boolean"
    #: a list or an object, fit for `any` only
    OTHER = "Collection"


class ODataError(ValueError):
    """A filter or an order that cannot be read or does not fit the properties."""


@dataclass(frozen=True, slots=True)
class Moment:
    """An unquoted point in time."""

    text: str


Literal = str | float | int | bool | None | Moment


@dataclass(frozen=True, slots=True)
class Compare:
    path: str
    operator: str
    literal: Literal


@dataclass(frozen=True, slots=True)
class Among:
    path: str
    literals: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """`contains`, `startswith` or `endswith` of a property and a text."""

    function: str
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class AnyOf:
    path: str
    variable: str
    condition: Filter


@dataclass(frozen=True, slots=True)
class Not:
    inner: Filter


@dataclass(frozen=True, slots=True)
class Both:
    left: Filter
    right: Filter


@dataclass(frozen=True, slots=True)
class Either:
    left: Filter
    right: Filter


Filter = Compare | Among | Call | AnyOf | Not | Both | Either
Properties = Mapping[str, Kind]


def matches(condition: Filter, row: Mapping[str, Any]) -> bool:
    """Tell whether a row passes the filter; a property it lacks counts as null."""
    match condition:
        case Both(left, right):
            return matches(left, row) and matches(right, row)
        case Either(left, right):
            return matches(left, row) or matches(right, row)
        case Not(inner):
            return not matches(inner, row)
        case Compare(path, name, literal):
            return _compare(value_at(row, path), name, literal)
        case Among(path, literals):
            return any(_compare(value_at(row, path), "eq", literal) for literal in literals)
        case Call(function, path, wanted):
            return _call(function, value_at(row, path), wanted)
        case AnyOf(path, variable, inner):
            items = value_at(row, path)
            return any(matches(inner, {variable: item}) for item in as_list(items))


def value_at(row: Any, path: str) -> Any:
    """Follow a property path with `/`; None where it leads nowhere."""
    value = row
    for part in _parts(path):
        value = cast("dict[str, Any]", value).get(part) if isinstance(value, dict) else None
    return value


@functools.lru_cache(maxsize=1024)
def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.split("/"))


def as_list(value: Any) -> list[Any]:
    """Give the list, or an empty one for anything else."""
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def _compare(value: Any, name: str, literal: Literal) -> bool:
    if literal is None:
        return (value is None) == (name == "eq") if name in ("eq", "ne") else False
    if value is None:
        return name == "ne"
    left, right = _comparable(value, literal)
    if left is None:
        return name == "ne"
    return bool(_OPERATORS[name](left, right))


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def _comparable(value: Any, literal: Literal) -> tuple[Any, Any]:
    if isinstance(literal, Moment):
        return sortable(value), sortable(literal.text)
    if isinstance(literal, bool) or isinstance(value, bool):
        return (value, literal) if isinstance(value, type(literal)) else (None, None)
    if isinstance(literal, str):
        return (str(value).casefold(), literal.casefold()) if isinstance(value, str) else (None, 0)
    return (value, literal) if isinstance(value, int | float) else (None, None)


def _call(function: str, value: Any, wanted: str) -> bool:
    if not isinstance(value, str):
        return False
    text, part = value.casefold(), wanted.casefold()
    if function == "contains":
        return part in text
    return text.startswith(part) if function == "startswith" else text.endswith(part)
