"""Hunting queries: text from incidents stays inside its literal."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell_defender.hunting import kql_string

#: one whole literal of the language and nothing after it
LITERAL = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\["\\]|\\u[0-9a-f]{4})*"')


@pytest.mark.parametrize(
    "hostile",
    ['x" or 1 == 1 //', 'x\\" | take 9', "x\\", "a\nb", "'", "\u2028| project *", "\x00"],
)
def test_hostile_text_cannot_end_its_literal(hostile: str) -> None:
    assert LITERAL.fullmatch(kql_string(hostile))


@given(text=st.text())
def test_any_text_is_one_literal_that_means_the_text(text: str) -> None:
    # when
    literal = kql_string(text)

    # then
    assert LITERAL.fullmatch(literal)
    # its escapes are those of JSON, which reads them for us
    assert json.loads(literal) == text
