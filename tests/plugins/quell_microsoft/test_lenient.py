"""Reading JSON that may be anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.domain.incident import Severity
from quell_microsoft.lenient import first, items, mapping, member, number, text, texts

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_any_json_gives_a_value_of_the_promised_kind(value: Any) -> None:
    assert text(value) is None or isinstance(text(value), str)
    found = number(value)
    assert found is None or -(2**63) <= found < 2**63
    assert all(isinstance(one, str) for one in texts(value))
    assert isinstance(items(value), list)
    assert mapping(value) == {} or mapping(value) is value


@pytest.mark.parametrize(
    ("value", "expected"),
    [(7, 7), ("7", 7), ("0x1558", 0x1558), (" 12 ", 12), (True, None), ("7.5", None), (1.5, None),
     ("9" * 5000, None), (2**63, None), ("٣", None), ("0x", None)],
)  # fmt: skip
def test_whole_numbers_are_read_from_digits_and_hexadecimal(
    value: Any, expected: int | None
) -> None:
    assert number(value) == expected


def test_the_case_of_a_member_does_not_matter_and_an_unknown_one_is_the_default() -> None:
    assert member(Severity, "HIGH", Severity.UNKNOWN) is Severity.HIGH
    assert member(Severity, "catastrophic", Severity.UNKNOWN) is Severity.UNKNOWN
    assert member(Severity, None, Severity.UNKNOWN) is Severity.UNKNOWN


def test_an_old_name_is_used_where_the_new_one_is_missing_or_null() -> None:
    assert first({"createdTime": 1, "createdDateTime": None}, "createdDateTime", "createdTime") == 1
