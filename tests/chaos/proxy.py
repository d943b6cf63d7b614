"""TCP proxies that can cut, freeze and slow what goes through them, one for each dependency of a worker."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["Proxies", "Proxy"]

T = TypeVar("T")
HOST = "127.0.0.1"


class _End(asyncio.Protocol):
    """One end of a connection: what comes in here goes out at the other end."""

    def __init__(self, link: _Link) -> None:
        self._link = link
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self.is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport; the client's end then reaches for the server."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._link.client is self:
            self._link.begin()
        elif self._link.client.is_over:
            transport.abort()  # the client left meanwhile

    def data_received(self, data: bytes) -> None:
        """Hand on."""
        self._link.carry(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hang up at the other end, after what is still on its way."""
        self.is_over = True
        self._link.carry(self, b"")

    def put(self, data: bytes) -> None:
        """Send; nothing means that the other side has hung up."""
        if self.transport is None:
            return
        if data:
            self.transport.write(data)
        else:
            self.transport.close()


class _Link:
    """One connection through a proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.client = _End(self)
        self.server = _End(self)
        self.client.other, self.server.other = self.server, self.client
        self._kept: list[tuple[_End, bytes]] = []
        self._is_connected = False

    def begin(self) -> None:
        """Take up a connection, unless the line is cut."""
        if self._proxy.is_cut:
            self.abort()
            return
        self._proxy.links.add(self)
        if not self._proxy.is_frozen:
            self._proxy.reach(self)

    def connected(self) -> None:
        """Send what waited for the server."""
        self._is_connected = True
        self.flush()

    def carry(self, end: _End, data: bytes) -> None:
        """Carry data from one end to the other: now, late, or once the line thaws."""
        to = end.other
        assert to is not None
        if not data and self.client.is_over and self.server.is_over:
            self._proxy.links.discard(self)
        if self._proxy.is_frozen or not self._is_connected:
            self._kept.append((to, data))
        elif self._proxy.delay:
            asyncio.get_running_loop().call_later(self._proxy.delay, to.put, data)
        else:
            to.put(data)

    def flush(self) -> None:
        """Send what was kept, in order."""
        kept, self._kept = self._kept, []
        for to, data in kept:
            to.put(data)

    def thaw(self) -> None:
        """Go on after a freeze."""
        if self._is_connected:
            self.flush()
        else:
            self._proxy.reach(self)

    def abort(self) -> None:
        """Break both ends at once."""
        self._kept.clear()
        for end in (self.client, self.server):
            if end.transport is not None:
                end.transport.abort()
        self._proxy.links.discard(self)


class Proxy:
    """One port that leads to another. Its methods can be called from any thread."""

    def __init__(self, proxies: Proxies, port: int) -> None:
        self._proxies = proxies
        self._to = port
        self._server: asyncio.Server | None = None
        self._reaching: set[asyncio.Task[None]] = set()
        self.port = 0
        self.links: set[_Link] = set()
        self.is_cut = False
        self.is_frozen = False
        self.delay = 0.0

    def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        self._proxies.do(self._cut)

    def freeze(self) -> None:
        """Let nothing through, and keep the connections: as from a host that hangs."""
        self._proxies.do(lambda: setattr(self, "is_frozen", True))

    def slow(self, seconds: float) -> None:
        """Let everything through so much later, each way."""
        self._proxies.do(lambda: setattr(self, "delay", seconds))

    def heal(self) -> None:
        """Let everything through again, at once."""
        self._proxies.do(self._heal)

    async def listen(self) -> None:
        """Begin to listen, on the proxies' own loop."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Link(self).client, HOST, 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, and break what is left."""
        self._cut()
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*self._reaching, return_exceptions=True)

    def reach(self, link: _Link) -> None:
        """Connect a client to the server behind."""
        task = asyncio.get_running_loop().create_task(self._reach(link))
        self._reaching.add(task)
        task.add_done_callback(self._reaching.discard)

    async def _reach(self, link: _Link) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: link.server, HOST, self._to)
        except OSError:
            link.abort()  # nobody listens there: so it looks from here
        else:
            link.connected()

    def _cut(self) -> None:
        self.is_cut = True
        for link in list(self.links):
            link.abort()

    def _heal(self) -> None:
        was_frozen = self.is_frozen
        self.is_cut, self.is_frozen, self.delay = False, False, 0.0
        for link in list(self.links) if was_frozen else []:
            link.thaw()


class Proxies:
    """All proxies of a stage, on one event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self.all: list[Proxy] = []

    def open(self, port: int) -> Proxy:
        """Make a proxy that leads to a port of this host."""
        proxy = Proxy(self, port)
        self._wait(proxy.listen())
        self.all.append(proxy)
        return proxy

    def heal(self) -> None:
        """Heal every line."""
        for proxy in self.all:
            proxy.heal()

    def do(self, act: Callable[[], object]) -> None:
        """Do something on the loop, and wait until it is done."""

        async def run() -> None:
            act()

        self._wait(run())

    def close(self) -> None:
        """Close every proxy and end the thread."""
        for proxy in self.all:
            with contextlib.suppress(TimeoutError):
                self._wait(proxy.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)
