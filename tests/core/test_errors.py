"""The error tree: drawn as it is, advising, and able to travel between processes."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator

import pytest

from quell import errors
from quell.errors import ConnectorError, QuellError

#: constructor fields for the classes that need some
FIELDS: dict[str, dict[str, object]] = {
    "SettingsError": {"name": "a.b", "problem": "is missing"},
    "PluginError": {"plugin": "p", "distribution": "d 1.0", "problem": "raised"},
    "PlaybookError": {"problems": ["a.yml:1:2: unknown key"]},
    "NotFoundError": {"what": "run", "name": "x"},
    "StateError": {"what": "Approval 1", "problem": "has expired", "remedy": "Ask again."},
    "JournalError": {"message": "refused", "remedy": "Look."},
    "JournalUnavailable": {"where": "sqlite:///x", "problem": "is locked"},
    "JournalVersionError": {"where": "sqlite:///x", "found": "0009", "known": "0001"},
    "FenceLost": {"run_id": "r1"},
    "Throttled": {"endpoint": "GET /x", "retry_after": 1.5},
    "ExpressionError": {"playbook": "hello", "where": "a.yml:1:2", "problem": "divides by zero"},
}
CONNECTOR_FIELDS: dict[str, object] = {
    "endpoint": "GET /x",
    "status": 400,
    "vendor_code": "BadThing",
    "request_id": "id",
    "problem": "refused",
    "remedy": "Do this.",
}


def families(kind: type[QuellError]) -> Iterator[type[QuellError]]:
    for child in kind.__subclasses__():
        if child.__module__ == "quell.errors":
            yield child
            yield from families(child)


CLASSES = sorted(set(families(QuellError)), key=lambda kind: kind.__name__)


def make(kind: type[QuellError]) -> QuellError:
    default = CONNECTOR_FIELDS if issubclass(kind, ConnectorError) else {}
    fields = FIELDS.get(kind.__name__, default)
    return kind(**fields)  # type: ignore[arg-type] # the table above holds what each class takes


def drawn() -> dict[str, tuple[str, str]]:
    """Read the drawing: class to (parent, code)."""
    found: dict[str, tuple[str, str]] = {}
    stack: list[tuple[int, str]] = [(-1, "QuellError")]
    for line in (errors.__doc__ or "").splitlines():
        branch = re.match(r"^ {4}(?P<indent>[│ ]*)[├└]── (?P<name>\w+)(?: +(?P<code>\w+))?", line)
        if branch is None:
            continue
        depth = len(branch["indent"])
        while stack[-1][0] >= depth:
            stack.pop()
        found[branch["name"]] = (stack[-1][1], branch["code"] or "")
        stack.append((depth, branch["name"]))
    return found


def test_the_drawing_shows_the_tree_as_it_is() -> None:
    tree = {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES}

    assert {name: parent for name, (parent, _) in drawn().items()} == tree


def test_the_drawing_names_the_code_of_each_error_that_is_raised() -> None:
    codes = {kind.__name__: kind.code for kind in CLASSES}

    shown = {name: code for name, (_, code) in drawn().items() if code}

    assert shown == {name: codes[name] for name in shown}
    assert set(codes) - set(shown) == {"JournalError", "ConnectorError"}


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.code for kind in CLASSES]

    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling(kind: type[QuellError]) -> None:
    error = make(kind)

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert (str(copy), copy.remedy, copy.fields) == (str(error), error.remedy, error.fields)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_says_what_is_wrong_and_what_to_do(kind: type[QuellError]) -> None:
    error = make(kind)

    assert str(error).strip()
    assert error.remedy.strip()


def test_every_error_is_exported() -> None:
    assert set(errors.__all__) == {"QuellError", *(kind.__name__ for kind in CLASSES)}
