"""Column types of the journal: instants as UTC microseconds, JSON bodies with a version."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.errors import JournalVersionError

__all__ = ["BODY_VERSION", "Body", "Instant", "PlainText", "from_micros", "to_micros"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: the newest shape of JSON bodies that this program can read
BODY_VERSION = 1


def to_micros(moment: datetime) -> int:
    """Count the microseconds from the epoch to an aware moment."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """Turn microseconds since the epoch into an aware UTC moment."""
    return EPOCH + timedelta(microseconds=micros)


def _decode(text: str) -> dict[str, Any]:
    envelope: dict[str, Any]
    try:
        envelope = msgspec.json.decode(text)
    except msgspec.DecodeError:
        # the faster reader refuses the escape of a lone surrogate
        envelope = json.loads(text)
    return envelope


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware moment, stored as a whole number of microseconds: exact, sortable, the same everywhere."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:
        return None if value is None else to_micros(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else from_micros(int(value))


class PlainText(sa.types.TypeDecorator[str]):
    """Text that every engine can hold: what cannot be stored becomes the replacement character.

    Names and comments come from products, and through them from attackers: PostgreSQL refuses
    U+0000, and lone surrogates are not UTF-8 at all. JSON bodies escape both and stay exact.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        if value is None:
            return None
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


class Body(sa.types.TypeDecorator[Any]):
    """JSON text inside an envelope `{"v": 1, "body": …}`, so that old rows stay readable."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        if value is None:
            return None
        envelope = {"v": BODY_VERSION, "body": value}
        try:
            return msgspec.json.encode(envelope).decode()
        except UnicodeEncodeError:  # a lone surrogate: escaped, it stays exact
            return json.dumps(msgspec.to_builtins(envelope))

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        if value is None:
            return None
        envelope = _decode(value)
        if envelope["v"] > BODY_VERSION:
            raise JournalVersionError(
                where="a stored body", found=str(envelope["v"]), known=str(BODY_VERSION)
            )
        return envelope["body"]
