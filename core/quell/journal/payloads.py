"""Big bodies, kept apart from the rows that they belong to.

A body over the limit stands once in `blobs`, compressed, under the digest of its text; the row
holds a reference. Reading is done by the database: a column of type `BigBody` looks behind its
references by itself, so whoever selects it sees the body, wherever it stands.

Programs before schema 0004 cannot read a reference. Bodies are therefore put apart only where
no such program can open the journal (see `migrate`).
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.journal.columns import Body

__all__ = ["LIMIT", "REFERENCE", "Apart", "BigBody", "pack", "put_back", "unpack"]

#: bytes of JSON beyond which a body is kept apart; PostgreSQL and SQLite read rows in pages of 4-8 KB
LIMIT = 8 * 1024
#: what a reference begins with; the digest follows. Version 2 of a body: 1 is the body itself
REFERENCE = '{"v":2,"blob":"'
#: what a compressed text begins with, where JSON would have a brace
PACKED = "z:"
DIGEST_LENGTH = 64


class Apart(msgspec.Struct, frozen=True):
    """A body that is written already: as its own text, or as the reference to it."""

    text: str


def pack(text: str) -> str:
    """Compress a body's text, as text: one type of column holds both."""
    return PACKED + base64.b85encode(zlib.compress(text.encode(), 6)).decode()


def unpack(text: str) -> str:
    """Give the text of a body that may be compressed."""
    if not text.startswith(PACKED):
        return text
    return zlib.decompress(base64.b85decode(text[len(PACKED) :])).decode()


def digest_of(text: str) -> str:
    """Give the name under which a body is kept."""
    return hashlib.sha256(text.encode()).hexdigest()


class BigBody(Body):
    """A JSON body that may be kept apart; the database looks behind its references."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        if isinstance(value, Apart):
            return value.text
        return super().process_bind_param(value, dialect)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        return super().process_result_value(None if value is None else unpack(value), dialect)

    def column_expression(self, column: Any) -> sa.ColumnElement[Any]:
        """Select the body itself, wherever it stands."""
        blobs = _blobs()
        behind = (
            sa.select(blobs.c.body)
            .where(blobs.c.tenant_id == column.table.c.tenant_id, blobs.c.digest == _named(column))
            .scalar_subquery()
        )
        plain = sa.type_coerce(column, sa.Text)
        return sa.type_coerce(sa.case((is_reference(column), behind), else_=plain), BigBody())


def is_reference(column: Any) -> sa.ColumnElement[bool]:
    """Say in SQL whether a column holds a reference."""
    # literals, not parameters: the text of the statement stays the same for everybody
    plain = sa.type_coerce(column, sa.Text)
    start = sa.func.substr(plain, sa.literal_column("1"), sa.literal_column(str(len(REFERENCE))))
    return start == sa.literal_column(f"'{REFERENCE}'")


def _named(column: Any) -> sa.ColumnElement[str]:
    plain = sa.type_coerce(column, sa.Text)
    begin: sa.ColumnElement[int] = sa.literal_column(str(len(REFERENCE) + 1))
    return sa.func.substr(plain, begin, sa.literal_column(str(DIGEST_LENGTH)))


#: every column that may hold a reference
APART = (("alerts", "body"), ("steps", "plan"), ("steps", "results"))


def put_back(conn: sa.Connection) -> None:
    """Put every body that is kept apart back into its row, before the schema forgets about it."""
    blobs = _blobs()
    for row in conn.execute(sa.select(blobs)):
        reference = f'{REFERENCE}{row.digest}"}}'
        for table, name in APART:
            column: sa.ColumnClause[str] = sa.column(name)
            rows = sa.table(table, sa.column("tenant_id"), column)
            mine = sa.and_(rows.c.tenant_id == row.tenant_id, column == reference)
            conn.execute(sa.update(rows).where(mine).values({name: unpack(row.body)}))


def _blobs() -> sa.TableClause:
    """Name the bodies' table as it is in every version of the schema that has it."""
    columns: list[sa.ColumnClause[Any]] = [
        sa.column(name) for name in ("tenant_id", "digest", "body")
    ]
    return sa.table("blobs", *columns)
