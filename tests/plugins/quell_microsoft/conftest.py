"""A small HTTPS server that stands in for Microsoft, and clients that are pointed at it.

It does exactly what a test tells it, down to cut connections, which the simulator, who plays a
whole tenant, does not.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
import trustme

from quell import OperationClass
from quell.domain.secret import Secret, decode_secret
from quell_microsoft import ApiClient, Identity, MicrosoftSettings
from quell_microsoft.signin import SignIn
from quell_microsoft.transport import options_of

TENANT = "00000000-0000-4000-8000-000000000001"
PLANTED = "planted-secret-7Qz"
ClientT = TypeVar("ClientT", bound=ApiClient)


@dataclass(kw_only=True)
class Received:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(kw_only=True)
class Say:
    """What is answered: a whole answer, the beginning of one, or nothing."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    #: bytes of the body that are sent before the connection is cut; None sends all
    cut_after: int | None = None
    #: keep the connection open after that instead
    stays: bool = False
    #: cut the connection without a word
    is_silent: bool = False

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


def jwt(**claims: Any) -> str:
    """Make a token that nobody signed."""

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part(claims)}.c2lnbmF0dXJl"


class StandIn:
    """The server: answers each route by its script; the last answer of a script repeats."""

    say = staticmethod(Say)
    jwt = staticmethod(jwt)
    tenant = TENANT
    planted = PLANTED

    def __init__(self, ca_file: Path, context: ssl.SSLContext) -> None:
        self.ca_file = str(ca_file)
        self.received: list[Received] = []
        self.pauses: list[tuple[OperationClass, float]] = []
        self.turns: list[tuple[OperationClass, int, bool]] = []
        self._context = context
        self._scripts: dict[str, list[Say | Callable[[Received], Say]]] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.clock_off = 0.0
        self.connections = 0
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=self._context, limit=1 << 20
        )
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.on(
            f"/{TENANT}/v2.0/.well-known/openid-configuration",
            Say(
                body={
                    "cloud_instance_name": "simulated",
                    "issuer": f"{self.url}/{TENANT}/v2.0",
                    "authorization_endpoint": f"{self.url}/{TENANT}/oauth2/v2.0/authorize",
                    "token_endpoint": f"{self.url}{self.token_path}",
                }
            ),
        )
        self.on(self.token_path, self.token())

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for _ in range(1000):
            if self._writers:
                await asyncio.sleep(0)

    # -- scripts -------------------------------------------------------------------------------

    token_path = f"/{TENANT}/oauth2/v2.0/token"

    def token(self, lifetime: int = 3599, **claims: Any) -> Say:
        """Make the answer of a good sign-in."""
        value = jwt(**({"tid": TENANT, "roles": ["SecurityIncident.Read.All"]} | claims))
        return Say(body={"token_type": "Bearer", "expires_in": lifetime, "access_token": value})

    def on(self, path: str, *answers: Say | Callable[[Received], Say]) -> None:
        """Say what a path answers, one after the other."""
        self._scripts[path] = list(answers)

    def to(self, path: str) -> list[Received]:
        """List the requests that arrived at a path."""
        return [request for request in self.received if request.path == path]

    @property
    def sign_ins(self) -> int:
        return len(self.to(self.token_path))

    # -- clients -------------------------------------------------------------------------------

    def settings(self, **changes: Any) -> MicrosoftSettings:
        """Give settings that point here."""
        values: dict[str, Any] = {
            "tenant_id": TENANT,
            "base_url": self.url,
            "ca_file": self.ca_file,
            "identities": {"reader": {"client_id": "app-reader", "client_secret": PLANTED}},
        }
        return msgspec.convert(
            values | changes, MicrosoftSettings, strict=False, dec_hook=decode_secret
        )

    def sign_in(self, identity: Identity, **changes: Any) -> SignIn:
        """Give a sign-in that asks here, with an identity that the settings would not send here."""
        options = options_of(self.settings())
        values: dict[str, Any] = {"tenant_id": TENANT, "authority": self.url, "role": "reader"}
        return SignIn(identity=identity, options=options, **(values | changes))

    def secret(self, text: str = PLANTED) -> Secret:
        return Secret(text)

    # -- quota: lets everything pass, and remembers ----------------------------------------------

    async def acquire(
        self, operation: OperationClass, *, cost: int = 1, for_containment: bool = False
    ) -> None:
        self.turns.append((operation, cost, for_containment))

    async def pause(self, operation: OperationClass, seconds: float) -> None:
        self.pauses.append((operation, seconds))

    # -- serving -------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:])
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Received(method=method, target=target, headers=headers, body=body)
        self.received.append(request)
        return await self._answer(request, writer)

    async def _answer(self, request: Received, writer: asyncio.StreamWriter) -> bool:
        script = self._scripts.get(urlsplit(request.path).path, [Say(status=404, body={})])
        chosen = script.pop(0) if len(script) > 1 else script[0]
        answer = chosen if isinstance(chosen, Say) else chosen(request)
        if answer.is_silent:
            return False
        content = answer.content()
        headers = {
            "Date": formatdate(time.time() - self.clock_off, usegmt=True),
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
        } | answer.headers
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        whole = content if answer.cut_after is None else content[: answer.cut_after]
        writer.write(f"HTTP/1.1 {answer.status} X\r\n{lines}\r\n".encode() + whole)
        await writer.drain()
        return answer.cut_after is None or answer.stays


@dataclass(frozen=True)
class Certificates:
    """A certificate authority of this test run, and a server certificate of it."""

    authority: trustme.CA
    ca_file: Path
    server: ssl.SSLContext


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Give certificates for 127.0.0.1."""
    authority = trustme.CA()
    ca_file = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    leaf: Any = authority.issue_cert("127.0.0.1")  # trustme's types name pyOpenSSL, unknown here
    leaf.configure_cert(context)
    return Certificates(authority, ca_file, context)


@pytest.fixture
async def service(certificates: Certificates) -> AsyncIterator[StandIn]:
    """Give a running stand-in."""
    running = StandIn(certificates.ca_file, certificates.server)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def other(certificates: Certificates) -> AsyncIterator[StandIn]:
    """Give a second server, which nobody should talk to."""
    running = StandIn(certificates.ca_file, certificates.server)
    await running.start()
    yield running
    await running.stop()


class Connect:
    """Makes clients of the stand-in and closes them at the end."""

    def __init__(self, service: StandIn) -> None:
        self._service = service
        self._made: list[ApiClient] = []

    def __call__(self, kind: type[ClientT], role: str = "reader", **changes: Any) -> ClientT:
        client = kind(self._service.settings(**changes), role, self._service)
        self._made.append(client)
        return client

    async def close(self) -> None:
        for client in self._made:
            await client.aclose()


@pytest.fixture
async def connect(service: StandIn) -> AsyncIterator[Connect]:
    """Give a maker of clients."""
    maker = Connect(service)
    yield maker
    await maker.close()
