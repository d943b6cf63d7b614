"""Checks the calls of a Sentinel automation rule's playbook to `/webhooks/sentinel`.

The caller proves an Entra token that was issued to an application on the list, or signs the
call with the shared secret. A verified call says only that the source should be polled soon:
nothing of its body is believed.

https://learn.microsoft.com/azure/sentinel/automation/playbook-triggers-actions
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from quell import ConnectorContext, WebhookEvent
from quell.domain.signature import signed_id
from quell_microsoft import CallerCheck
from quell_microsoft.lenient import mapping, text
from quell_sentinel.settings import SentinelSettings

__all__ = ["SentinelWebhook"]

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: a longer body is not parsed: the id that is looked for stands in the first object
_LONGEST = 4 * 1024 * 1024


class SentinelWebhook:
    """Implements `quell.domain.ports.WebhookVerifier`."""

    source = "sentinel"

    async def verify(
        self, headers: Mapping[str, str], body: bytes, context: ConnectorContext
    ) -> WebhookEvent | None:
        """Give the event, or None when the caller did not prove who it is."""
        settings = context.settings(SentinelSettings)
        event_id = signed_id(settings.webhook_secret, headers, body, context.clock.now())
        payload: Mapping[str, Any] | None = None
        if event_id is None:
            if not await _is_known(headers, settings, context):
                return None
            payload = _payload(body)
            event_id = _unique_id(payload, body)
        payload = _payload(body) if payload is None else payload
        return WebhookEvent(
            source_system="sentinel", event_id=event_id, native_id=_incident_name(payload)
        )


async def _is_known(
    headers: Mapping[str, str], settings: SentinelSettings, context: ConnectorContext
) -> bool:
    """Tell whether the call carries a token of an application that may call."""
    given = {name.lower(): value for name, value in headers.items()}
    scheme, _, token = given.get("authorization", "").partition(" ")
    if not settings.webhook_callers or scheme.lower() != "bearer":
        return False
    check = context.connector(CallerCheck)
    caller = await check.find_caller(token.strip(), settings.webhook_audience)
    return caller is not None and caller.is_one_of(settings.webhook_callers)


def _payload(body: bytes) -> Mapping[str, Any]:
    """Read the trigger's body; nothing where it is not one."""
    if len(body) > _LONGEST:
        return {}
    try:
        return mapping(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _unique_id(payload: Mapping[str, Any], body: bytes) -> str:
    """Name the event so that its repeats are known: by the service's own id, or by its content."""
    said = text(payload.get("eventUniqueId")) or ""
    return said.lower() if _GUID.fullmatch(said) else hashlib.sha256(body).hexdigest()


def _incident_name(payload: Mapping[str, Any]) -> str:
    """Take the incident's name out of the trigger's body, where there is one."""
    name = text(mapping(payload.get("object")).get("name")) or ""
    return name.lower() if _GUID.fullmatch(name) else ""
