"""Makes an observation fit to be stored: text that no database or JSON writer can hold is marked."""

from __future__ import annotations

from typing import Any, TypeGuard

import msgspec

from quell.domain.ports import ObservedIncident

__all__ = ["cleaned"]


def cleaned(seen: ObservedIncident) -> ObservedIncident:
    """Replace U+0000 and lone surrogates; the same input always gives the same text.

    What is compared and what was stored would otherwise differ for ever.
    """
    try:
        if b"\\u0000" not in msgspec.json.encode(seen):
            return seen
    except UnicodeEncodeError:
        pass
    return msgspec.convert(_walk(msgspec.to_builtins(seen)), ObservedIncident)


def _walk(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if _is_table(value):
        return {_walk(key): _walk(item) for key, item in value.items()}
    if _is_list(value):
        return [_walk(item) for item in value]
    return value


def _is_table(value: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
