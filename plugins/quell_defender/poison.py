"""Reads a list of incidents or alerts on around a row that the product cannot give even alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from quell.errors import AnswerNotFound, BadAnswer, ConnectorError, ServerFailure
from quell_microsoft.changes import Batch
from quell_microsoft.lenient import text
from quell_microsoft.stamps import parse_stamp

__all__ = ["PoisonReader", "Rows"]

Row = Mapping[str, Any]
#: the product skips 500 rows at most
FARTHEST = 100
#: so many places in a row that do not even tell whose they are: that is an outage
OUTAGE = 2


class Places(Protocol):
    """Reads the row at a place of a list from a boundary on; None past its end."""

    def __call__(
        self, since: str, place: int, *, names_only: bool = False
    ) -> Awaitable[Row | None]:
        """Read it, or only what names it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """How one list is read row by row."""

    at: Places
    by_id: Callable[[str], Awaitable[Row]]
    #: gives the id that is put aside for a row that cannot be read
    aside: Callable[[Row], str | None]


class PoisonReader:
    """One walk, place by place, from a boundary to the first good row behind the bad ones."""

    def __init__(self, rows: Rows, boundary: str) -> None:
        self._rows = rows
        self._boundary = boundary
        #: the newest instant at which trouble was met
        self._trouble = parse_stamp(boundary)
        self._has_trouble = False
        self._good: list[Row] = []
        self._bad: dict[str, str] = {}
        self._nameless = 0

    async def read(self, failure: ConnectorError) -> Batch:
        """Read on. Raises the first failure where nothing is readable or the walk is stuck."""
        for place in range(FARTHEST):
            try:
                row = await self._rows.at(self._boundary, place)
            except (ServerFailure, BadAnswer) as cause:
                await self._poison(place, cause, failure)
                continue
            if row is None:
                return self._batch(is_last=True)
            self._nameless = 0
            self._good.append(row)
            if self._has_trouble and self._is_past(row):
                return self._batch(is_last=False)
        if self._good and self._is_past(self._good[-1]):
            return self._batch(is_last=False)
        raise failure

    def _batch(self, *, is_last: bool) -> Batch:
        stamps = [text(row.get("lastUpdateDateTime")) for row in self._good]
        return Batch(
            rows=tuple(self._good),
            boundary=(stamps[-1] if stamps else None) or self._boundary,
            is_last=is_last,
            poison=self._bad,
        )

    async def _poison(self, place: int, cause: ConnectorError, outage: ConnectorError) -> None:
        """Find out whose row it is and read it by its id; else put it on the list."""
        self._has_trouble = True
        name = await self._name(place)
        self._nameless = 0 if name else self._nameless + 1
        if self._nameless >= OUTAGE:
            raise outage
        row_id = text(name.get("id"))
        stamp = parse_stamp(name.get("lastUpdateDateTime"))
        if stamp is not None:
            self._trouble = max(stamp, self._trouble or stamp)
        row = await self._by_id(row_id) if row_id else None
        if row is not None:
            self._good.append(row)
        else:
            self._bad[self._rows.aside(name) or f"{self._boundary}+{place}"] = cause.message

    async def _name(self, place: int) -> Row:
        try:
            return await self._rows.at(self._boundary, place, names_only=True) or {}
        except (ServerFailure, BadAnswer):
            return {}

    async def _by_id(self, row_id: str) -> Row | None:
        try:
            return await self._rows.by_id(row_id)
        except (ServerFailure, BadAnswer, AnswerNotFound):
            return None

    def _is_past(self, row: Row) -> bool:
        """Tell whether the walk can go on from this row without meeting the bad ones again."""
        stamp = parse_stamp(row.get("lastUpdateDateTime"))
        return stamp is not None and (self._trouble is None or stamp > self._trouble)
