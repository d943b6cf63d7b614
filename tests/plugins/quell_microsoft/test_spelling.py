"""Keys and words in other spellings: camelCase out of any, one name for each tactic."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell_microsoft.spelling import camel, spelled
from quell_microsoft.stamps import parse_moment
from quell_microsoft.tactics import read_tactics

KEYS = st.text(st.sampled_from("aBcD_9$@."), max_size=6)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("displayName", "displayName"),
        ("DisplayName", "displayName"),
        ("display_name", "displayName"),
        ("last_modified_time_utc", "lastModifiedTimeUtc"),
        ("UPNSuffix", "upnSuffix"),
        ("NTDomain", "ntDomain"),
        ("SHA256", "sha256"),
        ("URL", "url"),
        ("@odata.type", "@odata.type"),
        ("$id", "$id"),
        ("", ""),
    ],
)
def test_a_key_is_spelled_as_the_services_do(key: str, expected: str) -> None:
    assert camel(key) == expected


@given(JSON)
def test_spelling_never_fails_and_does_nothing_twice(value: Any) -> None:
    once = spelled(value)
    assert spelled(once) == once


def test_what_is_spelled_so_already_is_given_as_it_came() -> None:
    raw = {"displayName": "x", "additionalData": {"MdatpDeviceId": "y"}, "@odata.type": "z"}
    assert spelled(raw) is raw


def test_the_service_s_own_spelling_counts_where_both_are_there() -> None:
    assert spelled({"Title": "a", "title": "b"}) == {"title": "b"}
    assert spelled({"title": "b", "Title": "a"}) == {"title": "b"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["InitialAccess", "initial access", "Initial-Access", "TA0001"], {"initial_access"}),
        (["CommandAndControl", "T1566.002", "t1059"],
         {"command_and_control", "initial_access", "execution"}),
        (["Malware", "SuspiciousActivity", "T1078", "T10599", "", "TA9999"], set[str]()),
        (["PreAttack", "InhibitResponseFunction"], {"pre_attack", "inhibit_response_function"}),
    ],
)  # fmt: skip
def test_a_tactic_has_one_name_and_other_words_are_none(
    words: list[str], expected: set[str]
) -> None:
    assert read_tactics(words) == expected


@pytest.mark.parametrize("never", ["0001-01-01T00:00:00Z", "1601-01-01T00:00:00Z", "", None, 7])
def test_what_never_happened_has_no_moment(never: Any) -> None:
    assert parse_moment(never) is None
    assert parse_moment("2026-01-01T00:00:00Z") is not None
