"""The archive: what was in the journal, as lines of JSON in a compressed file, whole or not there.

The first line tells what the file is, the last how many rows of each table it has: a file that
was cut off shows it. Between them stands one row per line, `{"table", "tenant", "v", "row"}`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from quell.errors import StateError

__all__ = ["FORMAT", "ArchiveWriter", "read_archive", "writing"]

FORMAT = 1
SUFFIX = ".part"
#: higher costs much time and gains little on lines of JSON
LEVEL = 9


class ArchiveWriter:
    """Takes rows and counts them."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.rows: Counter[str] = Counter()

    def add(self, table: str, tenant: str, row: Mapping[str, Any]) -> None:
        """Write one row."""
        self.rows[table] += 1
        self.line({"table": table, "tenant": tenant, "v": FORMAT, "row": row})

    def line(self, value: Mapping[str, Any]) -> None:
        """Write one line."""
        try:
            text = msgspec.json.encode(value)
        except UnicodeEncodeError:  # a lone surrogate: escaped, it stays exact
            text = json.dumps(msgspec.to_builtins(value)).encode()
        self._stream.write(text + b"\n")


@contextmanager
def writing(path: Path, about: Mapping[str, Any]) -> Generator[ArchiveWriter]:
    """Write an archive beside its name and give it the name once it is complete and on disk.

    Raises StateError when something has that name. What is left of an attempt that was killed
    is overwritten by the next.
    """
    import zstandard

    if path.exists():
        raise StateError(
            what=str(path), problem="is there already", remedy="Choose another name for it."
        )
    part = path.with_name(path.name + SUFFIX)
    try:
        # its owner's alone: an archive holds what the journal held
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).stream_writer(
                file, closefd=False
            ) as stream:
                archive = ArchiveWriter(stream)
                archive.line({"archive": "quell", "format": FORMAT, **about})
                yield archive
                archive.line({"end": True, "rows": dict(sorted(archive.rows.items()))})
            file.flush()
            os.fsync(file.fileno())
        _check(part, archive.rows)
        part.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        problem = f"cannot be written: {error.strerror}"
        raise StateError(
            what=str(path), problem=problem, remedy="Free disk space, or choose another place."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def read_archive(path: Path) -> Iterator[dict[str, Any]]:
    """Give an archive's rows. Raises StateError when it is none, is damaged or was cut off."""
    import zstandard

    counted: Counter[str] = Counter()
    try:
        with path.open("rb") as file:
            lines = _lines(zstandard.ZstdDecompressor().stream_reader(file))
            head: dict[str, Any] = next(lines, dict[str, Any]())
            if head.get("archive") != "quell" or head.get("format", 0) > FORMAT:
                raise _damaged(path, "is no archive that this program knows")
            for line in lines:
                if "end" in line:
                    if dict(counted) != line["rows"]:
                        raise _damaged(path, "does not have the rows that its end counts")
                    return
                counted[line["table"]] += 1
                yield line
    except (zstandard.ZstdError, ValueError) as error:
        raise _damaged(path, "is damaged") from error
    except OSError as error:
        raise _damaged(path, f"cannot be read: {error.strerror}") from error
    raise _damaged(path, "was cut off")


def _lines(stream: Any) -> Iterator[dict[str, Any]]:
    rest = b""
    while block := stream.read(1 << 20):
        *whole, rest = (rest + block).split(b"\n")
        yield from map(_decode, whole)


def _decode(text: bytes) -> dict[str, Any]:
    value: dict[str, Any]
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        # the faster reader refuses the escape of a lone surrogate
        value = json.loads(text)
    return value


def _check(path: Path, written: Mapping[str, int]) -> None:
    """Read the file back: what it replaces may be removed afterwards."""
    found = Counter(line["table"] for line in read_archive(path))
    if found != Counter(written):
        raise _damaged(path, "does not read as it was written")


def _damaged(path: Path, problem: str) -> StateError:
    remedy = "Nothing was removed for it. Look at the disk, or at another copy of the file."
    return StateError(what=str(path), problem=problem, remedy=remedy)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def said(moment: datetime) -> str:
    """Write a moment as archives have it."""
    return moment.isoformat()
