"""Signs one identity in: one token request at a time, shared by all who need its token."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from importlib import import_module
from typing import Any, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakValueDictionary

import anyio.to_thread
import stamina

from quell.errors import ConnectorError, SignInRefused
from quell_microsoft.clouds import CLOUDS
from quell_microsoft.credentials import credential_of
from quell_microsoft.errors import NotSent
from quell_microsoft.login import LoginClient, LoginRefused, LoginUnreadable, NotSimulated
from quell_microsoft.refusals import Refusals
from quell_microsoft.settings import Identity, MicrosoftSettings
from quell_microsoft.tokens import Token, claims_of
from quell_microsoft.transport import Options, SendFailure, options_of

__all__ = ["SignIn", "shared"]

logger = logging.getLogger(__name__)

#: for so long a refusal is answered from memory, so that a wrong secret is not tried in a storm
REMEMBER_REFUSAL = 30.0
TRIES = 3

Acquire = Callable[[str], Any]
Flights = WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Task[Token]]]


class SignIn:
    """One identity of one tenant. Only API clients ask it for tokens."""

    def __init__(
        self,
        *,
        tenant_id: str,
        authority: str,
        identity: Identity,
        role: str,
        options: Options,
        must_be_simulated: bool = False,
    ) -> None:
        self._tenant_id = tenant_id
        self._authority = authority
        self._identity = identity
        self._role = role
        self._client = _client(options, authority, identity, must_be_simulated)
        self._refusals = Refusals(role=role, host=urlsplit(authority).netloc)
        self._acquire: Acquire | None = None
        self._thread_lock = threading.Lock()
        self._tokens: dict[str, Token] = {}
        self._refused: dict[str, tuple[float, ConnectorError]] = {}
        self._flights: Flights = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"SignIn(tenant={self._tenant_id}, role={self._role})"

    @property
    def skew(self) -> float | None:
        """Seconds that this host's clock is ahead of the sign-in service's, as last seen."""
        return self._client.skew

    async def token(self, scope: str) -> str:
        """Give a token that is good for some minutes yet. Raises SignInRefused or NotSent."""
        kept = self._tokens.get(scope)
        if kept is not None and time.monotonic() < kept.renew_at:
            return kept.value
        self._raise_if_refused(scope)
        # one caller's cancellation must not take the token away from the others
        return (await asyncio.shield(self._flight(scope))).value

    def renew(self, scope: str, refused: str) -> None:
        """Forget a token that an API refused, and what MSAL keeps, so that a new one is fetched.

        Does nothing where the token kept is another one: somebody else has renewed it.
        """
        kept = self._tokens.get(scope)
        if kept is not None and kept.value == refused:
            del self._tokens[scope]
            self._acquire = None

    async def granted(self, scope: str) -> frozenset[str]:
        """Tell which application permissions the token carries; ARM's tokens carry none."""
        roles = claims_of(await self.token(scope)).get("roles")
        if not isinstance(roles, list):
            return frozenset()
        return frozenset(str(role) for role in cast(list[object], roles))

    def _raise_if_refused(self, scope: str) -> None:
        until, error = self._refused.get(scope, (0.0, None))
        if error is not None and time.monotonic() < until:
            fields: dict[str, Any] = error.fields
            raise type(error)(**fields)

    def _flight(self, scope: str) -> asyncio.Task[Token]:
        flights = self._flights.setdefault(asyncio.get_running_loop(), {})
        flight = flights.get(scope)
        if flight is None or flight.done():
            flight = flights[scope] = asyncio.create_task(self._fetch(scope))
            # read the error even when every caller was cancelled meanwhile
            flight.add_done_callback(lambda done: done.cancelled() or done.exception())
        return flight

    async def _fetch(self, scope: str) -> Token:
        async for attempt in stamina.retry_context(
            on=NotSent, attempts=TRIES, wait_initial=0.2, wait_max=2.0, wait_jitter=0.2
        ):
            with attempt:
                return await self._fetch_once(scope)
        raise AssertionError("the last attempt returns or raises")

    async def _fetch_once(self, scope: str) -> Token:
        try:
            token = await anyio.to_thread.run_sync(self._fetch_in_thread, scope)
        except SignInRefused as refused:
            self._refused[scope] = (time.monotonic() + REMEMBER_REFUSAL, refused)
            raise
        self._tokens[scope] = token
        return token

    def _fetch_in_thread(self, scope: str) -> Token:
        with self._thread_lock:
            try:
                acquire = self._acquire = self._acquire or self._application()
                return self._accepted(acquire(scope))
            except Exception as failure:
                # MSAL remembers failures; a new application asks anew
                self._acquire = None
                known = self._known(failure)
                if known is None:
                    raise
                raise known from None

    def _known(self, failure: Exception) -> ConnectorError | None:
        if isinstance(failure, SendFailure):
            return self._refusals.not_reached(failure.reason, self._client.request_id)
        if isinstance(failure, LoginUnreadable):
            return self._refusals.unreadable(failure.status, self._client.request_id)
        if isinstance(failure, NotSimulated):
            return self._refusals.not_simulated()
        if isinstance(failure, LoginRefused | ValueError):
            return self._refusals.no_authority()
        return None

    def _application(self) -> Acquire:
        msal = _msal()
        if self._identity.managed_identity:
            return _managed(self._identity, self._client)
        application = msal.ConfidentialClientApplication(
            self._identity.client_id,
            client_credential=credential_of(self._identity, self._role),
            authority=f"{self._authority}/{self._tenant_id}",
            # the host is from our own table, or a simulator's: nobody else is asked about it
            instance_discovery=False,
            http_client=self._client,
        )
        return lambda scope: application.acquire_token_for_client(scopes=[scope])

    def _accepted(self, result: Any) -> Token:
        found = cast(dict[str, Any], result) if isinstance(result, dict) else {}
        if not found.get("access_token"):
            raise self._refusals.refused(found, self.skew)
        value = str(found["access_token"])
        self._check(claims_of(value))
        logger.debug("Signed in for the role %s", self._role, extra={"event": "signed_in"})
        return Token.received(value, float(found.get("expires_in", 0)), time.monotonic())

    def _check(self, claims: dict[str, Any]) -> None:
        """Refuse tokens that would cross tenants: a real one at a simulator, and the reverse."""
        if str(claims.get("tid", self._tenant_id)).lower() != self._tenant_id.lower():
            raise self._refusals.wrong_tenant()


