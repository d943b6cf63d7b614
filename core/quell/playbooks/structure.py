"""The first check of a playbook's data: playbook.schema.json, and what can be checked after it."""

from __future__ import annotations

import copy
import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

from quell.playbooks.document import Document, Path
from quell.playbooks.misfits import Misfit, explain
from quell.playbooks.source import Problems

__all__ = ["check_structure", "playbook_schema"]

#: nothing else depends on these, so the checks go on without them
PRUNABLE = frozenset(
    {
        "attempts",
        "description",
        "max_age",
        "once_per",
        "otherwise",
        "review",
        "timeout",
        "title",
        "who",
        "within",
    }
)


@cache
def playbook_schema() -> dict[str, Any]:
    """Give the JSON Schema of the language, the one that editors use."""
    text = files("quell.playbooks").joinpath("playbook.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@cache
def _validator() -> Any:  # the stubs leave half of the class untyped
    return Draft202012Validator(playbook_schema())


def check_structure(document: Document, problems: Problems) -> dict[str, Any] | None:
    """Check the data against the schema and note what does not fit.

    Gives the data for the checks that follow, without the parts whose mistakes concern
    nothing else (unknown keys, a limit out of range); None where there is nothing to go on with.
    """
    pruned: dict[str, Any] = copy.deepcopy(document.data)
    for error in _validator().iter_errors(document.data):
        misfit = Misfit.of(error)
        for place, text in explain(misfit, document):
            problems.add(place, text)
        _prune(pruned, misfit)
    return pruned if _validator().is_valid(pruned) else None


def _prune(data: Any, misfit: Misfit) -> None:
    """Take out what a misfit is about, where the rest can be checked without it."""
    path = misfit.path
    if misfit.rule == "additionalProperties":
        part = _follow(data, path)
        for key in misfit.unknown_keys():
            part.pop(key, None)
    elif path and path[-1] in PRUNABLE:
        _follow(data, path[:-1]).pop(path[-1], None)
    elif path == ("quell",):
        data["quell"] = 1


def _follow(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data
