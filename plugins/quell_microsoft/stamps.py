"""Reads the time stamps of Microsoft's products into UTC microseconds, and writes them.

Graph cuts trailing zeros and so sends 0 to 7 digits of a second's fraction; older services send
an offset or no zone at all. Texts are kept as they came; only these instants are compared.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

__all__ = ["parse_moment", "parse_stamp", "write_stamp"]

#: what is older than any product that tells of it happened never
EARLIEST = 1980

_STAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,12}))?)?\s*"
    r"(?:([Zz])|([+-])(\d\d):?(\d\d))?",
    re.ASCII,
)


def parse_stamp(value: Any) -> datetime | None:
    """Read a time stamp, or give None for whatever is none. Digits below microseconds are cut."""
    match = _STAMP.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction = match.groups()[:7]
    micros = int((fraction or "").ljust(6, "0")[:6])
    try:
        # offset first and UTC after: an impossible date or offset is no stamp
        return datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micros,
            tzinfo=_zone(match),
        ).astimezone(UTC)  # fmt: skip
    except (ValueError, OverflowError):
        return None


def parse_moment(value: Any) -> datetime | None:
    """Read when something happened; the products write the years 1 and 1601 for "never"."""
    moment = parse_stamp(value)
    return moment if moment is not None and moment.year >= EARLIEST else None


def _zone(match: re.Match[str]) -> timezone:
    sign, hours, minutes = match.group(9), match.group(10), match.group(11)
    if sign is None:
        return UTC
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if sign == "-" else offset)


def write_stamp(moment: datetime) -> str:
    """Write an aware instant as the products' filters want it: UTC, microseconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
