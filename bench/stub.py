"""A product that answers every request with the same bytes after a set time, in its own process.

Plain HTTP, no parsing beyond the end of the head: what is measured is who calls it.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from multiprocessing.connection import Connection

__all__ = ["REQUEST", "Stub", "ceiling", "stub_server"]

BODY = b'{"value": []}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)
REQUEST = b"GET /quick HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
#: what is asked for without the delay
QUICK = b"GET /quick "
HEAD_END = b"\r\n\r\n"
PATIENCE = 60.0
#: connections and seconds that its own ceiling is measured with
CONNECTIONS, SECONDS = 64, 2.0


@dataclass(frozen=True, slots=True)
class Stub:
    """The server as the measurement sees it."""

    url: str
    port: int
    _pipe: Connection

    def take_count(self) -> int:
        """Give how many requests were answered since the last look."""
        self._pipe.send("count")
        if not self._pipe.poll(PATIENCE):
            raise TimeoutError("the stub does not answer")
        return int(self._pipe.recv())


@contextlib.contextmanager
def stub_server(seconds: float) -> Generator[Stub, None, None]:
    """Run the server until the block ends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, seconds), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(PATIENCE):
            raise TimeoutError("the stub does not start")
        port = int(ours.recv())
        yield Stub(f"http://127.0.0.1:{port}/", port, ours)
    finally:
        ours.close()
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()


def ceiling(stub: Stub) -> float:
    """Measure how many requests a second it answers without the delay, with a bare client."""
    stub.take_count()
    begin = time.perf_counter()
    asyncio.run(_hurry(stub.port, begin + SECONDS))
    return stub.take_count() / (time.perf_counter() - begin)


async def _hurry(port: int, until: float) -> None:
    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while time.perf_counter() < until:
                writer.write(REQUEST)
                await reader.readexactly(len(ANSWER))
        finally:
            writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(ask())


# -- the server's process ------------------------------------------------------------------------


class _Served(asyncio.Protocol):
    """One connection; requests have no bodies, and wait for their answers."""

    count = 0
    seconds = 0.0

    def __init__(self) -> None:
        self._seen = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._seen = (self._seen + data).split(HEAD_END)
        for head in heads:
            if head.startswith(QUICK):
                self._answer()
            else:
                asyncio.get_running_loop().call_later(self.seconds, self._answer)

    def _answer(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            _Served.count += 1
            self._transport.write(ANSWER)


def _serve(pipe: Connection, seconds: float) -> None:
    _Served.seconds = seconds
    asyncio.run(_listen(pipe))


async def _listen(pipe: Connection) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    server = await loop.create_server(_Served, sock=listener)
    pipe.send(listener.getsockname()[1])

    def answer() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                pipe.recv()
                count, _Served.count = _Served.count, 0
                pipe.send(count)
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=answer, daemon=True).start()
    await stop.wait()
    server.close()
