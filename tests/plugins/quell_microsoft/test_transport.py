"""The transport by itself: proxies, bounds, and what is shared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest

from quell_microsoft import transport
from quell_microsoft.transport import Options, PlainTransport, SendFailure, Transport

if TYPE_CHECKING:
    from tests.plugins.quell_microsoft.conftest import Certificates, StandIn

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def listening(serve: object, **options: object) -> AsyncGenerator[int, None]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - passed through
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class Proxy:
    """A proxy that joins two connections and remembers where it was asked to go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        target = head.decode().split(" ")[1]
        self.asked.append(target)
        host, _, port = target.rpartition(":")
        there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def test_calls_and_sign_ins_go_through_the_proxy_and_stay_encrypted(
    service: StandIn,
) -> None:
    # given
    service.on("/x", service.say(body={"a": 1}))
    proxy = Proxy()
    async with listening(proxy.serve) as port:
        options = Options(ca_file=service.ca_file, proxy=f"http://127.0.0.1:{port}")
        calls, sign_ins = Transport(options), PlainTransport(options)
        secret = {"Authorization": f"Bearer {service.planted}"}

        # when
        first = await calls.send("GET", f"{service.url}/x", headers=secret)
        second = await anyio.to_thread.run_sync(
            lambda: sign_ins.send("GET", f"{service.url}/x", headers=secret)
        )
        await calls.aclose()
        sign_ins.close()

    # then
    assert first.content == second.content == b'{"a": 1}'
    assert proxy.asked == [service.url.removeprefix("https://")] * 2
    assert all(service.planted.encode() not in head for head in proxy.heads)


async def test_a_server_that_drips_is_not_waited_for_without_end(
    certificates: Certificates,
) -> None:
    # given a server that sends a byte now and then, always in time for the next read
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        except OSError:
            writer.transport.abort()

    async with listening(drip, ssl=certificates.server) as port:
        slow = Transport(
            Options(ca_file=str(certificates.ca_file), connect_timeout=0.3, read_timeout=0.1)
        )

        # when
        with pytest.raises(SendFailure) as caught:
            await slow.send("GET", f"https://127.0.0.1:{port}/", headers={})
        await slow.aclose()

    # then
    assert caught.value.was_sent
    assert caught.value.reason == "no answer in time"


async def test_connections_close_when_the_last_user_gives_them_back(service: StandIn) -> None:
    # given
    options = Options(ca_file=service.ca_file)
    first, second = transport.borrow(options), transport.borrow(options)

    # when
    await transport.give_back(options)
    still_shared = transport.borrow(options) is first
    await transport.give_back(options)
    await transport.give_back(options)
    afresh = transport.borrow(options)
    await transport.give_back(options)

    # then
    assert first is second
    assert still_shared
    assert afresh is not first


async def test_options_show_no_proxy() -> None:
    assert "proxy.example" not in repr(Options(proxy="http://proxy.example:1"))
