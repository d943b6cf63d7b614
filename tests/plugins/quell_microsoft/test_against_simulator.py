"""The clients against the simulated tenant: the two must agree on everything that both name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pytest

from quell.domain.secret import Secret, decode_secret
from quell.errors import AnswerNotFound, PermissionMissing, SignInRefused
from quell_microsoft import (
    ApiClient,
    ArmClient,
    BatchRequest,
    EndpointClient,
    GraphClient,
    MicrosoftSettings,
)
from quell_microsoft.signin import shared
from quell_microsoft.simulated import settings_from
from quell_microsoft.simulator.server import RunningSimulator, SimulatorOptions, start
from quell_microsoft.transport import Transport, options_of

if TYPE_CHECKING:
    from tests.plugins.quell_microsoft.conftest import StandIn

pytestmark = pytest.mark.anyio
ClientT = TypeVar("ClientT", bound=ApiClient)
SCOPE = "https://graph.microsoft.com/.default"


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    """Run a simulated tenant."""
    with start(SimulatorOptions(story=True)) as running:
        yield running


@pytest.fixture
def settings(simulator: RunningSimulator) -> MicrosoftSettings:
    """Give the settings that `quell simulate` would write."""
    section = settings_from(simulator.ready())["microsoft"]
    return msgspec.convert(section, MicrosoftSettings, dec_hook=decode_secret)


class Clients:
    """Makes clients by role and closes them."""

    def __init__(self, settings: MicrosoftSettings, quota: Any) -> None:
        self.settings = settings
        self._quota = quota
        self._made: list[ApiClient] = []

    def graph(self, role: str = "reader") -> GraphClient:
        return self._keep(GraphClient(self.settings, role, self._quota))

    def endpoint(self, role: str = "reader") -> EndpointClient:
        return self._keep(EndpointClient(self.settings, role, self._quota))

    def arm(self, role: str = "reader") -> ArmClient:
        return self._keep(ArmClient(self.settings, role, self._quota))

    def _keep(self, client: ClientT) -> ClientT:
        self._made.append(client)
        return client

    async def close(self) -> None:
        for client in self._made:
            await client.aclose()


@pytest.fixture
async def clients(settings: MicrosoftSettings, service: StandIn) -> AsyncIterator[Clients]:
    """Give a maker of clients; the stand-in lends its quota only."""
    made = Clients(settings, service)
    yield made
    await made.close()


async def test_incidents_are_read_page_by_page(clients: Clients) -> None:
    # given
    path, params = "/v1.0/security/incidents", {"$top": "7"}

    # when
    pages = [page["value"] async for page in clients.graph().pages(path, params)]

    # then
    ids = [incident["id"] for page in pages for incident in page]
    assert len(pages) > 1
    assert len(set(ids)) == len(ids)


async def test_each_api_accepts_its_own_token(
    clients: Clients, simulator: RunningSimulator
) -> None:
    # given
    ready = simulator.ready()
    workspace = (
        f"/subscriptions/{ready['subscription_id']}/resourceGroups/{ready['resource_group']}"
        f"/providers/Microsoft.OperationalInsights/workspaces/{ready['workspace']}"
        "/providers/Microsoft.SecurityInsights/incidents"
    )

    # when
    machines = await clients.endpoint().get("/api/machines", {"$top": "1"})
    incidents = await clients.arm().get(workspace, {"api-version": "2025-09-01"})

    # then
    assert len(machines["value"]) == 1
    assert isinstance(incidents["value"], list)


async def test_an_identity_without_the_permission_is_told_which(clients: Clients) -> None:
    # when
    with pytest.raises(PermissionMissing) as caught:
        await clients.graph("mail").get(
            "/v1.0/security/incidents", permission="SecurityIncident.Read.All"
        )

    # then
    assert "SecurityIncident.Read.All to the identity for the role 'mail'" in caught.value.remedy


async def test_what_is_not_there_is_not_found(clients: Clients) -> None:
    with pytest.raises(AnswerNotFound):
        await clients.graph().get("/v1.0/security/incidents/999999999")


async def test_a_batch_is_answered_one_by_one(clients: Clients) -> None:
    # given
    wanted = [
        BatchRequest(id="list", path="/v1.0/security/incidents", params={"$top": "2"}),
        BatchRequest(id="none", path="/v1.0/security/incidents/999999999"),
    ]

    # when
    found, missing = await clients.graph().batch(wanted)

    # then
    assert len(found.body["value"]) == 2
    assert isinstance(missing.error, AnswerNotFound)


async def test_tokens_say_what_the_simulated_identity_may_do(settings: MicrosoftSettings) -> None:
    granted = await shared(settings, "user").granted(SCOPE)
    assert "User.EnableDisableAccount.All" in granted
    assert not {name for name in granted if name.startswith("Machine.")}


async def test_a_wrong_secret_is_refused_with_entras_own_number(
    settings: MicrosoftSettings,
) -> None:
    # given
    reader = msgspec.structs.replace(settings.identity("reader"), client_secret=Secret("wrong"))
    wrong = msgspec.structs.replace(settings, identities={"reader": reader})

    # when
    with pytest.raises(SignInRefused) as caught:
        await shared(wrong, "reader").token(SCOPE)

    # then
    assert caught.value.vendor_code == "AADSTS7000215"


async def test_ordered_faults_are_ridden_out_by_reads(
    clients: Clients, simulator: RunningSimulator
) -> None:
    # given
    rules = [
        {
            "method": "GET",
            "path": "/security/alerts_v2",
            "kind": kind,
            "times": 1,
            "retry_after": 0.1,
        }
        for kind in ("429", "drop", "truncated")
    ]
    await _order_faults(clients, simulator, rules)

    # when
    page = await clients.graph().get("/v1.0/security/alerts_v2", {"$top": "1"})

    # then
    assert len(page["value"]) == 1


async def _order_faults(
    clients: Clients, simulator: RunningSimulator, rules: list[dict[str, Any]]
) -> None:
    transport = Transport(options_of(clients.settings))
    try:
        reply = await transport.send(
            "PUT",
            f"{simulator.base_url}/_simulator/faults",
            headers={"X-Simulator-Token": simulator.ready()["control_token"]},
            content=msgspec.json.encode(rules),
        )
    finally:
        await transport.aclose()
    assert reply.status < 300, reply.content
