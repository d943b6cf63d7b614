"""Tells an incident whose properties are of other types than documented from one that can be believed.

To read such a value as if it were not there would take a person's tags or owner away in the other
product. The incident is put aside instead, with this reason, until it can be believed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quell.errors import BadAnswer
from quell_microsoft.lenient import items

__all__ = ["check_shape", "misshapen"]

#: the types that each property may have; of a list also those of what is in it
Shapes = Mapping[str, tuple[type, ...]]


def misshapen(source: Mapping[str, Any], shapes: Shapes, inside: Shapes) -> str:
    """Say which property is of no documented type; empty where all are, or are not there."""
    for name, kinds in shapes.items():
        value = source.get(name)
        if value is not None and not isinstance(value, kinds):
            return f"its {name} is of a type that is not documented"
    for name, kinds in inside.items():
        if any(not isinstance(item, kinds) for item in items(source.get(name))):
            return f"its {name} hold something of a type that is not documented"
    return ""


def check_shape(endpoint: str, problem: str) -> None:
    """Raise BadAnswer where something is wrong with an incident's shape."""
    if problem:
        raise BadAnswer(
            endpoint=endpoint,
            problem=problem,
            remedy="Nothing is taken from it meanwhile and quell goes on asking; look at it there.",
        )
