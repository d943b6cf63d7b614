"""The door: HTTP in, the dispatcher's answer out, with the breakage that was ordered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from urllib.parse import unquote

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from .call import Call
from .dispatch import Dispatcher
from .state.tenant import Tenant
from .wire import Answer, Breakage

#: cuts the connection of a client, given its address
Cutter = Callable[[tuple[str, int]], None]


def build_app(tenant: Tenant, dispatcher: Dispatcher, cut: Cutter) -> ASGIApp:
    """Make the ASGI app of one tenant."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        answer = dispatcher.answer(await _read(tenant, request))
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.breakage is not Breakage.DROP:
            await _send(answer, send, tenant.wall_clock())
        if answer.breakage in (Breakage.DROP, Breakage.TRUNCATED):
            await _drop(scope, cut)

    return app


async def _read(tenant: Tenant, request: Request) -> Call:
    raw: bytes = request.scope.get("raw_path", b"") or request.url.path.encode()
    path = unquote(raw.split(b"?")[0].decode("latin-1"))
    return Call(
        tenant=tenant,
        method=request.method.upper(),
        path=path.rstrip("/") or "/",
        query=dict(request.query_params),
        headers={name.lower(): value for name, value in request.headers.items()},
        content=await request.body(),
        base=f"{request.url.scheme}://{request.headers.get('host', '')}",
    )


async def _drop(scope: Scope, cut: Cutter) -> None:
    """Cut the connection once what was sent before had time to leave."""
    await asyncio.sleep(0.02)
    client = scope.get("client")
    if client is not None:
        cut((client[0], client[1]))
    await asyncio.sleep(0.05)


async def _send(answer: Answer, send: Send, now: float) -> None:
    content = answer.content()
    length = len(content)
    if answer.breakage is Breakage.MALFORMED:
        content = b'{"value": [ nonsense'
        length = len(content)
    elif answer.breakage is Breakage.TRUNCATED:
        content = content[: length // 2]
    headers = {name.lower(): value for name, value in answer.headers.items()}
    if answer.body is not None:
        headers.setdefault("content-type", "application/json; charset=utf-8")
    if answer.status != 204:
        headers["content-length"] = str(length)
    headers.setdefault("date", formatdate(now, usegmt=True))
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    is_cut = answer.breakage is Breakage.TRUNCATED
    await send({"type": "http.response.body", "body": content, "more_body": is_cut})
