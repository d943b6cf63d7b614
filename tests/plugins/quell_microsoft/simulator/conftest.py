"""A simulated tenant per test, reached over real HTTPS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from tests.plugins.quell_microsoft.simulator.sdks import Sdks

from quell_microsoft.simulator.server import RunningSimulator, SimulatorOptions, start

RESOURCES = {
    "graph": "https://graph.microsoft.com",
    "endpoint": "https://api.securitycenter.microsoft.com",
    "arm": "https://management.azure.com",
    "monitor": "https://monitor.azure.com",
    "logs": "https://api.loganalytics.io",
}


@pytest.fixture
def simulator() -> Iterator[RunningSimulator]:
    """Run an empty tenant."""
    with start(SimulatorOptions()) as running:
        yield running


@pytest.fixture
def as_app(simulator: RunningSimulator) -> Iterator[Callable[[str, str], httpx.Client]]:
    """Give a client that is signed in as one of the apps, for one of the APIs."""
    with ExitStack() as stack:

        def sign_in(role: str, api: str) -> httpx.Client:
            app = simulator.tenant.registrations[role]
            client = httpx.Client(base_url=simulator.base_url, verify=simulator.ssl_context)
            stack.enter_context(client)
            form = {
                "grant_type": "client_credentials",
                "client_id": app.client_id,
                "client_secret": app.client_secret,
                "scope": f"{RESOURCES[api]}/.default",
            }
            answer = client.post(f"/{simulator.tenant.tenant_id}/oauth2/v2.0/token", data=form)
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            return client

        yield sign_in


@pytest.fixture
def graph(as_app: Callable[[str, str], httpx.Client]) -> httpx.Client:
    """Give a client of Graph that may do everything."""
    return as_app("everything", "graph")


@pytest.fixture
def control(simulator: RunningSimulator) -> Iterator[httpx.Client]:
    """Give a client of the simulator's own API."""
    with httpx.Client(
        base_url=f"{simulator.base_url}/_simulator",
        verify=simulator.ssl_context,
        headers={"X-Simulator-Token": simulator.tenant.control_token},
    ) as client:
        yield client


@pytest.fixture
def sdks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sdks]:
    """Run the story with Microsoft's connector on, for Microsoft's own SDKs."""
    # these variables beat `verify=` in everything that is built on requests
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with start(SimulatorOptions(story=True, config={"connector": True})) as running:
        opened = Sdks(running)
        yield opened
        opened.close()
