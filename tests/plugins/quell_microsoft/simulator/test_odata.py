"""The filter language: it never fails in a way of its own, and means what it says."""

from __future__ import annotations

import contextlib
import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell_microsoft.simulator.kql import QueryError, run
from quell_microsoft.simulator.odata import Kind, ODataError, matches
from quell_microsoft.simulator.odata_parser import parse_filter, parse_order

PROPERTIES = {
    "name": Kind.TEXT,
    "number": Kind.NUMBER,
    "moment": Kind.MOMENT,
    "properties/owner/email": Kind.TEXT,
    "tags": Kind.OTHER,
    "on": Kind.BOOL,
}
ROW = {
    "name": "It's Ünder",
    "number": 5,
    "moment": "2026-01-02T03:04:05.1234567Z",
    "properties": {"owner": {"email": "a@b.example"}},
    "tags": ["x", "y"],
    "on": True,
}
OPERATORS = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
words = st.sampled_from(
    [*OPERATORS, "and", "or", "not", "in", "(", ")", ",", "'x'", "5", "null", "true", "name", "tags",
     "moment", "number", "contains", "tags/any", ":", "2026-01-02T03:04:05Z", "'", "t", "😀"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=80), st.lists(words, max_size=14).map(" ".join)))
def test_any_text_is_either_a_filter_or_an_odata_error(text: str) -> None:
    # when
    with contextlib.suppress(ODataError):
        condition = parse_filter(text, PROPERTIES)

        # then
        assert matches(condition, ROW) in (True, False)
        assert matches(condition, {}) in (True, False)


@given(st.text(max_size=60))
def test_any_text_is_either_an_order_or_an_odata_error(text: str) -> None:
    # when
    with contextlib.suppress(ODataError):
        # then
        assert parse_order(text, PROPERTIES)


@given(st.text(max_size=60))
def test_any_text_is_either_a_query_or_a_query_error(text: str) -> None:
    # when
    with contextlib.suppress(QueryError):
        columns, rows = run(f"T | where A == 1 {text}", {"T": [{"A": 1}]})

        # then
        assert len(rows) <= 1
        assert isinstance(columns, list)


@given(st.sampled_from(sorted(OPERATORS)), st.integers(-99, 99), st.integers(-99, 99))
def test_comparing_numbers_means_what_python_means(name: str, left: int, right: int) -> None:
    # when
    condition = parse_filter(f"number {name} {right}", PROPERTIES)

    # then
    assert matches(condition, {"number": left}) == OPERATORS[name](left, right)


@given(st.text(max_size=40))
def test_a_quoted_text_finds_itself_whatever_is_in_it(text: str) -> None:
    # when
    quoted = text.replace("'", "''")
    condition = parse_filter(f"name eq '{quoted}'", PROPERTIES)

    # then
    assert matches(condition, {"name": text})
    assert not matches(condition, {"name": f"{text}!"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name eq 'it''s ünder'", True),
        ("contains(name,'S Ü')", True),
        ("startswith(name,'it') and endswith(name,'der')", True),
        ("moment ge 2026-01-02T03:04:05.1234567Z", True),
        ("moment gt 2026-01-02T03:04:05.1234567Z", False),
        ("moment gt 2026-01-02T03:04:05.1234566Z", True),
        ("moment lt 2026-01-02T05:04:05+01:00", True),
        ("moment ge 2026-01-02", True),
        ("properties/owner/email ne null", True),
        ("Properties/Owner/Email eq 'A@B.example'", True),
        ("tags/any(t: t eq 'y')", True),
        ("tags/any(t: t eq 'z') or number in (4, 5)", True),
        ("not (on eq false) and on eq true", True),
        ("not on eq true or name eq null", False),
        ("name eq 'a' or name ne 'a' and number gt 5", False),
    ],
)
def test_filters_mean_what_they_say(text: str, expected: bool) -> None:
    # when
    condition = parse_filter(text, PROPERTIES)

    # then
    assert matches(condition, ROW) is expected


@pytest.mark.parametrize(
    "text",
    [
        "", "name", "name eq", "name is 'x'", "unknown eq 1", "(name eq 'x'", "name eq 'x",
        "moment ge '2026-01-02'", "name eq 2026-01-02T00:00:00Z", "upper(name) eq 'X'",
        "name eq 'x' name eq 'y'", "moment ge 2026-13-45", "(" * 200 + "on eq true" + ")" * 200,
    ],
)  # fmt: skip
def test_what_is_no_filter_is_refused(text: str) -> None:
    # when
    with pytest.raises(ODataError):
        parse_filter(text, PROPERTIES)


def test_a_quote_in_a_query_ends_no_text_that_was_escaped() -> None:
    # given
    hostile: list[dict[str, Any]] = [{"A": 'x" | take 0'}, {"A": "y"}]

    # when
    _, rows = run('T | where A == "x\\" | take 0"', {"T": hostile})

    # then
    assert rows == [hostile[0]]
