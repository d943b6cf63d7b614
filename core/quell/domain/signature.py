"""Signatures of webhooks: who holds the secret, and when it was said.

The caller signs `id.timestamp.body` with HMAC-SHA256 and sends the three headers of
https://www.standardwebhooks.com: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime

from quell.domain.secret import Secret

__all__ = ["TOLERANCE", "sign", "signed_id"]

#: seconds that a call may be old, or ahead of our clock
TOLERANCE = 300
_ID = re.compile(r"[\x21-\x7e]{1,200}")
_TIME = re.compile(r"[0-9]{1,12}")


def sign(secret: Secret, event_id: str, timestamp: str, body: bytes) -> str:
    """Give the signature that a caller has to send."""
    signed = f"{event_id}.{timestamp}.".encode() + body
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def signed_id(
    secret: Secret | None, headers: Mapping[str, str], body: bytes, now: datetime
) -> str | None:
    """Give the id of a call whose caller proved to hold the secret; None for any other."""
    given = {name.lower(): value for name, value in headers.items()}
    event_id, timestamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not secret or not _ID.fullmatch(event_id) or not _TIME.fullmatch(timestamp):
        return None
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE:
        return None
    expected = sign(secret, event_id, timestamp, body).encode()
    return event_id if _matches(expected, given.get("webhook-signature", "")) else None


def _key(secret: Secret) -> bytes:
    """Read the key: what follows `whsec_` is base64, anything else is taken as it is."""
    plain = secret.reveal()
    if not plain.startswith("whsec_"):
        return plain.encode()
    try:
        return base64.b64decode(plain.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return plain.encode()


def _matches(expected: bytes, header: str) -> bool:
    """Compare with each signature in the header: two are sent while a key is being changed."""
    sent = [signature.encode("utf-8", "surrogateescape") for signature in header.split()[:8]]
    return any(hmac.compare_digest(expected, signature) for signature in sent)
