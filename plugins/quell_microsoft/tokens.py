"""Tokens as quell keeps them: when they must be renewed, and what their claims say."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

__all__ = ["Token", "claims_of"]

#: a token is renewed that many seconds before its end, or at half its life if that is later
RENEW_BEFORE = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token; the value does not print."""

    value: str = field(repr=False)
    #: on the monotonic clock, so that setting the host's clock changes nothing
    renew_at: float

    @classmethod
    def received(cls, value: str, lifetime: float, now: float) -> Token:
        """Keep a token that was received just now."""
        return cls(value=value, renew_at=now + lifetime - min(RENEW_BEFORE, lifetime / 2))


def claims_of(token: str) -> dict[str, Any]:
    """Read a token's claims without checking its signature: for display and refusals only."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = msgspec.json.decode(base64.urlsafe_b64decode(padded))
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return {}
    return cast(dict[str, Any], claims) if isinstance(claims, dict) else {}
