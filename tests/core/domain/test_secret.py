"""Secrets: they can be used, and never seen."""

from __future__ import annotations

import json
import pickle
import traceback

import msgspec
import pytest

from quell.domain.secret import Secret, decode_secret, encode_secret

PLANTED = "planted-secret-7Qz"


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A section as plugins declare them."""

    key: Secret | None = None


def read(value: object) -> Section:
    return msgspec.convert({"key": value}, Section, dec_hook=decode_secret)


def test_a_secret_prints_as_its_mask_everywhere() -> None:
    # given
    section = read(PLANTED)

    # when
    written = json.dumps(msgspec.to_builtins(section, enc_hook=encode_secret))
    shown = f"{section} {section.key!r} {section.key!s} {section.key:>40} {written}"

    # then
    assert PLANTED not in shown
    assert section.key is not None
    assert section.key.reveal() == PLANTED


def test_a_secret_is_equal_to_the_same_secret_and_to_no_text() -> None:
    assert Secret("a") == Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert not Secret("")


def test_a_secret_of_the_wrong_type_is_reported_without_its_value() -> None:
    # when
    with pytest.raises(msgspec.ValidationError) as caught:
        read([PLANTED])

    # then
    assert "$.key" in str(caught.value)
    assert PLANTED not in "".join(traceback.format_exception(caught.value))


def test_a_secret_cannot_be_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(PLANTED))
