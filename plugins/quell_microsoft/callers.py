"""Checks the Entra tokens of those who call quell: by the tenant's own keys, and nothing else.

https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-tokens
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog

from quell import ConnectorContext
from quell.domain.ports import Clock
from quell_microsoft.clouds import CLOUDS, Cloud
from quell_microsoft.lenient import items, mapping, text
from quell_microsoft.settings import MicrosoftSettings
from quell_microsoft.version import user_agent

__all__ = ["Caller", "CallerCheck"]

logger = structlog.get_logger(__name__)

#: seconds by which clocks may differ
LEEWAY = 300
#: seconds that the tenant's keys are kept, and that an unknown key is not looked for again
KEEP, LOOK_EVERY = 86_400.0, 300.0
#: a longer token is none of Entra's
LONGEST = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who called: an application of the tenant, by its client id and its object id."""

    client_id: str
    object_id: str

    def is_one_of(self, names: frozenset[str]) -> bool:
        """Tell whether one of its ids is in a list."""
        own = {self.client_id.lower(), self.object_id.lower()}
        return any(name.lower() in own for name in names)


@dataclass(slots=True)
class CallerCheck:
    """The keys of one tenant, and what they have signed."""

    settings: MicrosoftSettings
    clock: Clock
    _keys: dict[str, Any] = field(default_factory=dict[str, Any])
    _looked_at: float = float("-inf")

    @classmethod
    def build(cls, context: ConnectorContext) -> CallerCheck:
        """Make the check of one tenant; no key is fetched before somebody calls."""
        return cls(settings=context.settings(MicrosoftSettings), clock=context.clock)

    async def find_caller(self, token: str, audience: str) -> Caller | None:
        """Give who a token was issued to, or None where it proves nothing."""
        import jwt  # costs 40 ms that a process without callers never needs

        if len(token) > LONGEST:
            return None
        try:
            key = await self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            if key is None:
                return None
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=[audience, f"api://{audience}"],
                issuer=self._issuers(),
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, ValueError):
            return None
        return self._caller(claims)

    def _caller(self, claims: dict[str, Any]) -> Caller | None:
        client_id = text(claims.get("azp")) or text(claims.get("appid"))
        object_id = text(claims.get("oid"))
        is_ours = (text(claims.get("tid")) or "").lower() == self.settings.tenant_id.lower()
        if not is_ours or not client_id or not object_id:
            return None
        return Caller(client_id=client_id, object_id=object_id)

    # -- the tenant's keys -----------------------------------------------------------------------

    @property
    def _root(self) -> str:
        login = CLOUDS[Cloud(self.settings.cloud)].login
        return (self.settings.base_url or f"https://{login}").rstrip("/")

    def _issuers(self) -> list[str]:
        tenant = self.settings.tenant_id.lower()
        host = (
            "sts.chinacloudapi.cn"
            if Cloud(self.settings.cloud) is Cloud.CHINA
            else "sts.windows.net"
        )
        return [f"https://{host}/{tenant}/", f"{self._root}/{tenant}/v2.0"]

    async def _key(self, key_id: str) -> Any:
        age = self.clock.now().timestamp() - self._looked_at
        if age > KEEP or (key_id not in self._keys and age > LOOK_EVERY):
            self._looked_at = self.clock.now().timestamp()
            self._keys = await asyncio.to_thread(self._fetch) or self._keys
        return self._keys.get(key_id)

    def _fetch(self) -> dict[str, Any]:
        """Read the keys that the tenant signs with; nothing where they cannot be read."""
        from quell_microsoft.transport import (  # loads the HTTP client
            AnswerTooLarge,
            PlainTransport,
            SendFailure,
            options_of,
        )

        url = f"{self._root}/{self.settings.tenant_id}/discovery/v2.0/keys"
        transport = PlainTransport(options_of(self.settings))
        try:
            reply = transport.send("GET", url, headers={"User-Agent": user_agent()}, content=None)
            return _readable(items(mapping(msgspec.json.decode(reply.content)).get("keys")))
        except (SendFailure, AnswerTooLarge, msgspec.MsgspecError) as error:
            logger.warning(
                "The tenant's signing keys cannot be read (%s)",
                type(error).__name__,
                event_name="caller_keys_unread",
            )
            return {}
        finally:
            transport.close()


def _readable(listed: list[Any]) -> dict[str, Any]:
    """Take the keys that can be used, by their id; one that cannot spoils no other."""
    import jwt

    found: dict[str, Any] = {}
    for one in map(mapping, listed):
        try:
            found[str(one["kid"])] = jwt.PyJWK(dict(one), "RS256")
        except (KeyError, TypeError, ValueError, jwt.PyJWTError):
            continue
    return found
