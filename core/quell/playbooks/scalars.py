"""Plain words of YAML read as YAML 1.2 reads them (`no` is text, `012` is twelve), and durations."""

from __future__ import annotations

import math
import re
from datetime import timedelta

__all__ = ["DURATION_PATTERN", "ScalarError", "parse_duration", "resolve_plain"]

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
BOOLEANS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
DECIMAL = re.compile(r"[-+]?[0-9]+")
OCTAL = re.compile(r"0o[0-7]+")
HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
#: the longest numeral that can fit 64 bits, with leading zeros to spare
MAX_NUMERAL = 64

#: kept equal to the pattern in playbook.schema.json
DURATION_PATTERN = r"^[1-9][0-9]{0,5}[smhd]$"
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
MAX_DURATION = timedelta(days=366)


class ScalarError(ValueError):
    """A plain word that looks like a number but has no place in JSON."""


def resolve_plain(text: str) -> str | int | float | bool | None:
    """Give the value of an unquoted word; raises ScalarError for numbers that JSON cannot hold."""
    if text in NULLS:
        return None
    if text in BOOLEANS:
        return BOOLEANS[text]
    number = _integer(text)
    if number is not None:
        return number
    if INFINITE.fullmatch(text):
        raise ScalarError("infinity and not-a-number are not values here")
    return _float(text) if FLOAT.fullmatch(text) else text


def _integer(text: str) -> int | None:
    base = next(
        (
            base
            for pattern, base in ((DECIMAL, 10), (OCTAL, 8), (HEXADECIMAL, 16))
            if pattern.fullmatch(text)
        ),
        None,
    )
    if base is None:
        return None
    number = int(text if base == 10 else text[2:], base) if len(text) <= MAX_NUMERAL else None
    if number is None or not -(2**63) <= number < 2**63:
        raise ScalarError("the number does not fit 64 bits; quote it if it is text")
    return number


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ScalarError("the number is too large; quote it if it is text")
    return number


def parse_duration(text: str) -> timedelta:
    """Read `30s`, `15m`, `72h` or `7d`; raises ValueError for anything else or beyond a year."""
    if not re.fullmatch(DURATION_PATTERN[1:-1], text):
        raise ValueError("write a duration as a whole number with s, m, h or d, such as 15m")
    duration = timedelta(**{UNITS[text[-1]]: int(text[:-1])})
    if duration > MAX_DURATION:
        raise ValueError("a duration is at most 366d")
    return duration
