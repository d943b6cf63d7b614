"""Rows: the key that names each, and packing them into batches. Pure."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from quell.domain.events import EventTable, ShapedRow
from quell.domain.ids import SourceId, TenantId

__all__ = ["Pack", "halves", "packed", "row_key", "unpacked"]

#: hexadecimal digits of a row's key: 128 bits
KEY_LENGTH = 32
#: brackets around the rows of a batch
BRACKETS = 2


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one stream that are sent together."""

    stream: str
    #: a JSON array, compressed
    body: bytes
    rows: int
    #: bytes of the array before compression
    size: int


def row_key(
    tenant_id: TenantId, source_id: SourceId, table: EventTable, row: Mapping[str, Any]
) -> str:
    """Name a row: the same row has the same key whenever it is read, another one another key."""
    said = {name: row.get(name) for name in table.keys} if table.keys else dict(row)
    named = _canonical([tenant_id, source_id, table.name, said])
    return hashlib.sha256(named).hexdigest()[:KEY_LENGTH]


def packed(rows: Iterable[ShapedRow], limit: int) -> Iterator[Pack]:
    """Put rows into batches of at most `limit` bytes; a row that is larger goes alone."""
    open_packs: dict[str, tuple[list[bytes], int]] = {}
    for row in rows:
        text = _json(row.body)
        texts, size = open_packs.get(row.stream, ([], BRACKETS))
        if texts and size + len(text) + 1 > limit:
            yield _pack(row.stream, texts)
            texts, size = [], BRACKETS
        texts.append(text)
        open_packs[row.stream] = texts, size + len(text) + 1
    for stream, (texts, _) in open_packs.items():
        yield _pack(stream, texts)


def halves(stream: str, body: bytes) -> tuple[Pack, Pack] | None:
    """Split a batch in two; None where it holds a single row."""
    texts = [bytes(text) for text in unpacked(body)]
    if len(texts) < 2:
        return None
    middle = len(texts) // 2
    return _pack(stream, texts[:middle]), _pack(stream, texts[middle:])


def unpacked(body: bytes) -> list[msgspec.Raw]:
    """Give the rows of a batch, each as JSON."""
    return msgspec.json.decode(gzip.decompress(body), type=list[msgspec.Raw])


def _pack(stream: str, texts: list[bytes]) -> Pack:
    array = b"[" + b",".join(texts) + b"]"
    # no time inside: the same rows make the same bytes
    body = gzip.compress(array, compresslevel=6, mtime=0)
    return Pack(stream=stream, body=body, rows=len(texts), size=len(array))


def _json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # a lone surrogate, which is no UTF-8: escaped, it stays exact
        return json.dumps(value, separators=(",", ":")).encode("ascii")


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode("ascii")
