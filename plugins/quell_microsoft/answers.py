"""Reads answers: bytes to JSON that can be stored, or a BadAnswer that says why not."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import msgspec

__all__ = ["Answer", "Unreadable", "parse"]


class Unreadable(Exception):
    """The bytes are not JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A product's answer to a write: 202 and 206 mean that it is not all done."""

    status: int
    #: parsed JSON; None where the answer has no body
    body: Any = field(repr=False, default=None)
    #: names in lower case
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    #: the client-request-id that the call was sent with
    request_id: str = ""

    @property
    def is_partial(self) -> bool:
        """Tell whether a source behind the API failed, so that rows are missing."""
        return self.status == 206


def parse(content: bytes) -> Any:
    """Read JSON; None for no content. Raises Unreadable."""
    text = content.removeprefix(codecs.BOM_UTF8)
    if not text.strip():
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return _parse_leniently(text)


def _parse_leniently(text: bytes) -> Any:
    """Read what an attacker's odd characters made invalid: half surrogates become `?`."""
    try:
        value = json.loads(text.decode("utf-8", "replace"), parse_constant=_refuse)
        whole = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        return msgspec.json.decode(whole)
    except (ValueError, RecursionError, msgspec.MsgspecError) as problem:
        raise Unreadable(type(problem).__name__) from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)
