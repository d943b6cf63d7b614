"""Where the figures come from: cores, versions, load, and what a durable write costs there."""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.figure import median

__all__ = ["DURABILITY", "describe"]

#: what every journal of these measurements is opened with, by quell itself
DURABILITY = "SQLite file, WAL, synchronous=FULL"
#: durable writes that are timed
SYNCS = 100


def describe() -> dict[str, object]:
    """Describe the machine, without naming it."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.machine()}",
        "fsync_ms": round(_fsync() * 1000, 3),
    }


def _fsync() -> float:
    """Time appending a page and having it on disk, where the journals are put too."""
    with (
        tempfile.TemporaryDirectory(prefix="quell-bench-") as folder,
        (Path(folder) / "page").open("wb", buffering=0) as file,
    ):
        return median([_append(file.fileno()) for _ in range(SYNCS)])


def _append(descriptor: int) -> float:
    begin = time.perf_counter()
    os.write(descriptor, b"x" * 4096)
    os.fsync(descriptor)
    return time.perf_counter() - begin
