"""Serving the web door inside a worker, where the settings give it a port."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import structlog

from quell.runtime import Runtime

__all__ = ["serve_door"]

logger = structlog.get_logger(__name__)

#: seconds until a port that somebody else has is tried again
TRY_EVERY = 5.0


async def serve_door(runtime: Runtime, stop: asyncio.Event) -> None:
    """Serve the door until told to stop; returns at once where it has no port.

    Where another process of this host has the port, that one serves: this one waits for it.
    """
    settings = runtime.settings.http
    if not settings.port:
        return
    bound = await _bind(settings.bind, settings.port, stop)
    if bound is not None:
        with bound:
            await _serve(runtime, bound, stop)


async def _bind(host: str, port: int, stop: asyncio.Event) -> socket.socket | None:
    is_said = False
    while not stop.is_set():
        try:
            return _listen(host, port)
        except OSError as error:
            if not is_said:
                logger.warning(
                    "The web door cannot have %s port %s: %s",
                    host,
                    port,
                    error.strerror or "no such address",
                    event_name="door_taken",
                )
            is_said = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), TRY_EVERY)
    return None


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=128)


async def _serve(runtime: Runtime, bound: socket.socket, stop: asyncio.Event) -> None:
    from quell.http.server import make_server  # costs 60 ms that a process without a door needs not

    host, port, *_ = bound.getsockname()
    server = make_server(runtime)
    serving = asyncio.create_task(server.serve([bound]))
    logger.info("The web door listens on %s port %s", host, port, event_name="door_open")
    await stop.wait()
    server.should_exit = True
    await serving
