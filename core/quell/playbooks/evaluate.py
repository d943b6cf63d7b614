"""The CEL library, and nothing else of it: compile, evaluate, and tell errors from answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

# its stubs lie beside the compiled modules, without a py.typed
from cel_expr_python import cel  # pyright: ignore[reportMissingTypeStubs]
from cel_expr_python.ext import ext_strings  # pyright: ignore[reportMissingTypeStubs]

__all__ = ["NoAnswer", "compile_error", "evaluate"]


class NoAnswer(Exception):
    """The expression has no answer on this data; the text names no data."""


#: what the library says, and what we say: its own words may quote an attacker's text
REASONS: tuple[tuple[str, str], ...] = (
    ("key not found", "a field that it looks at is absent"),
    ("no such key", "a field that it looks at is absent"),
    ("index error", "a list is shorter than the index"),
    ("divide by zero", "it divides by zero"),
    ("modulus by zero", "it divides by zero"),
    ("overflow", "a number does not fit 64 bits"),
    ("no matching overload", "an operation does not fit the values that it meets"),
    ("regular expression", "the pattern is not a regular expression"),
    ("convert", "a value cannot be converted"),
    ("conversion", "a value cannot be converted"),
    ("duration", "a value cannot be converted"),
    ("iteration", "it loops more often than 10,000 times"),
    ("budget", "it loops more often than 10,000 times"),
)
PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")


@lru_cache(maxsize=256)
def _environment(names: frozenset[str]) -> cel.Env:
    # types are ours to check; the library would know maps of anything at best
    return cel.NewEnv(
        variables=dict.fromkeys(names, cel.Type.DYN), extensions=[ext_strings.ExtStrings()]
    )


@lru_cache(maxsize=4096)
def _compile(text: str, names: frozenset[str]) -> cel.Expression:
    return _environment(names).compile(text)


def compile_error(text: str, names: frozenset[str]) -> str | None:
    """Compile an expression and give the library's first complaint, or None."""
    try:
        _compile(text, names)
    except RuntimeError as error:
        found = PLACE.search(str(error))
        return found.group(3) if found else "the library refuses it"
    return None


def evaluate(text: str, names: frozenset[str], data: Mapping[str, Any]) -> Any:
    """Evaluate on JSON-like data; raises NoAnswer, for the library's errors are values."""
    try:
        result = _compile(text, names).eval(data=dict(data))
    except RuntimeError as error:
        raise NoAnswer(_reason(str(error))) from None
    if result.type() in (cel.Type.ERROR, cel.Type.UNKNOWN):
        raise NoAnswer(_reason(str(result.value())))
    return result.plain_value()


def _reason(text: str) -> str:
    lowered = text.lower()
    return next((ours for theirs, ours in REASONS if theirs in lowered), "it has no answer")
