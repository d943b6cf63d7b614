"""How quell introduces itself to servers."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

__all__ = ["user_agent"]


@cache
def user_agent() -> str:
    """Give `quell/VERSION`."""
    try:
        return f"quell/{version('quell')}"
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "quell"
