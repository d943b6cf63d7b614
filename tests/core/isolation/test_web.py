"""A connector that is an httpx client: the action speaks HTTP, the worker does the calling."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from tests.core.isolation.stage import TOKEN, Plugin, Stage, make_stage

from quell.domain.outcome import Failed, Succeeded
from quell.errors import RequestRefused
from quell.isolation.isolation import ChildProcesses
from quell.web import relay


class Interface(BaseHTTPRequestHandler):
    """The product: it tells what it was asked, or goes away without a word."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/gone"):
            self.close_connection = True
            return
        told: dict[str, Any] = {"path": self.path, "headers": {}, "body": json.loads(body)}
        told["headers"] = {name.lower(): value for name, value in self.headers.items()}
        self.send_response(307 if self.path.endswith("/elsewhere") else 202)
        self.send_header("Location", "http://127.0.0.1:1/other")
        self.send_header("Set-Cookie", "session=planted")
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # named by the library
        """Say nothing."""


@pytest.fixture(scope="module")
def product() -> Iterator[str]:
    """Serve the product, and give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Interface)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def web(plugin: Plugin, processes: ChildProcesses, product: str) -> AsyncIterator[Stage]:
    """Give a tenant whose switch is the product."""
    stage = make_stage(plugin, processes, url=product)
    yield stage
    await stage.connectors.close()


@pytest.mark.anyio
async def test_the_workers_client_makes_the_call_and_signs_it(web: Stage) -> None:
    # when
    outcome = await web.act("device.fetch", text="/ports/7?of=pc-1")

    # then
    assert isinstance(outcome, Succeeded)
    told = outcome.data["json"]
    assert outcome.data["status"] == 202
    assert told["path"] == "/api/ports/7?of=pc-1"
    assert told["body"] == {"it": 1}
    assert told["headers"]["authorization"] == f"Bearer {TOKEN}"
    assert told["headers"]["host"].startswith("127.0.0.1:")
    assert told["headers"]["x-mine"] == "yes"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:1/other", "https://worker.invalid/x"], ids=["host", "scheme"]
)
async def test_no_other_host_is_called(web: Stage, target: str) -> None:
    # when
    outcome = await web.act("device.fetch", text=target)

    # then
    assert outcome == Failed(reason="UnsupportedProtocol")


@pytest.mark.anyio
async def test_a_redirect_to_another_host_is_not_followed(web: Stage) -> None:
    # when
    outcome = await web.act("device.fetch", text="/elsewhere")

    # then
    assert isinstance(outcome, Succeeded)
    assert outcome.data["status"] == 307


@pytest.mark.anyio
async def test_an_answer_that_does_not_come_is_httpx_own_error(web: Stage) -> None:
    # then
    assert await web.act("device.fetch", text="/gone") == Failed(reason="ReadError")


@pytest.mark.anyio
async def test_a_product_that_is_not_there_is_httpx_own_error(
    plugin: Plugin, processes: ChildProcesses
) -> None:
    # given
    stage = make_stage(plugin, processes, url="http://127.0.0.1:1")

    # when
    outcome = await stage.act("device.fetch", text="/ports")
    await stage.connectors.close()

    # then
    assert outcome == Failed(reason="ConnectError")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "asked",
    [
        {"method": "GET", "path": "//127.0.0.1:1/other"},
        {"method": "GET", "path": "/../../other"},
        {"method": "GET", "path": "http://127.0.0.1:1/other"},
    ],
    ids=["two slashes", "dots", "address"],
)
async def test_whatever_path_is_named_the_host_is_the_clients_own(
    product: str, asked: dict[str, Any]
) -> None:
    # given
    seen: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url)
        return httpx.Response(200, headers={"Set-Cookie": "a=b"})

    async with httpx.AsyncClient(base_url=product, transport=httpx.MockTransport(answer)) as client:
        # when
        found = await relay(client, asked)

    # then
    assert [url.netloc for url in seen] == [httpx.URL(product).netloc]
    assert found.headers == ()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "asked",
    [
        None,
        {"method": "GET"},
        {"method": "GET", "path": "/", "to": "x"},
        {"method": 1, "path": "/"},
    ],
    ids=["nothing", "no path", "more", "type"],
)
async def test_what_cannot_be_read_is_refused(product: str, asked: Any) -> None:
    # given
    async with httpx.AsyncClient(base_url=product) as client:
        # then
        with pytest.raises(RequestRefused):
            await relay(client, asked)
