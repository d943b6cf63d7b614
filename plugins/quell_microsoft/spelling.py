"""Reads objects whose keys are spelled another way: `DisplayName` or `display_name`.

The services answer in camelCase; rows of tables, older endpoints and generated clients do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from quell_microsoft.lenient import items, mapping

__all__ = ["camel", "spelled"]

_FOREIGN = re.compile(r"[A-Z]|[a-z][a-z0-9]*_[a-z]")
#: an abbreviation at the beginning: the `UPN` of `UPNSuffix`, the whole of `URL` and `SHA256`
_ABBREVIATION = re.compile(r"[A-Z]+(?=[A-Z][a-z]|[0-9]|$)")
#: deeper than any product nests
DEPTH = 32


def spelled(value: Any) -> Mapping[str, Any]:
    """Give an object with its keys, and those inside, in camelCase; itself where they are so."""
    found = mapping(value)
    return mapping(_spelled(found, 0)) if any(map(_FOREIGN.match, found)) else found


def camel(key: str) -> str:
    """Spell one key in camelCase."""
    head, *more = key.split("_")
    if match := _ABBREVIATION.match(head):
        head = match[0].lower() + head[match.end() :]
    else:
        head = head[:1].lower() + head[1:]
    return head + "".join(word[:1].upper() + word[1:] for word in more)


def _spelled(value: Any, depth: int) -> Any:
    if depth > DEPTH:
        return value
    if isinstance(value, list):
        return [_spelled(one, depth + 1) for one in items(value)]
    found = mapping(value)
    if not found:
        return value
    again = {
        camel(key): _spelled(one, depth + 1) for key, one in found.items() if key != camel(key)
    }
    plain = {key: _spelled(one, depth + 1) for key, one in found.items() if key == camel(key)}
    # what is spelled as the service spells it counts, where both are there
    return again | plain
