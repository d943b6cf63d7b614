"""Reads rows of the products' typed lists: what is missing or of another type is an empty value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from quell_microsoft.lenient import first, items, mapping, text
from quell_microsoft.stamps import parse_stamp

__all__ = ["LONG_AGO", "Record", "flag", "moment", "rows", "word"]

#: one JSON object of a product, as it came
Record = Mapping[str, Any]
#: what an unreadable stamp sorts as
LONG_AGO = datetime.min.replace(tzinfo=UTC)


def word(record: Record, *names: str) -> str:
    """Read the first of these fields that is there; empty when none holds text."""
    return text(first(record, *names)) or ""


def flag(record: Record, name: str) -> bool | None:
    """Read a boolean; None when the product does not say."""
    value = record.get(name)
    return value if isinstance(value, bool) else None


def moment(record: Record, *names: str) -> datetime:
    """Read the first of these stamps that is there, to compare it with others."""
    return parse_stamp(first(record, *names)) or LONG_AGO


def rows(body: Any, name: str = "value") -> tuple[Record, ...]:
    """Read a list of objects; what is not an object is left out."""
    return tuple(mapping(item) for item in items(mapping(body).get(name)) if mapping(item))
