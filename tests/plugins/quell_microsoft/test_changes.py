"""Walking a list by the time of change while it changes: nothing is lost, and it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from quell.errors import BadAnswer, ServerFailure, Unreachable
from quell_microsoft.changes import Batch, Cursor, Walk
from quell_microsoft.stamps import parse_stamp

Row = Mapping[str, Any]
START = "2026-01-05T09:00:00.000000Z"
OVERLAP = timedelta(minutes=10)


def row(name: str, second: int, digits: str = "") -> dict[str, str]:
    return {"id": name, "at": f"2026-01-05T09:00:{second:02}{digits}Z"}


class Shelf:
    """A list as a product serves it: ordered by change, page links by number of rows to skip."""

    def __init__(self, rows: list[dict[str, str]], *, is_ordered: bool = True) -> None:
        self.rows = rows
        self.is_ordered = is_ordered
        self.asked: list[tuple[str, int]] = []
        #: what happens to the list after each page that was given
        self.after_page: list[dict[str, str]] = []
        #: pages of more than so many rows fail
        self.largest = 1_000
        self.failure: Exception | None = None

    async def pages(self, since: str, top: int) -> AsyncGenerator[Row, None]:
        self.asked.append((since, top))
        skip = 0
        while True:
            if top > self.largest:
                raise ServerFailure(endpoint="GET /list", status=500)
            if self.failure is not None:
                raise self.failure
            rows = self.matching(since)
            page = {"value": rows[skip : skip + top]}
            if len(rows) > skip + top:
                page["@odata.nextLink"] = "https://example.invalid"  # type: ignore[assignment]
            self.change()
            yield page
            if "@odata.nextLink" not in page:
                return
            skip += top

    def matching(self, since: str) -> list[dict[str, str]]:
        boundary = parse_stamp(since)
        assert boundary is not None
        found = [one for one in self.rows if (parse_stamp(one["at"]) or boundary) >= boundary]
        return sorted(found, key=lambda one: one["at"], reverse=not self.is_ordered)

    def change(self) -> None:
        """Let the next change happen: a row gets a new stamp and so a new place."""
        if self.after_page:
            change = self.after_page.pop(0)
            self.rows = [one for one in self.rows if one["id"] != change["id"]] + [change]

    def walk(self, page_size: int = 2) -> Walk:
        return Walk(pages=self.pages, stamp_of=lambda one: one["at"], page_size=page_size)


async def read(walk: Walk) -> list[Batch]:
    return [batch async for batch in walk.batches(START)]


def names(batches: list[Batch]) -> list[str]:
    return [one["id"] for batch in batches for one in batch.rows]


@pytest.mark.anyio
async def test_a_row_that_changes_while_the_list_is_read_pushes_no_other_out_of_sight() -> None:
    # given: a list of two pages, whose first row moves to the end once the first page is out
    shelf = Shelf([row("a", 1), row("b", 2), row("c", 3), row("d", 4)])
    shelf.after_page = [row("a", 9)]
    # when
    batches = await read(shelf.walk())
    # then: with links alone, `c` would have moved into the page that was given already
    assert set(names(batches)) == {"a", "b", "c", "d"}
    assert batches[-1].is_last
    assert batches[-1].boundary == row("a", 9)["at"]


@pytest.mark.anyio
async def test_more_rows_of_one_instant_than_a_page_holds_are_all_read() -> None:
    shelf = Shelf([row(name, 1) for name in "abcde"] + [row("f", 2)])
    batches = await read(shelf.walk())
    assert set(names(batches)) == set("abcdef")


@pytest.mark.anyio
async def test_a_list_that_is_not_in_the_order_asked_for_is_read_to_its_end_first() -> None:
    # given
    shelf = Shelf([row(name, at) for at, name in enumerate("abcdef", 1)], is_ordered=False)
    # when
    batches = await read(shelf.walk())
    # then: one batch, in order, and the boundary is the newest row's
    assert [names([batch]) for batch in batches] == [list("abcdef")]
    assert batches[0].boundary == row("f", 6)["at"]


@pytest.mark.anyio
async def test_rows_of_one_instant_are_no_proof_that_the_order_is_kept() -> None:
    # given: newest first, so that the first page could be taken for the oldest changes
    older = [row(name, at) for at, name in enumerate("abc", 1)]
    shelf = Shelf([*older, *(row(name, 9) for name in "wxyz")], is_ordered=False)
    # when
    batches = await read(shelf.walk(4))
    # then
    assert set(names(batches)) == set("abcwxyz")
    assert batches[-1].boundary == row("z", 9)["at"]


@pytest.mark.anyio
async def test_a_few_rows_that_are_in_order_by_chance_are_no_proof_either() -> None:
    # given: seven rows that happen to be in order come before what is older
    shelf = Shelf([row(name, at) for at, name in enumerate("abcdefghij", 1)])

    async def pages(since: str, top: int) -> AsyncGenerator[Row, None]:
        rows = shelf.matching(since)
        yield {"value": rows[-7:], "nextLink": "https://example.invalid"}
        yield {"value": rows[:-7]}

    walk = Walk(pages=pages, stamp_of=lambda one: one["at"], page_size=50)
    # when
    batches = await read(walk)
    # then
    assert names(batches) == list("abcdefghij")


@pytest.mark.anyio
async def test_a_page_that_fails_is_asked_for_again_in_a_smaller_size() -> None:
    shelf = Shelf([row(name, at) for at, name in enumerate("abcdef", 1)])
    shelf.largest = 10
    batches = await read(shelf.walk(50))
    assert set(names(batches)) == set("abcdef")
    assert [top for _, top in shelf.asked][:2] == [50, 10]


@pytest.mark.anyio
async def test_a_size_that_worked_is_tried_next_and_grows_again() -> None:
    shelf = Shelf([row(name, at) for at, name in enumerate("abcdefghijklmnopqrst", 1)])
    shelf.largest = 2
    await read(shelf.walk(2 * 25))
    sizes = [top for _, top in shelf.asked]
    assert sizes[:3] == [50, 10, 2]
    # never again the whole way down
    assert set(sizes[3:]) == {10, 2}


@pytest.mark.anyio
async def test_pages_that_lead_back_to_themselves_are_no_end_of_the_list() -> None:
    # given: one instant, and a first page that names a next one which never comes
    shelf = Shelf([row(name, 1) for name in "abc"])

    async def pages(since: str, top: int) -> AsyncGenerator[Row, None]:
        yield {"value": shelf.matching(since)[:top], "nextLink": "https://example.invalid"}

    # then
    with pytest.raises(BadAnswer):
        await read(Walk(pages=pages, stamp_of=lambda one: one["at"], page_size=2))


@pytest.mark.anyio
async def test_a_partial_answer_is_passed_on_and_never_taken_for_a_page_that_is_too_large() -> None:
    shelf = Shelf([row("a", 1)])
    shelf.failure = BadAnswer(endpoint="GET /list", status=206)
    with pytest.raises(BadAnswer):
        await read(shelf.walk(50))
    assert len(shelf.asked) == 1


@pytest.mark.anyio
async def test_no_answer_at_all_is_passed_on_at_once() -> None:
    shelf = Shelf([row("a", 1)])
    shelf.failure = Unreachable(endpoint="GET /list")
    with pytest.raises(Unreachable):
        await read(shelf.walk(50))
    assert len(shelf.asked) == 1


@pytest.mark.parametrize(
    "text",
    [None, "", "nonsense", "{}", "[]", '{"since":"never"}', '{"since":"2026-01-01","version":2}',
     '{"since":"2026-01-05T09:00:00Z","version":2}', "\ud800"],
)  # fmt: skip
def test_a_cursor_that_cannot_be_used_begins_the_window_again(text: str | None) -> None:
    window = datetime(2026, 1, 1, tzinfo=UTC)
    assert Cursor.load(text, window) == Cursor(since="2026-01-01T00:00:00.000000Z")


def test_the_oldest_stamp_there_is_does_not_overflow() -> None:
    cursor = Cursor(since="0001-01-01T00:00:00Z")
    assert cursor.start(OVERLAP) == "0001-01-01T00:00:00.000000Z"
