"""A bridge for connectors that are httpx clients: the child names a path, the worker calls it.

    class SwitchClient(httpx.AsyncClient):
        \"\"\"Signed in at the switch.\"\"\"

    ConnectorSpec(kind=SwitchClient, build=…, close=SwitchClient.aclose, bridge=http_bridge(SwitchClient))

The real client, with its address, its credentials and its connections, stays in the worker. What
the action gets has no address: whatever it asks for goes to the real client's own host.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import msgspec

from quell.domain.offers import Bridge, ConnectorContext
from quell.errors import BadAnswer, RequestRefused

__all__ = ["http_bridge"]

#: stands for the real address in a child process
NOWHERE = httpx.URL("http://worker.invalid")
#: said by the worker's client alone, besides whatever it is set up to send
OURS = frozenset(
    {"authorization", "connection", "content-length", "cookie", "host", "proxy-authorization"}
    | {"transfer-encoding", "user-agent", "accept-encoding"}
)
#: about how the answer came, or for the worker's client only
NOT_PASSED_ON = frozenset({"content-encoding", "content-length", "set-cookie", "transfer-encoding"})
MOST_BYTES = 64 * 1024 * 1024

Ask = Callable[[Any], Awaitable[Any]]


class WebRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a child wants to be called: a path below the real client's address."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes = b""


class WebAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes = b""
    #: `connect` where nothing was sent, `answer` where no whole answer came, empty otherwise
    failed: str = ""


class FarTransport(httpx.AsyncBaseTransport):
    """Has the worker send what a client in a child process sends."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises as any transport does."""
        if (request.url.scheme, request.url.host) != (NOWHERE.scheme, NOWHERE.host):
            raise httpx.UnsupportedProtocol(
                "Isolated, it calls its own host only.", request=request
            )
        asked = WebRequest(
            method=request.method,
            path=request.url.raw_path.decode("ascii"),
            headers=tuple(request.headers.multi_items()),
            content=await request.aread(),
        )
        answer = msgspec.convert(await self._ask(asked), WebAnswer)
        if answer.failed == "connect":
            raise httpx.ConnectError("no connection", request=request)
        if answer.failed:
            raise httpx.ReadError("no whole answer came", request=request)
        return httpx.Response(
            answer.status, headers=list(answer.headers), content=answer.content, request=request
        )


async def relay(client: httpx.AsyncClient, asked: Any) -> WebAnswer:
    """Call in the worker what a child asks for. Raises RequestRefused, BadAnswer."""
    request = _request(client, asked)
    try:
        response = await client.send(request, stream=True, follow_redirects=False)
        content = await _content(client, response)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol):
        return WebAnswer(failed="connect")
    except (httpx.HTTPError, httpx.StreamError):
        return WebAnswer(failed="answer")
    headers = response.headers.multi_items()
    return WebAnswer(
        status=response.status_code,
        headers=tuple(one for one in headers if one[0].lower() not in NOT_PASSED_ON),
        content=content,
    )


def _request(client: httpx.AsyncClient, asked: Any) -> httpx.Request:
    home = client.base_url
    try:
        wanted = msgspec.convert(asked, WebRequest)
        own = {name.lower() for name in client.headers} - {"accept"}
        headers = [one for one in wanted.headers if one[0].lower() not in own | OURS]
        path = "/" + wanted.path.lstrip("/")
        request = client.build_request(
            wanted.method, path, headers=headers, content=wanted.content or None
        )
    except (msgspec.ValidationError, httpx.InvalidURL, ValueError, TypeError) as error:
        raise _refused(home, "it cannot be read") from error
    to = request.url
    if (to.scheme, to.host, to.port) != (home.scheme, home.host, home.port):
        raise _refused(home, "the address is not the client's own")
    return request


async def _content(client: httpx.AsyncClient, response: httpx.Response) -> bytes:
    found = bytearray()
    try:
        async for part in response.aiter_bytes():
            found += part
            if len(found) > MOST_BYTES:
                raise BadAnswer(endpoint=client.base_url.host, problem="the answer is too large")
    finally:
        await response.aclose()
    return bytes(found)


def _refused(home: httpx.URL, problem: str) -> RequestRefused:
    return RequestRefused(
        endpoint=home.host or "a client without an address",
        problem=f"not sent: {problem}",
        remedy="Nothing was sent. Report it to the authors of the action.",
    )


def http_bridge(kind: type[httpx.AsyncClient]) -> Bridge:
    """Give the bridge of a connector that is an httpx client with a `base_url`."""

    def stand_in(context: ConnectorContext, ask: Ask) -> httpx.AsyncClient:
        # the worker's client has the timeouts
        return kind(transport=FarTransport(ask), base_url=NOWHERE, timeout=None)

    return Bridge(serve=relay, stand_in=stand_in)
