"""Where one host's process tells how its quota stands, for `quell quota` to read.

In a fleet, Redis knows. A process alone keeps its quota in memory and pins a copy here with
every sign of life; it is a picture for people, and nothing is decided by it.
"""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from pathlib import Path

import msgspec

from quell.quota import ClassState

__all__ = ["Board", "read_board", "write_board"]

NAME = "quota.json"


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """How every class stands, by tenant, as of a moment."""

    at: datetime
    worker: str
    tenants: dict[str, list[ClassState]]


def write_board(folder: Path, board: Board) -> None:
    """Pin the picture, whole or not at all; a disk that refuses it keeps nobody from work."""
    place = folder / NAME
    draft = place.with_suffix(f".{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        draft.write_bytes(msgspec.json.encode(board))
        draft.replace(place)


def read_board(folder: Path) -> Board | None:
    """Read the last picture; None where there is none."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=Board)
    except (OSError, msgspec.MsgspecError):
        return None
