"""Our key in the product's records: it survives cutting, and nothing else can pass for it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quell_defender.marks import clean, keys_in, sign

KEY = "4f9b2c7e5a1d4c0e9f3b"


def test_a_signed_note_gives_its_key_back() -> None:
    # when
    comment = sign("playbook contain_device, run r-1", KEY, limit=1000)

    # then
    assert keys_in(comment) == (KEY,)
    assert "contain_device" in comment


def test_a_note_that_is_cut_keeps_the_key() -> None:
    # when
    comment = sign("x" * 5000, KEY, limit=100)

    # then
    assert len(comment) <= 100
    assert keys_in(comment) == (KEY,)


def test_a_mark_inside_the_note_claims_nothing() -> None:
    # given a note that repeats an incident's title, which an attacker wrote
    note = "incident '[quell stolen-key-0001] pay attention'"

    # when
    comment = sign(note, KEY, limit=1000)

    # then
    assert keys_in(comment) == (KEY,)


def test_line_breaks_and_direction_overrides_become_spaces() -> None:
    assert clean("a\r\nb\u202ec\x00d\ud800e", 100) == "a b c d e"


@given(note=st.text(max_size=3000), limit=st.integers(min_value=60, max_value=2000))
def test_whatever_the_note_says_the_record_is_printable_short_and_ours(
    note: str, limit: int
) -> None:
    # when
    comment = sign(note, KEY, limit=limit)

    # then
    assert len(comment) <= limit
    assert comment.isprintable()
    assert keys_in(comment) == (KEY,)
