"""Columns of our own tables in a workspace: their names, what fits into them, and what is cut.

https://learn.microsoft.com/azure/azure-monitor/logs/create-custom-table
https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from quell import ColumnType, EventTable
from quell_microsoft.lenient import number
from quell_microsoft.stamps import parse_stamp

__all__ = ["OVERFLOW", "STANDARD", "column_names", "cut", "fitted", "stream_columns"]

NAME_LIMIT = 45
#: names that a column may not have, in small letters; what we add ourselves is among them
RESERVED = frozenset(
    {"_resourceid", "id", "_subscriptionid", "tenantid", "type", "uniqueid", "title"}
    | {"sourcesystem", "timegenerated", "rowkey", "rowsource", "morecolumns", "cutcolumns"}
)
#: the service cuts a value at 64 KB and does not say how it counts: both ways are kept below
MOST_BYTES, MOST_UNITS = 60_000, 30_000

#: columns that every table of ours begins with
STANDARD: Mapping[str, ColumnType] = {
    "TimeGenerated": ColumnType.DATETIME,
    #: the same for the same row, however often it is sent
    "RowKey": ColumnType.STRING,
    #: tenant and source, as quell names them
    "RowSource": ColumnType.STRING,
    #: what the row has without a column, and what did not fit its column's type
    "MoreColumns": ColumnType.DYNAMIC,
    #: columns of which only the beginning is here; the rest is in the table of overflow
    "CutColumns": ColumnType.DYNAMIC,
}
#: where the parts of values go that are too long for one column
OVERFLOW = EventTable(
    name="Overflow",
    summary="Parts of values that are too long for one column.",
    columns={
        "OfTable": ColumnType.STRING,
        "OfRow": ColumnType.STRING,
        "OfColumn": ColumnType.STRING,
        "Part": ColumnType.INT,
        "Parts": ColumnType.INT,
        "Text": ColumnType.STRING,
    },
    time="TimeGenerated",
)


@lru_cache(maxsize=256)
def _names(columns: tuple[str, ...]) -> Mapping[str, str]:
    given: dict[str, str] = {}
    taken: set[str] = set()
    for column in columns:
        name = _allowed(column)
        if name.casefold() in taken:
            name = _shortened(name, column)
        taken.add(name.casefold())
        given[column] = name
    return given


def column_names(columns: Iterable[str]) -> Mapping[str, str]:
    """Give each column a name that a workspace allows; the same ones each time."""
    return _names(tuple(columns))


def _allowed(column: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_]", "_", column)
    if name.casefold() in RESERVED or not re.match(r"[A-Za-z]", name):
        bare = name.lstrip("_")
        name = f"Event{bare[:1].upper()}{bare[1:]}"
    return name if len(name) <= NAME_LIMIT else _shortened(name, column)


def _shortened(name: str, column: str) -> str:
    digest = hashlib.sha256(column.encode()).hexdigest()[:6]
    return f"{name[: NAME_LIMIT - 7]}_{digest}"


def stream_columns(table: EventTable) -> dict[str, ColumnType]:
    """List the columns of a table as the workspace has it."""
    names = column_names(table.columns)
    return {**STANDARD, **{names[column]: kind for column, kind in table.columns.items()}}


# -- values --------------------------------------------------------------------------------------


class Misfit(Exception):
    """A value that is not of its column's type."""


def fitted(kind: ColumnType, value: Any) -> Any:
    """Write a value as its column's type. Raises Misfit, and then nothing of it is lost."""
    return _FITTING[kind](value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        # half a pair is no character: the service would refuse all rows that are sent with it
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return msgspec.json.encode(value).decode()


def _whole(bits: int) -> Callable[[Any], int]:
    def fit(value: Any) -> int:
        found = int(value) if isinstance(value, float) and value.is_integer() else number(value)
        if found is None or not -(2 ** (bits - 1)) <= found < 2 ** (bits - 1):
            raise Misfit
        return found

    return fit


def _real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Misfit
    return float(value)


def _boolean(value: Any) -> bool:
    # advanced hunting writes truth as 1 and 0
    known = {"true": True, "1": True, "false": False, "0": False}
    found = known.get(str(value).casefold()) if isinstance(value, bool | int | str) else None
    if found is None:
        raise Misfit
    return found


def _moment(value: Any) -> str:
    if parse_stamp(value) is None:
        raise Misfit
    return str(value)


def _dynamic(value: Any) -> Any:
    """Give JSON that travels as text its shape back."""
    if not isinstance(value, str):
        return value
    if value.lstrip()[:1] in ("[", "{"):
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            pass
    return _text(value)


_FITTING: Mapping[ColumnType, Callable[[Any], Any]] = {
    ColumnType.STRING: _text,
    ColumnType.INT: _whole(32),
    ColumnType.LONG: _whole(64),
    ColumnType.REAL: _real,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.DATETIME: _moment,
    ColumnType.DYNAMIC: _dynamic,
}


def cut(text: str) -> list[str]:
    """Cut a text into parts that each fit into one column; one part where it does as it is."""
    if len(text.encode()) <= MOST_BYTES and len(text) <= MOST_UNITS // 2:
        return [text]
    parts: list[str] = []
    start = size = units = 0
    for at, char in enumerate(text):
        more, wide = len(char.encode()), 1 + (char > "\uffff")
        if size + more > MOST_BYTES or units + wide > MOST_UNITS:
            parts.append(text[start:at])
            start, size, units = at, 0, 0
        size, units = size + more, units + wide
    return [*parts, text[start:]]
