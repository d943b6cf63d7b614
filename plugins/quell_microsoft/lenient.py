"""Reads parts of JSON that may be anything: a wrong shape gives the empty value, never an error.

What an incident says was partly written by an attacker and partly by a product version that we
have not seen. The raw JSON is kept elsewhere; these functions only take out what is understood.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar, cast

__all__ = ["first", "fold", "items", "mapping", "member", "number", "text", "texts"]

_EnumT = TypeVar("_EnumT", bound=StrEnum)
_INT64 = 2**63


def text(value: Any) -> str | None:
    """Give a non-empty text; a number as its digits."""
    if isinstance(value, str):
        return value or None
    return str(value) if _is_int(value) else None


def number(value: Any) -> int | None:
    """Give a whole number of at most 64 bits, also from digits or from `0x…`."""
    if isinstance(value, str):
        value = _from_digits(value.strip())
    return value if _is_int(value) and -_INT64 <= value < _INT64 else None


def _from_digits(value: str) -> int | None:
    # the length bound keeps a long run of digits from being converted at all
    if re.fullmatch(r"-?[0-9]{1,19}", value):
        return int(value)
    return int(value, 16) if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", value) else None


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def mapping(value: Any) -> Mapping[str, Any]:
    """Give an object, or an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """Give an array's items, or none."""
    # mypy has a list of Any here, pyright one of Unknown; no cast pleases both
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def texts(value: Any) -> tuple[str, ...]:
    """Give the texts of an array, and leave out what is none."""
    return tuple(item for item in map(text, items(value)) if item is not None)


def first(source: Mapping[str, Any], *names: str) -> Any:
    """Give the first of these properties that is there and not null."""
    return next((source[name] for name in names if source.get(name) is not None), None)


def fold(value: str) -> str:
    """Reduce an enum member's spelling to letters and digits in lower case."""
    return re.sub(r"[^a-z0-9]", "", value.lower())


def member(kind: type[_EnumT], value: Any, default: _EnumT) -> _EnumT:
    """Find the member that is spelled so, whatever its case; the default for what is not known."""
    wanted = fold(value) if isinstance(value, str) else ""
    return next((one for one in kind if fold(one.value) == wanted), default)
