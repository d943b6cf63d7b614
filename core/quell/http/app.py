"""Health, readiness, metrics and `POST /webhooks/{source}`, which hastens a poll and no more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from quell.domain.offers import ConnectorContext, WebhookEvent, WebhookVerifier
from quell.domain.secret import Secret
from quell.domain.signature import signed_id
from quell.meters import WEBHOOKS

__all__ = ["Door", "make_app"]

logger = structlog.get_logger(__name__)

#: a webhook only says that something happened; anything longer is not one
LONGEST_BODY = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What the web door needs of a process."""

    #: by tenant name: what its verifiers are given
    contexts: Mapping[str, ConnectorContext]
    verifiers: Sequence[WebhookVerifier]
    #: by tenant name: the secret of each system's signed calls
    secrets: Mapping[str, Mapping[str, Secret]]
    #: whether any tenant has a source of a system, so that it may be called for
    systems: frozenset[str]
    #: writes an event down and hastens the poll; False for a repeat
    receive: Callable[[str, WebhookEvent], Awaitable[bool]]
    #: what keeps this process from working, in words; empty when it is ready
    problems: Callable[[], Awaitable[Sequence[str]]]
    #: writes the page that Prometheus reads
    metrics: Callable[[], Awaitable[bytes]]
    #: what kind of page that is
    metrics_type: str


def make_app(door: Door) -> Starlette:
    """Build the web application of one process."""
    verifiers = {verifier.source: verifier for verifier in door.verifiers}

    async def health(_: Request) -> Response:
        # answered on the loop that drives runs: no answer means that it does not turn any more
        return JSONResponse({"ok": True})

    async def ready(_: Request) -> Response:
        problems = list(await door.problems())
        return JSONResponse(
            {"ok": not problems, "problems": problems}, status_code=503 if problems else 200
        )

    async def metrics(_: Request) -> Response:
        return Response(await door.metrics(), media_type=door.metrics_type)

    async def webhook(request: Request) -> Response:
        source = request.path_params["source"]
        if source not in verifiers and source not in door.systems:
            return Response(status_code=404)
        body = await _read(request)
        if body is None:
            return Response(status_code=413)
        headers = dict(request.headers)
        for tenant, context in door.contexts.items():
            event = _signed(door, tenant, source, headers, body, context)
            if event is None and source in verifiers:
                event = await verifiers[source].verify(headers, body, context)
            if event is not None:
                is_new = await door.receive(tenant, event)
                WEBHOOKS.add(source, "accepted" if is_new else "repeated")
                return JSONResponse({"accepted": is_new}, status_code=202)
        # nothing of the body is believed, or logged, when the caller did not prove who it is
        logger.warning("A webhook was refused", event_name="webhook_refused")
        WEBHOOKS.add(source, "refused")
        return Response(status_code=401)

    return Starlette(
        routes=[
            Route("/healthz", health),
            Route("/readyz", ready),
            Route("/metrics", metrics),
            Route("/webhooks/{source}", webhook, methods=["POST"]),
        ]
    )


def _signed(
    door: Door,
    tenant: str,
    source: str,
    headers: Mapping[str, str],
    body: bytes,
    context: ConnectorContext,
) -> WebhookEvent | None:
    """Take a call that is signed with the tenant's own secret, whoever sends it."""
    secret = door.secrets.get(tenant, {}).get(source)
    event_id = signed_id(secret, headers, body, context.clock.now())
    return None if event_id is None else WebhookEvent(source_system=source, event_id=event_id)


async def _read(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY:
            return None
    return bytes(body)
