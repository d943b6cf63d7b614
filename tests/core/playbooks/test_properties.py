"""What holds for every text: only PlaybookError comes out, and its places are in the file."""

from __future__ import annotations

import json
import re

from hypothesis import example, given
from hypothesis import strategies as st

from quell.errors import PlaybookError
from quell.playbooks import Catalogue, decode_playbook, load_playbook
from quell.playbooks.syntax import parse, walk
from quell.playbooks.tokens import ExpressionMistake

WHOLE = """\
quell: 1
playbook: p
trigger: {incident: created}
when: incident.severity >= severity.medium && size(incident.users) > 0
select: {bad: "incident.users.filter(u, role.compromised in u.roles)"}
steps:
  - {id: look, do: user.get, to: select.bad}
  - {id: off, do: user.disable, to: "look.ok.filter(u, u.kind == user_kind.person)", ask: {}}
  - id: each
    for_each: off.denied
    as: user
    steps:
      - {id: say, do: incident.comment, with: {text: "{{ names([user]) }} {{ user.reason }}"}}
"""
PLACE = re.compile(r"p:(\d+):(\d+): .+", re.S)
#: words that take a mutation past the first check
WORDS = (
    "quell: ", "steps:", "{{", "}}", "- ", "[", "]", "{", "}", "'", '"', ": ", "\n", "  ", "|", ">-",
    "&a", "*a", "!!str", "#", "incident.", "severity.", "&&", "||", "== ", "in ", "(", ")", "null",
    "for_each: ", "after: ", "all.settled", "\t", "\r", "\x00", "\u2028", "é", "-1", "1e999", "0x", "?",
)  # fmt: skip


def problems_of(text: str, catalogue: Catalogue) -> tuple[str, ...]:
    """Load a text and give its problems; nothing but PlaybookError may come out."""
    try:
        load_playbook(text, name="p", catalogue=catalogue)
    except PlaybookError as error:
        return error.problems or ("a refusal without a reason",)
    return ()


def check_places(text: str, catalogue: Catalogue) -> None:
    """Load a text: it loads, or every problem has a place that is in the file."""
    problems = problems_of(text, catalogue)
    lines = re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff"))
    for problem in problems:
        found = PLACE.fullmatch(problem)
        assert found, problem
        line, column = int(found[1]), int(found[2])
        assert 1 <= line <= len(lines), problem
        assert 1 <= column <= len(lines[line - 1]) + 1, problem


@given(text=st.text(max_size=300))
@example(text="[" * 5000)
@example(text="{a: " * 300)
@example(text="quell: " + "9" * 5000)
@example(text='"\\')
@example(text="%YAML 1.2\n---\nquell: 1")
@example(text="\ufeff\ufeffquell: 1")
def test_any_text_loads_or_is_told_where_it_is_wrong(catalogue: Catalogue, text: str) -> None:
    check_places(text, catalogue)


@given(data=st.data())
def test_any_mutation_of_a_playbook_loads_or_is_told_where_it_is_wrong(
    catalogue: Catalogue, data: st.DataObject
) -> None:
    # given
    text = WHOLE
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.sampled_from(WORDS) | st.text(max_size=3)) + text[end:]

    # when / then
    check_places(text, catalogue)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda part: (
        st.lists(part, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["id", "do", "to", "with", "steps", "after", "ask", "x", "for_each", "as"]
            ),
            part,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(
    value=JSON,
    key=st.sampled_from(["quell", "playbook", "trigger", "when", "select", "steps", "title", "y"]),
)
def test_any_data_under_any_key_loads_or_is_told_where_it_is_wrong(
    catalogue: Catalogue, value: object, key: str
) -> None:
    # given
    lines = [line for line in WHOLE.splitlines() if not line.startswith(f"{key}:")]
    if key == "steps":
        lines = lines[:5]
    text = "\n".join([*lines, f"{key}: {json.dumps(value)}"])

    # when / then
    check_places(text, catalogue)


@given(raw=st.binary(max_size=200))
def test_any_bytes_decode_or_are_told_where_they_are_wrong(raw: bytes) -> None:
    # when
    text, problems = "", [""]
    try:
        text = decode_playbook(raw, name="p")
    except PlaybookError as error:
        problems = list(error.problems)

    # then
    assert text.encode() == raw or PLACE.fullmatch(problems[0])


EXPRESSION_WORDS = (
    "a", "b.c", "(", ")", "[", "]", "{", "}", "?", ":", ",", ".", "!", "-", "+", "*", "/", "%", "&&",
    "||", "==", "!=", "<", ">=", "in", "true", "null", "1", "2.5", "0x1f", "'t'", '"\\n"', "r'\\d'",
    " ", "f(", ".map(x, ", "//", "\\",
)  # fmt: skip


@given(words=st.lists(st.sampled_from(EXPRESSION_WORDS) | st.text(max_size=2), max_size=40))
@example(words=["("] * 5000)
@example(words=["!"] * 5000)
@example(words=["a+"] * 400 + ["a"])
@example(words=["[a,"] * 400)
@example(words=["a?b:"] * 400)
@example(words=["a", ".b"] * 400)
def test_the_parser_gives_a_tree_within_the_text_or_a_mistake_within_it(words: list[str]) -> None:
    # given
    text = "".join(words)

    # when
    spans: list[tuple[int, int]]
    try:
        spans = [(node.start, node.end) for node in walk(parse(text))]
    except ExpressionMistake as mistake:
        spans = [(mistake.offset, mistake.offset + 1)]

    # then
    assert all(0 <= start < end <= len(text) + 1 for start, end in spans)
