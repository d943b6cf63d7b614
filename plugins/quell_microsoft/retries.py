"""When a call is tried again, and how long it waits before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import stamina

from quell.errors import BadAnswer, ServerFailure, Throttled, Unreachable
from quell_microsoft.limits import LONGEST_WAIT

__all__ = ["attempts", "verdict"]


def verdict(failure: Exception) -> bool | float:
    """Say whether a repeatable call is tried again: no, yes with backoff, or after seconds."""
    if isinstance(failure, Throttled | ServerFailure):
        fields: dict[str, Any] = failure.fields
        seconds: float | None = fields.get("retry_after")
        if seconds is None:
            return True
        # never nothing at all: zero would be taken for "no"
        return max(seconds, 0.05) if seconds <= LONGEST_WAIT else False
    return isinstance(failure, Unreachable | BadAnswer)


def attempts(most: int) -> AsyncIterator[stamina.Attempt]:
    """Go through attempts with exponential backoff and jitter; each is a context manager."""
    return stamina.retry_context(
        on=verdict, attempts=most, timeout=180.0, wait_initial=0.25, wait_max=20.0, wait_jitter=0.5
    ).__aiter__()
