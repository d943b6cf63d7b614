"""Serves a simulated tenant over HTTPS on loopback, alone or in a thread of a test."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import ssl
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import trustme
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .app import build_app
from .config import SimulatorConfig, changed
from .connector import Connector
from .dispatch import Dispatcher
from .load import load_directory
from .routes import all_operations
from .state.tenant import Tenant
from .story import create_story
from .wire import Json

HOST = "127.0.0.1"
#: the open connections by the client's address
Connections = dict[tuple[str, int], asyncio.Transport]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    """How to start a simulator."""

    port: int = 0
    ready_file: Path | None = None
    load: Path | None = None
    story: bool = False
    #: the story's incidents wait for `POST /_simulator/release`
    queued: bool = False
    time_scale: float = 1.0
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any]) -> SimulatorOptions:
        """Read options as a command line gives them: paths as text, config as JSON text."""
        known = {name: value for name, value in options.items() if value is not None}
        for name in ("ready_file", "load"):
            if name in known:
                known[name] = Path(known[name])
        if isinstance(known.get("config"), str):
            known["config"] = msgspec.json.decode(known["config"], type=dict[str, Any])
        return cls(**known)


def serve(options: SimulatorOptions | Mapping[str, Any]) -> None:
    """Serve until SIGTERM or SIGINT; writes the ready file once the server answers."""
    if not isinstance(options, SimulatorOptions):
        options = SimulatorOptions.from_mapping(options)
    stopped = threading.Event()
    # before the ready file is there: whoever reads it may stop us at once
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    with start(options) as running:
        sys.stderr.write(f"Simulated tenant {running.tenant.tenant_id} at {running.base_url}\n")
        while not stopped.wait(0.2) and running.is_alive:
            pass


def start(options: SimulatorOptions | None = None) -> RunningSimulator:
    """Start a simulator in a thread; use as a context manager, or call `stop`."""
    return RunningSimulator(options or SimulatorOptions())


def build_tenant(options: SimulatorOptions) -> Tenant:
    """Make the tenant that the options describe."""
    config = changed(SimulatorConfig(), dict(options.config))
    tenant = Tenant(config, time_scale=options.time_scale)
    Connector(tenant).begin()
    if options.story:
        create_story(tenant, queued=options.queued)
    if options.load is not None:
        load_directory(tenant, options.load)
        for line in tenant.skipped:
            sys.stderr.write(f"skipped {line}\n")
    return tenant


class RunningSimulator:
    """A simulator that answers on loopback until it is stopped."""

    def __init__(self, options: SimulatorOptions) -> None:
        self.options = options
        self.tenant = build_tenant(options)
        self._folder = Path(tempfile.mkdtemp(prefix="quell-simulator-"))
        self.ca_file = self._folder / "ca.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        connections: Connections = {}
        config = _config(self.tenant, authority, options.port, connections)
        self._server = _Server(config, connections)
        self._thread = threading.Thread(target=self._run, name="quell-simulator", daemon=True)
        self._failure: BaseException | None = None
        self._thread.start()
        self._server.answers.wait(timeout=30)
        if self._failure is not None or not self._server.answers.is_set():
            self.stop()
            raise RuntimeError("the simulator did not start") from self._failure
        #: host and port that it listens on
        self.address: tuple[str, int] = self._server.servers[0].sockets[0].getsockname()[:2]
        if options.ready_file is not None:
            _write_atomically(options.ready_file, self.ready())

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self.address[1]

    @property
    def base_url(self) -> str:
        """The one address of all APIs."""
        return f"https://localhost:{self.port}"

    @property
    def is_alive(self) -> bool:
        """Whether the server still runs."""
        return self._thread.is_alive()

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """A context that trusts this simulator and nobody else."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def ready(self) -> Json:
        """Give what a client needs to know, as it stands in the ready file."""
        tenant = self.tenant
        workspace = tenant.workspaces[0]
        apps = tenant.registrations
        return {
            "base_url": self.base_url,
            "ca_file": str(self.ca_file),
            "tenant_id": tenant.tenant_id,
            "domain": tenant.domain,
            "client_id": apps["everything"].client_id,
            "client_secret": apps["everything"].client_secret,
            "identities": {
                role: {"client_id": app.client_id, "client_secret": app.client_secret}
                for role, app in apps.items()
            },
            "subscription_id": tenant.subscription_id,
            "resource_group": workspace.resource_group,
            "workspace": workspace.name,
            "workspace_id": workspace.guid,
            "workspaces": [
                {"resource_group": w.resource_group, "workspace": w.name, "workspace_id": w.guid}
                for w in tenant.workspaces
            ],
            "ingestion_url": self.base_url,
            "dcr_immutable_id": tenant.dcr_immutable_id,
            "control_token": tenant.control_token,
            "skipped": tenant.skipped,
            "pid": os.getpid(),
        }

    def stop(self) -> None:
        """Stop answering and take the CA file away; safe to repeat."""
        self._server.should_exit = True
        self._thread.join(timeout=10)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> RunningSimulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve())
        except BaseException as error:  # noqa: BLE001 - the thread's edge: `start` raises it again
            self._failure = error
            self._server.answers.set()


class _Server(uvicorn.Server):
    """A server without signal handlers that tells when it answers."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self.connections = connections
        self.answers = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        """Start listening, then tell."""
        await super().startup(sockets)
        self.answers.set()

    async def shutdown(self, sockets: Any = None) -> None:
        """Cut what is still connected: nobody waits for a simulator to say goodbye."""
        for server in self.servers:
            server.close()
        for transport in list(self.connections.values()):
            transport.abort()
        await asyncio.sleep(0.01)
        for server in self.servers:
            await server.wait_closed()

    async def main_loop(self) -> None:
        """Look for the end five times as often as the base class, for the sake of tests."""
        for counter in itertools.count():
            if await self.on_tick(counter // 5):
                return
            await asyncio.sleep(0.02)


def _config(
    tenant: Tenant, authority: trustme.CA, port: int, connections: Connections
) -> uvicorn.Config:
    def cut(client: tuple[str, int]) -> None:
        transport = connections.get(client)
        if transport is not None:
            transport.abort()

    class Protocol(H11Protocol):
        """HTTP that remembers its connections, so that one can be cut without an answer."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self.client is not None:
                connections[self.client] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            if self.client is not None:
                connections.pop(self.client, None)
            super().connection_lost(exc)

    dispatcher = Dispatcher(tenant, all_operations())
    config = uvicorn.Config(
        build_app(tenant, dispatcher, cut),
        host=HOST,
        port=port,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        # as the real services: a client that gives idle connections up earlier meets no dead one
        timeout_keep_alive=120,
        timeout_graceful_shutdown=1,
        server_header=False,
        date_header=False,
    )
    config.load()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    authority.issue_cert("localhost", HOST, "::1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType] - untyped library
    config.ssl = context
    return config


def _write_atomically(path: Path, content: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
    part.replace(path)
