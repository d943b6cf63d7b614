"""Output: what attackers wrote is printed as plain characters, and JSON is whole."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime

import click
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quell.cli.invocation import Invocation
from quell.cli.output import cell, json_option, show, to_json
from quell.cli.text import clean, clean_lines

HOSTILE = {
    "\x1b[31mred\x1b[0m": "red",
    "\x1b]0;title\x07rest": "rest",
    "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\": "link",
    "\x9b2Jgone": "gone",
    "abc\rdef": "abc def",
    "a\x08\x08b": "ab",
    "in\u202evoice.exe": "invoice.exe",
    "\u2066a\u2069\u200f\u200b": "a",
    "line\u2028two": "line two",
    "[red]markup[/red]": "[red]markup[/red]",
    "\ud800lone": "lone",
    "Grüße, 東京 🚀": "Grüße, 東京 🚀",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_what_moves_a_cursor_or_turns_text_round_is_removed(text: str) -> None:
    assert clean(text) == HOSTILE[text]


@settings(deadline=None)
@given(st.text())
@example("\x1b\x1b[31m[0m")
@example("\x1b]\x1b[2J")
def test_nothing_but_printable_characters_is_left(text: str) -> None:
    cleaned = clean(text)

    assert not {unicodedata.category(char) for char in cleaned} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert clean(cleaned) == cleaned


def test_lines_are_kept_where_several_are_meant() -> None:
    assert clean_lines("a\x1b[1m\nb\r") == "a\nb "


def test_json_is_ascii_and_loses_nothing() -> None:
    value = {"title": "a\u202eb\x9b é", "at": datetime(2026, 1, 2, tzinfo=UTC), "many": (1, None)}

    text = to_json(value)

    assert text.isascii()
    assert json.loads(text) == {
        "title": "a\u202eb\x9b é",
        "at": "2026-01-02T00:00:00Z",
        "many": [1, None],
    }


def test_a_cell_is_one_short_line() -> None:
    assert cell(["a\nb", True, None]) == "a b, yes, "
    assert cell(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02 03:04:05Z"
    assert len(cell("x" * 1000)) == 120


@click.command()
@json_option
def listing() -> None:
    """List."""
    show([{"title": "[b]\x1b[31m" + "x" * 90, "n": 1, "more": 2}], ("title", "n"))


def test_a_table_is_not_cut_in_a_pipe_and_markup_is_no_markup() -> None:
    shown = CliRunner().invoke(listing, obj=Invocation())

    assert "[b]" + "x" * 90 in shown.output
    assert "\x1b" not in shown.output
    assert "more" not in shown.output


def test_json_shows_all_fields() -> None:
    shown = CliRunner().invoke(listing, ["--json"], obj=Invocation())

    assert set(json.loads(shown.output)[0]) == {"title", "n", "more"}