def _client(
    options: Options, authority: str, identity: Identity, must_be_simulated: bool
) -> LoginClient:
    if identity.managed_identity:
        # the identity service is the host's own, and no proxy leads there
        return LoginClient(replace(options, proxy=None), None)
    return LoginClient(options, authority, must_be_simulated=must_be_simulated)


def _msal() -> Any:
    # ships no types, and is slow to import
    return import_module("msal")


def _managed(identity: Identity, client: LoginClient) -> Acquire:
    msal = _msal()
    which = (
        msal.UserAssignedManagedIdentity(client_id=identity.client_id)
        if identity.client_id
        else msal.SystemAssignedManagedIdentity()
    )
    application = msal.ManagedIdentityClient(which, http_client=client)
    # managed identities are asked for a resource, not for a scope
    return lambda scope: application.acquire_token_for_client(
        resource=scope.removesuffix("/.default")
    )


_shared: WeakValueDictionary[Hashable, SignIn] = WeakValueDictionary()


def shared(settings: MicrosoftSettings, role: str) -> SignIn:
    """Give the process's one sign-in of an identity; a forked child gets its own."""
    identity, options = settings.identity(role), options_of(settings)
    authority = settings.base_url or f"https://{CLOUDS[settings.where].login}"
    key = (os.getpid(), settings.tenant_id, authority, role, identity, options)
    found = _shared.get(key)
    if found is None:
        found = _shared[key] = SignIn(
            tenant_id=settings.tenant_id,
            authority=authority.rstrip("/"),
            identity=identity,
            role=role,
            options=options,
            must_be_simulated=settings.is_simulated,
        )
    return found
