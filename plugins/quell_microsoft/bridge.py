"""How isolated actions use Microsoft's clients: the child builds a request, the worker sends it.

Settings, sign-in, tokens, quota and connections stay in the worker, which believes nothing of a
request but that this plugin's child process wants it sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec

from quell import Bridge, ConnectorContext
from quell.errors import RequestRefused
from quell_microsoft.answers import Answer
from quell_microsoft.api import ApiClient
from quell_microsoft.sending import Request

__all__ = ["FarSender", "bridge_of", "relay"]

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
#: who calls and where to is said by the worker alone
OURS = frozenset(
    {"authorization", "cookie", "host", "proxy-authorization", "user-agent", "content-length"}
    | {"connection", "transfer-encoding", "x-ms-authorization-auxiliary"}
)

Ask = Callable[[Any], Awaitable[Any]]


class FarSender:
    """Stands for a `Sender` in a child process."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def send(self, request: Request) -> Answer:
        """Have the worker send a request, by the rules that all share."""
        return msgspec.convert(await self._ask(request), Answer)

    async def aclose(self) -> None:
        """Do nothing: the connections are the worker's."""


async def relay(client: ApiClient, asked: Any) -> Answer:
    """Send in the worker what a child process built. Raises what sending raises."""
    try:
        request = msgspec.convert(asked, Request)
    except msgspec.ValidationError as error:
        raise _refused("it cannot be read") from error
    if request.method not in METHODS:
        raise _refused("its method is none that is used")
    if any(name.strip().lower() in OURS for name in request.headers):
        raise _refused("it has a header that only the worker sets")
    # a token goes to the API's own host only, whatever the child process says
    return await client.send(replace(request, url=client.checked(request.url)))


def bridge_of(client: type[ApiClient]) -> Bridge:
    """Give the bridge of one API's client."""

    def stand_in(context: ConnectorContext, ask: Ask) -> ApiClient:
        return client.build(context).sending_through(FarSender(ask))

    return Bridge(serve=relay, stand_in=stand_in)


def _refused(problem: str) -> RequestRefused:
    return RequestRefused(
        endpoint="a request from a child process",
        problem=f"not sent: {problem}",
        remedy="Nothing was sent. Report it to the authors of the action.",
    )
