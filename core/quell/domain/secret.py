"""Values that must never be shown: they are read from settings and given to a product, no more."""

from __future__ import annotations

import hmac
from typing import Any, NoReturn

__all__ = ["Secret", "decode_secret", "encode_secret"]

#: what people see instead
MASK = "•••"


class Secret:
    """A text that does not print. `reveal()` is the only way to it, so that uses can be found."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Give the text itself, to be handed on at once and never kept, logged or formatted."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> NoReturn:
        # a pickle would carry the text into caches, queues and core dumps
        raise TypeError("a secret is not pickled; read it from the settings again")


def decode_secret(kind: type, value: Any) -> Any:
    """Read a secret from a text; the `dec_hook` for `msgspec.convert` of settings."""
    if kind is Secret and isinstance(value, Secret):
        return value
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    if kind is Secret:
        # a ValueError becomes msgspec's own error with the path, and never shows the value
        raise ValueError("Expected `str`")
    raise NotImplementedError(f"no settings type: {kind.__name__}")


def encode_secret(value: Any) -> str:
    """Write a secret as its mask; the `enc_hook` for `msgspec.to_builtins` of settings."""
    if isinstance(value, Secret):
        return MASK
    raise NotImplementedError(f"no settings type: {type(value).__name__}")
