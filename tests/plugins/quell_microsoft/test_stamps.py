"""Time stamps of all the forms that the products send."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell_microsoft.stamps import parse_stamp, write_stamp

MOMENT = datetime(2024, 3, 26, 13, 34, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2024-03-26T13:34:15Z", 0),
        ("2024-03-26T13:34:15.2Z", 200_000),
        ("2024-03-26T13:34:15.23Z", 230_000),
        ("2024-03-26T13:34:15.0433333Z", 43_333),
        ("2024-03-26T13:34:15.9999999Z", 999_999),
        ("2024-03-26T13:34:15", 0),
        ("2024-03-26 13:34:15.5+00:00", 500_000),
        ("2024-03-26T15:34:15.5+02:00", 500_000),
        ("2024-03-26T08:34:15-0500", 0),
    ],
)
def test_zero_to_seven_digits_and_any_zone_are_read_as_utc(text: str, micros: int) -> None:
    assert parse_stamp(text) == MOMENT.replace(microsecond=micros)


@pytest.mark.parametrize(
    "value",
    [None, 5, True, [], {}, "", "None", "yesterday", "2024-13-01T00:00:00Z", "2024-02-30T00:00:00Z",
     "2024-03-26T13:34:15+25:00", "0001-01-01T00:00:00+05:00", "٢٠٢٤-03-26T13:34:15Z"],
)  # fmt: skip
def test_what_is_no_stamp_is_none(value: object) -> None:
    assert parse_stamp(value) is None


@given(st.text())
def test_no_text_makes_reading_fail(text: str) -> None:
    found = parse_stamp(text)
    assert found is None or found.tzinfo is UTC


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_written_is_read_as_the_same_instant(moment: datetime) -> None:
    assert parse_stamp(write_stamp(moment)) == moment
