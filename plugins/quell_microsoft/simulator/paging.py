"""Pages of a list: filter, order, count, skip, and links that do not lose rows that move."""

from __future__ import annotations

import base64
import heapq
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from .odata import Kind, ODataError, Properties, matches, value_at
from .odata_parser import parse_filter, parse_order
from .state.clock import sortable
from .wire import Json, Refusal

Order = tuple[tuple[str, bool], ...]
#: a row and the values that place it in an order
Placed = tuple[list[Any], Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """The habits of one list."""

    type_name: str
    properties: Properties
    default_order: Order
    default_top: int
    max_top: int
    #: what distinguishes rows that compare equal
    key: str = "id"
    max_skip: int | None = None
    #: clamp a `$top` that is too large instead of refusing it
    clamps: bool = False
    token_name: str = "$skiptoken"  # noqa: S105 - the name of a query option
    #: names allowed in `$orderby` beyond those that can be filtered
    sortable: Properties | None = None
    #: a page has no more rows than that, whatever was asked for
    cap: int | None = None

    def capped(self, rows: int) -> Paging:
        """Give the same list with shorter pages."""
        return replace(self, cap=rows)


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, how many there are in all, and where the next page starts."""

    rows: list[Json]
    total: int
    token: str | None


def top_too_large(limit: int, asked: int) -> Refusal:
    """Refuse a page size in the recorded words; the code is empty in the recording too."""
    text = (
        "The query specified in the URI is not valid. The limit of "
        f"'{limit}' for Top query has been exceeded. The value from the incoming request is "
        f"'{asked}'."
    )
    return Refusal(400, "", text)


def cut_page(rows: Sequence[Json], query: Mapping[str, str], paging: Paging) -> Page:
    """Apply the query options to the rows of a list; raises Refusal for bad options."""
    try:
        kept = _filtered(rows, query, paging)
        order = _order(query, paging)
    except ODataError as error:
        raise Refusal(400, "BadRequest", f"Invalid filter clause: {error}") from error
    placed = [(_position(row, order, paging), row) for row in kept]
    rest = _after_token(placed, query, paging, order)
    skip, top = _skip(query, paging), _top(query, paging)
    first = _first(rest, order, skip + top)[skip:]
    page = first[:top]
    more = len(rest) - skip > top > 0
    token = _token(page[-1][0]) if more else None
    return Page([row for _, row in page], len(kept), token)


def next_link(base: str, path: str, query: Mapping[str, str], paging: Paging, token: str) -> str:
    """Write the absolute address of the next page; `$skip` is spent on the first one."""
    options = {
        name: value
        for name, value in query.items()
        if name.casefold() not in ("$skip", paging.token_name.casefold())
    }
    options[paging.token_name] = token
    return f"{base}{quote(path)}?{urlencode(options, safe='$:', quote_via=quote)}"


def select(row: Json, query: Mapping[str, str], properties: frozenset[str] | None = None) -> Json:
    """Cut a row down to `$select`; raises Refusal for a property that does not exist."""
    wanted = [name.strip() for name in query.get("$select", "").split(",") if name.strip()]
    if not wanted:
        return row
    lowered = {name.casefold(): name for name in (properties or frozenset(row)) | frozenset(row)}
    missing = [name for name in wanted if name.casefold() not in lowered]
    if missing and properties is not None:
        text = f"Could not find a property named '{missing[0]}'."
        raise Refusal(400, "BadRequest", f"Parsing OData Select and Expand failed: {text}")
    names = [lowered[name.casefold()] for name in wanted if name.casefold() in lowered]
    return {name: row.get(name) for name in names}


def _filtered(rows: Sequence[Json], query: Mapping[str, str], paging: Paging) -> list[Json]:
    text = query.get("$filter")
    if text is None:
        return list(rows)
    condition = parse_filter(text, paging.properties, paging.type_name)
    return [row for row in rows if matches(condition, row)]


def _order(query: Mapping[str, str], paging: Paging) -> Order:
    text = query.get("$orderby")
    if text is None:
        return paging.default_order
    return parse_order(text, {**paging.properties, **(paging.sortable or {})})


def _sort_value(row: Json, path: str, paging: Paging) -> list[Any]:
    """Give a value that compares with its like and survives JSON; null comes first."""
    value = value_at(row, path)
    kind = paging.properties.get(path) or (paging.sortable or {}).get(path)
    if kind is Kind.MOMENT:
        moment = sortable(value)
        return [0, ""] if moment is None else [1, "".join(moment)]
    if isinstance(value, bool | int | float):
        return [1, value]
    return [2, value.casefold()] if isinstance(value, str) else [0, ""]


def _position(row: Json, order: Order, paging: Paging) -> list[Any]:
    key = str(row.get(paging.key, ""))
    return [*(_sort_value(row, path, paging) for path, _ in order), [len(key), key]]


def _first(placed: list[Placed], order: Order, count: int) -> list[Placed]:
    """Give the first rows in order: a queue has many pages, and none needs all of it sorted."""
    directions = set(_directions(order))
    if len(directions) == 1:
        pick = heapq.nlargest if directions == {True} else heapq.nsmallest
        return pick(count, placed, key=_place)
    return _sorted(placed, order)[:count]


def _place(item: Placed) -> list[Any]:
    return item[0]


def _sorted(placed: list[Placed], order: Order) -> list[Placed]:
    """Sort by the last key first: each pass keeps the order of the one before."""
    for index, descending in reversed(list(enumerate(_directions(order)))):
        placed = sorted(placed, key=lambda item: item[0][index], reverse=descending)
    return placed


def _directions(order: Order) -> list[bool]:
    """Tell which keys descend; the tie-break follows the last one, as a clustered index would."""
    return [*(descending for _, descending in order), order[-1][1] if order else False]


def _is_after(position: list[Any], start: list[Any], order: Order) -> bool:
    for mine, other, descending in zip(position, start, _directions(order), strict=True):
        if mine != other:
            return bool(mine < other) == descending
    return False


def _token(position: list[Any]) -> str:
    raw = json.dumps(position).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _after_token(
    placed: list[Placed], query: Mapping[str, str], paging: Paging, order: Order
) -> list[Placed]:
    wanted = paging.token_name.casefold()
    token = next((text for name, text in query.items() if name.casefold() == wanted), None)
    if token is None:
        return placed
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        start: list[Any] = json.loads(raw)
        return [item for item in placed if _is_after(item[0], start, order)]
    except (ValueError, TypeError) as error:
        raise Refusal(400, "BadRequest", "The skip token is not valid.") from error


def _skip(query: Mapping[str, str], paging: Paging) -> int:
    asked = _number(query, "$skip", 0)
    if paging.max_skip is not None and asked > paging.max_skip:
        text = (
            "The query specified in the URI is not valid. The limit of "
            f"'{paging.max_skip}' for Skip query has been exceeded. The value from the incoming "
            f"request is '{asked}'."
        )
        raise Refusal(400, "", text)
    return asked


def _top(query: Mapping[str, str], paging: Paging) -> int:
    asked = _number(query, "$top", paging.default_top)
    if asked > paging.max_top and not paging.clamps:
        raise top_too_large(paging.max_top, asked)
    return min(asked, paging.max_top, paging.max_top if paging.cap is None else paging.cap)


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        message = f"Invalid value '{text}' for {name} query option found."
        raise Refusal(400, "BadRequest", f"{message} The value must be a non-negative integer.")
    return int(text)
