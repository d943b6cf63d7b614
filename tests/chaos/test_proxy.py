"""The lines that the chaos suite cuts, freezes and slows do what they are told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from tests.chaos.proxy import Proxies, Proxy
from tests.servers import free_port

HOST = "127.0.0.1"
PATIENCE = 20.0
#: long enough to notice that nothing comes
A_MOMENT = 0.2


@pytest.fixture
def echo() -> Iterator[int]:
    """Give the port of a server that says again what it hears."""
    with socket.create_server((HOST, 0)) as server:
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
        yield int(server.getsockname()[1])


def _serve(server: socket.socket) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return  # the test is over
        threading.Thread(target=_repeat, args=(client,), daemon=True).start()


def _repeat(client: socket.socket) -> None:
    with client:
        try:
            while heard := client.recv(1024):
                client.sendall(heard)
        except OSError:
            return  # cut, as it should be


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    """Give a place to open proxies in."""
    made = Proxies()
    yield made
    made.close()


def dial(proxy: Proxy) -> socket.socket:
    client = socket.create_connection((HOST, proxy.port), timeout=PATIENCE)
    client.settimeout(PATIENCE)
    return client


def hears_nothing(client: socket.socket) -> bool:
    client.settimeout(A_MOMENT)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(PATIENCE)
    return False


def is_broken(client: socket.socket) -> bool:
    try:
        client.sendall(b"x")
        return client.recv(1) == b""
    except OSError:
        return True


def test_what_is_said_goes_through_both_ways(proxies: Proxies, echo: int) -> None:
    with dial(proxies.open(echo)) as client:
        client.sendall(b"one")

        assert client.recv(10) == b"one"


def test_a_cut_line_breaks_what_is_connected_and_lets_nobody_in(
    proxies: Proxies, echo: int
) -> None:
    # given
    proxy = proxies.open(echo)
    with dial(proxy) as client:
        client.sendall(b"one")
        assert client.recv(10) == b"one"

        # when
        proxy.cut()

        # then
        assert is_broken(client)
        with dial(proxy) as late:
            assert is_broken(late)
    proxy.heal()
    with dial(proxy) as again:
        again.sendall(b"two")
        assert again.recv(10) == b"two"


def test_a_frozen_line_keeps_connections_and_loses_nothing(proxies: Proxies, echo: int) -> None:
    # given
    proxy = proxies.open(echo)
    with dial(proxy) as client:
        proxy.freeze()

        # when: one who was there, and one who comes now
        client.sendall(b"one")
        with dial(proxy) as late:
            late.sendall(b"two")
            assert hears_nothing(client)
            assert hears_nothing(late)
            proxy.heal()

            # then
            assert client.recv(10) == b"one"
            assert late.recv(10) == b"two"


def test_a_slow_line_keeps_the_order(proxies: Proxies, echo: int) -> None:
    # given
    proxy = proxies.open(echo)
    proxy.slow(0.05)
    with dial(proxy) as client:
        # when
        client.sendall(b"one")
        client.sendall(b"two")
        heard = b""
        while len(heard) < 6:
            heard += client.recv(10)

        # then
        assert heard == b"onetwo"


def test_with_nobody_behind_it_a_line_looks_dead(proxies: Proxies) -> None:
    with dial(proxies.open(free_port())) as client:
        assert is_broken(client)
