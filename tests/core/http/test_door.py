"""The web door over real HTTP: who is believed, how little a call can do, and what health says."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import tomli_w
from tests.servers import free_port

from quell.domain.secret import Secret
from quell.domain.signature import sign
from quell.http import serve_door
from quell.runtime import Runtime, open_runtime
from quell.runtime.duty import Duty

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="
GUID = "00000000-0000-0000-0000-00000000000a"
BODY = b'{"object": {"name": "00000000-0000-0000-0000-00000000000c"}}'
OTHER = "whsec_b3RoZXJvdGhlcm90aGVyb3RoZXI="
TENANT = {
    "simulated": True,
    "webhooks": {"defender": OTHER},
    "microsoft": {
        "tenant_id": GUID,
        "base_url": "https://127.0.0.1:1",
        "identities": {"reader": {"client_id": GUID, "client_secret": "not-used-here"}},
    },
    "sentinel": {
        "webhook_secret": SECRET,
        "workspaces": [{"subscription_id": GUID, "resource_group": "rg", "workspace": "ws"}],
    },
}
Ask = Callable[[httpx.AsyncClient], Any]


@contextmanager
def runtime_with_door(folder: Path, port: int) -> Generator[Runtime]:
    folder.mkdir(exist_ok=True)
    config = folder / "quell.toml"
    settings = {"state_dir": "state", "http": {"port": port}, "tenant": {"lab": TENANT}}
    config.write_text(tomli_w.dumps(settings))
    with open_runtime(config) as runtime:
        yield runtime


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """Open a process with one tenant, and a door that nobody has opened yet."""
    with runtime_with_door(tmp_path, free_port()) as opened:
        yield opened


def through_the_door(runtime: Runtime, ask: Ask) -> Any:
    """Open the door, ask through it, and close it."""
    return runtime.run(_through(runtime, ask))


async def _through(runtime: Runtime, ask: Ask) -> Any:
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_door(runtime, stop))
    url = f"http://127.0.0.1:{runtime.settings.http.port}"
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        await _listening(runtime.settings.http.port)
        try:
            return await ask(client)
        finally:
            stop.set()
            await serving


async def _listening(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return


def signed(body: bytes = BODY, *, event_id: str = "e1", secret: str = SECRET) -> dict[str, str]:
    stamp = str(int(time.time()))
    return {
        "webhook-id": event_id,
        "webhook-timestamp": stamp,
        "webhook-signature": sign(Secret(secret), event_id, stamp, body),
    }


def poll_of(runtime: Runtime) -> Duty:
    """Give the duty that polls the workspace."""
    duties = runtime.tenant().duties(runtime.wake)
    (poll,) = [duty for duty in duties if duty.name == "poll/sentinel"]
    return poll


def test_a_signed_call_hastens_the_poll_and_its_repeat_is_dropped(runtime: Runtime) -> None:
    # given
    poll = poll_of(runtime)

    # when
    async def ask(client: httpx.AsyncClient) -> Any:
        first = await client.post("/webhooks/sentinel", content=BODY, headers=signed())
        was_hastened = poll.hasten.is_set()
        poll.hasten.clear()
        again = await client.post("/webhooks/sentinel", content=BODY, headers=signed())
        return first, was_hastened, again

    first, was_hastened, again = through_the_door(runtime, ask)

    # then
    assert (first.status_code, first.json()) == (202, {"accepted": True})
    assert was_hastened
    assert (again.status_code, again.json()) == (202, {"accepted": False})
    assert not poll.hasten.is_set()


@pytest.mark.parametrize("headers", [{}, signed(secret="another secret"), signed(b"another body")])
def test_a_caller_who_proves_nothing_is_refused_and_hastens_nothing(
    runtime: Runtime, headers: dict[str, str]
) -> None:
    # given
    poll = poll_of(runtime)

    # when
    answer = through_the_door(
        runtime,
        lambda client: client.post("/webhooks/sentinel", content=BODY, headers=headers),
    )

    # then
    assert answer.status_code == 401
    assert not poll.hasten.is_set()


def test_any_system_can_be_called_for_with_the_tenants_own_key(runtime: Runtime) -> None:
    # given
    duties = {duty.name: duty for duty in runtime.tenant().duties(runtime.wake)}

    # when
    async def ask(client: httpx.AsyncClient) -> Any:
        good = await client.post(
            "/webhooks/defender", content=b"{}", headers=signed(b"{}", secret=OTHER)
        )
        foreign = await client.post("/webhooks/defender", content=b"{}", headers=signed(b"{}"))
        elsewhere = await client.post(
            "/webhooks/sentinel", content=b"{}", headers=signed(b"{}", secret=OTHER)
        )
        return [answer.status_code for answer in (good, foreign, elsewhere)]

    # then
    assert through_the_door(runtime, ask) == [202, 401, 401]
    assert duties["poll/defender"].hasten.is_set()
    assert not duties["poll/sentinel"].hasten.is_set()


def test_a_body_that_is_too_long_is_refused_though_it_is_signed(runtime: Runtime) -> None:
    # given
    body = b"x" * ((1 << 20) + 1)

    # when
    answer = through_the_door(
        runtime,
        lambda client: client.post("/webhooks/sentinel", content=body, headers=signed(body)),
    )

    # then
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/webhooks/nobody", 404),
        ("GET", "/webhooks/sentinel", 405),
        ("GET", "/", 404),
        ("GET", "/healthz", 200),
    ],
)
def test_a_path_answers_what_it_is_for_and_nothing_else(
    runtime: Runtime, method: str, path: str, status: int
) -> None:
    # when
    answer = through_the_door(runtime, lambda client: client.request(method, path))

    # then
    assert answer.status_code == status


def test_readiness_says_which_duty_cannot_be_done(runtime: Runtime) -> None:
    # given
    poll = poll_of(runtime)

    # when
    async def ask(client: httpx.AsyncClient) -> Any:
        before = await client.get("/readyz")
        poll.problem = "no answer"
        return before, await client.get("/readyz")

    before, after = through_the_door(runtime, ask)

    # then
    assert (before.status_code, before.json()) == (200, {"ok": True, "problems": []})
    assert after.status_code == 503
    assert after.json()["problems"] == ["lab: poll/sentinel: no answer"]


def test_without_a_port_there_is_no_door(tmp_path: Path) -> None:
    # given
    with runtime_with_door(tmp_path, 0) as runtime:
        # when, then: it returns although nobody says stop
        runtime.run(serve_door(runtime, asyncio.Event()))


def test_a_port_that_is_taken_keeps_nobody_from_working_or_stopping(tmp_path: Path) -> None:
    # given
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = int(other.getsockname()[1])
        with runtime_with_door(tmp_path, port) as runtime:

            async def open_and_stop() -> bool:
                stop = asyncio.Event()
                serving = asyncio.create_task(serve_door(runtime, stop))
                await asyncio.sleep(0)
                was_waiting = not serving.done()
                stop.set()
                await serving
                return was_waiting

            # when, then
            assert runtime.run(open_and_stop())
