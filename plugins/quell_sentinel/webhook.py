"""Checks the calls of a Sentinel automation rule's playbook to `/webhooks/sentinel`.

The caller signs `id.timestamp.body` with HMAC-SHA256 and sends the three headers of
https://www.standardwebhooks.com: `webhook-id`, `webhook-timestamp`, `webhook-signature`. A
verified call says only that the source should be polled soon: nothing of its body is believed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from quell import ConnectorContext, WebhookEvent
from quell.domain.secret import Secret
from quell_microsoft.lenient import mapping, text
from quell_sentinel.settings import SentinelSettings

__all__ = ["TOLERANCE", "SentinelWebhook", "sign"]

#: seconds that a call may be old, or ahead of our clock
TOLERANCE = 300
_ID = re.compile(r"[\x21-\x7e]{1,200}")
_TIME = re.compile(r"[0-9]{1,12}")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: a longer body is not parsed: the id that is looked for stands in the first object
_LONGEST = 4 * 1024 * 1024


def sign(secret: Secret, event_id: str, timestamp: str, body: bytes) -> str:
    """Give the signature that a caller has to send."""
    signed = f"{event_id}.{timestamp}.".encode() + body
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _key(secret: Secret) -> bytes:
    """Read the key: what follows `whsec_` is base64, anything else is taken as it is."""
    plain = secret.reveal()
    if not plain.startswith("whsec_"):
        return plain.encode()
    try:
        return base64.b64decode(plain.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return plain.encode()


class SentinelWebhook:
    """Implements `quell.domain.ports.WebhookVerifier`."""

    source = "sentinel"

    async def verify(
        self, headers: Mapping[str, str], body: bytes, context: ConnectorContext
    ) -> WebhookEvent | None:
        """Give the event, or None when the caller did not prove that it holds the secret."""
        secret = context.settings(SentinelSettings).webhook_secret
        given = {name.lower(): value for name, value in headers.items()}
        event_id, timestamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
        if not secret or not _ID.fullmatch(event_id) or not _TIME.fullmatch(timestamp):
            return None
        if abs(context.clock.now().timestamp() - int(timestamp)) > TOLERANCE:
            return None
        expected = sign(secret, event_id, timestamp, body).encode()
        if not _matches(expected, given.get("webhook-signature", "")):
            return None
        return WebhookEvent(
            source_system="sentinel", event_id=event_id, native_id=_incident_name(body)
        )


def _matches(expected: bytes, header: str) -> bool:
    """Compare with each signature in the header: two are sent while a key is being changed."""
    sent = [signature.encode("utf-8", "surrogateescape") for signature in header.split()[:8]]
    return any(hmac.compare_digest(expected, signature) for signature in sent)


def _incident_name(body: bytes) -> str:
    """Take the incident's name out of the trigger's body, where there is one."""
    if len(body) > _LONGEST:
        return ""
    try:
        payload: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    name = text(mapping(mapping(payload).get("object")).get("name")) or ""
    return name.lower() if _GUID.fullmatch(name) else ""
