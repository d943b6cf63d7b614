"""The plain values that cross the wire: JSON, answers and refusals."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: a JSON object kept as it came; recorded payloads have fields that nobody here knows
Json = dict[str, Any]


class Api(StrEnum):
    """The APIs behind the one base address; each has its own audience and error shape."""

    SIGN_IN = "sign_in"
    GRAPH = "graph"
    ENDPOINT = "endpoint"
    ARM = "arm"
    INGESTION = "ingestion"
    LOGS = "logs"
    CONTROL = "control"


class Breakage(StrEnum):
    """Ways in which an answer is spoiled on its way out."""

    DROP = "drop"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"


@dataclass(slots=True, kw_only=True)
class Answer:
    """What goes back to the client; a `body` of None is an empty body."""

    status: int = 200
    body: Any = None  # any JSON value
    headers: dict[str, str] = field(default_factory=dict[str, str])
    breakage: Breakage | None = None
    delay: float = 0.0

    def content(self) -> bytes:
        """Encode the body; plain ASCII, so that hostile lone surrogates survive."""
        if self.body is None:
            return b""
        return json.dumps(self.body, separators=(",", ":")).encode("ascii")


class Refusal(Exception):
    """A request that the API turns down; each API renders it in its own error shape."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        inner: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.inner = inner


def new_guid() -> str:
    """Make a random GUID in Microsoft's usual spelling."""
    return str(uuid.uuid4())


def as_text(value: object) -> str:
    """Give the text, or an empty string for anything that is no text."""
    return value if isinstance(value, str) else ""


def as_object(value: object) -> Json:
    """Give the JSON object, or an empty one for anything else; shares, never copies."""
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def as_objects(value: object) -> list[Json]:
    """Give the objects of a JSON list and leave out what is no object."""
    items: list[Any] = value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
    return [item for item in items if isinstance(item, dict)]


def as_texts(value: object) -> list[str]:
    """Give the texts of a JSON list and leave out what is no text."""
    items: list[Any] = value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
    return [item for item in items if isinstance(item, str)]


def get_ignoring_case(mapping: Mapping[str, Any], key: str) -> Any:
    """Find a value by key whatever its case; None when there is none."""
    if key in mapping:
        return mapping[key]
    wanted = key.casefold()
    return next((value for name, value in mapping.items() if name.casefold() == wanted), None)
