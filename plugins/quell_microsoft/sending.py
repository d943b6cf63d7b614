"""Sends one API's requests for one identity: turn, token, call, judgement, and once more if safe."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from quell.domain.ports import Quota
from quell.errors import BadAnswer, ConnectorError, SignInRefused, Throttled, Unreachable
from quell_microsoft.addresses import Address, route
from quell_microsoft.answers import Answer, Unreadable, parse
from quell_microsoft.errors import CallName, NotSent, error_of
from quell_microsoft.limits import WITHOUT_HINT, operation_class
from quell_microsoft.settings import MicrosoftSettings

if TYPE_CHECKING:
    from quell_microsoft.signin import SignIn
    from quell_microsoft.transport import Reply, Transport

__all__ = ["Request", "Sender"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call, before it has a token."""

    method: str
    url: str = field(repr=False)
    operation: str
    permission: str = ""
    body: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    is_repeatable: bool = True
    for_containment: bool = False
    cost: int = 1
    read_timeout: float | None = None


class Sender:
    """What all clients of an API, tenant and identity do with a request."""

    def __init__(
        self,
        settings: MicrosoftSettings,
        role: str,
        quota: Quota,
        address: Address,
        fixed_headers: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._role = role
        self._quota = quota
        self._address = address
        self._fixed_headers = fixed_headers
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transport: Transport | None = None
        self._sign_in: SignIn | None = None

    async def send(self, request: Request) -> Answer:
        """Send a request, again where that is safe."""
        from quell_microsoft.retries import attempts

        if not request.is_repeatable:
            return await self._send_once(request)
        async for attempt in attempts(self._settings.attempts):
            with attempt:
                return await self._send_once(request)
        raise AssertionError("the last attempt returns or raises")

    async def _send_once(self, request: Request) -> Answer:
        """Send once; a token that was refused is renewed, since nothing can have happened."""
        token = await self._turn(request)
        try:
            return await self._answer(request, token)
        except SignInRefused as refused:
            if refused.status != 401:
                raise
        self._signed_in().renew(self._address.scope, token)
        return await self._answer(request, await self._turn(request))

    async def _turn(self, request: Request) -> str:
        """Wait for leave to call, and give a token: in this order, so that it is not stale."""
        await self._quota.acquire(
            operation_class(self._address.api, request.operation),
            cost=request.cost,
            for_containment=request.for_containment,
        )
        return await self._signed_in().token(self._address.scope)

    async def _answer(self, request: Request, token: str) -> Answer:
        call = self._name(request)
        started = time.monotonic()
        reply = await self._exchange(request, call, token)
        logger.debug(
            "%s: %s in %d ms, client-request-id %s",
            call.endpoint,
            reply.status,
            (time.monotonic() - started) * 1000,
            call.request_id,
            extra={"event": "microsoft_call", "status": reply.status},
        )
        return await self._judge(request, call, reply)

    def _name(self, request: Request) -> CallName:
        return CallName(
            api=str(self._address.api),
            method=request.method,
            route=route(request.url),
            request_id=str(uuid.uuid4()),
            permission=request.permission,
            role=self._role,
        )

    async def _exchange(self, request: Request, call: CallName, token: str) -> Reply:
        from quell_microsoft.transport import AnswerTooLarge, SendFailure

        content, kind = _content(request.body)
        try:
            return await self._opened().send(
                request.method,
                request.url,
                headers=self._headers(request, call, token) | kind,
                content=content,
                read_timeout=request.read_timeout,
            )
        except SendFailure as failure:
            raise _not_answered(call, failure.reason, failure.was_sent) from None
        except AnswerTooLarge:
            raise _bad(call, "the answer is larger than 64 MB") from None

    def _headers(self, request: Request, call: CallName, token: str) -> dict[str, str]:
        from quell_microsoft.version import user_agent

        return {
            "Accept": "application/json",
            "User-Agent": user_agent(),
            "client-request-id": call.request_id,
            "x-ms-client-request-id": call.request_id,
            "return-client-request-id": "true",
            **self._fixed_headers,
            **request.headers,
            "Authorization": f"Bearer {token}",
        }

    async def _judge(self, request: Request, call: CallName, reply: Reply) -> Answer:
        body = _body(call, reply)
        error = error_of(call, reply.status, reply.headers, body)
        if error is not None:
            await self._heed(request, error)
            raise error
        if request.method == "GET" and (reply.status == 206 or body is None):
            problem = "the answer is partial" if reply.status == 206 else "the answer is empty"
            raise _bad(call, problem, reply)
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return Answer(status=reply.status, body=body, headers=headers, request_id=call.request_id)

    async def _heed(self, request: Request, error: ConnectorError) -> None:
        """Pass a vendor's request to wait on to everybody who calls that class."""
        if not isinstance(error, Throttled):
            return
        seconds = error.retry_after if error.retry_after is not None else WITHOUT_HINT
        await self._quota.pause(operation_class(self._address.api, request.operation), seconds)

    def _opened(self) -> Transport:
        from quell_microsoft import transport

        loop = asyncio.get_running_loop()
        if self._transport is None or self._loop is not loop:
            self._transport = transport.borrow(transport.options_of(self._settings))
            self._loop = loop
        return self._transport

    def _signed_in(self) -> SignIn:
        if self._sign_in is None:
            from quell_microsoft.signin import shared

            self._sign_in = shared(self._settings, self._role)
        return self._sign_in

    async def aclose(self) -> None:
        """Give the connections back."""
        if self._transport is None:
            return
        from quell_microsoft import transport

        self._transport = None
        await transport.give_back(transport.options_of(self._settings))


def _content(body: Any) -> tuple[bytes | None, dict[str, str]]:
    if body is None:
        return None, {}
    if isinstance(body, bytes):
        return body, {}
    return msgspec.json.encode(body), {"Content-Type": "application/json; charset=utf-8"}


def _body(call: CallName, reply: Reply) -> Any:
    """Parse the body; an unreadable one matters only where the status promised a good one."""
    try:
        return parse(reply.content)
    except Unreadable as problem:
        if 200 <= reply.status < 300:
            raise _bad(call, f"the answer is not JSON ({problem})", reply) from None
        return None


def _bad(call: CallName, problem: str, reply: Reply | None = None) -> BadAnswer:
    return BadAnswer(
        endpoint=call.endpoint,
        status=reply.status if reply else None,
        request_id=call.request_id,
        problem=problem,
        remedy="A proxy on the way may have cut it; if it lasts, report the endpoint.",
    )


def _not_answered(call: CallName, reason: str, was_sent: bool) -> Unreachable:
    kind = Unreachable if was_sent else NotSent
    return kind(
        endpoint=call.endpoint,
        request_id=call.request_id,
        problem=reason,
        remedy="Check the network, the proxy and `microsoft.ca_file`; `quell doctor` tries each "
        "host." + (" A write may have taken effect: look before repeating it." if was_sent else ""),
    )
