"""Microsoft's own SDKs against the simulator: they must not notice that it is one."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator, SimulatorOptions, start

# the SDKs warn about themselves on new Pythons; that is not what is tested here
pytestmark = pytest.mark.filterwarnings("default")
ARM_SCOPE = "https://management.azure.com/.default"


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSimulator]:
    # these variables beat `verify=` in everything that is built on requests
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with start(SimulatorOptions(story=True, config={"connector": True})) as running:
        yield running


def credential(running: RunningSimulator) -> Any:
    identity = pytest.importorskip("azure.identity")
    app = running.tenant.registrations["everything"]
    return identity.ClientSecretCredential(
        running.tenant.tenant_id,
        app.client_id,
        app.client_secret,
        authority=running.base_url,
        disable_instance_discovery=True,
        connection_verify=str(running.ca_file),
    )


def sentinel(running: RunningSimulator) -> Any:
    insight = pytest.importorskip("azure.mgmt.securityinsight")
    return insight.SecurityInsights(
        credential(running),
        running.tenant.subscription_id,
        base_url=running.base_url,
        credential_scopes=[ARM_SCOPE],
        connection_verify=str(running.ca_file),
    )


def test_the_sentinel_sdk_creates_reads_changes_and_deletes_an_incident(
    story: RunningSimulator,
) -> None:
    # given
    client = sentinel(story)
    models = pytest.importorskip("azure.mgmt.securityinsight.models")
    errors = pytest.importorskip("azure.core.exceptions")
    where = ("rg-soc", "ws-branch")
    name = str(uuid.uuid4())
    wanted = models.Incident(title="From the SDK", severity="High", status="New")

    # when
    created = client.incidents.create_or_update(*where, name, wanted)
    created.status = "Active"
    changed = client.incidents.create_or_update(*where, name, created)
    comment = models.IncidentComment(message="looked at it")
    client.incident_comments.create_or_update(*where, name, str(uuid.uuid4()), comment)

    # then
    assert created.incident_number == 1
    assert changed.etag != created.etag
    with pytest.raises(errors.HttpResponseError) as stale:
        client.incidents.create_or_update(*where, name, changed)
    assert stale.value.status_code == 409
    read = client.incidents.get(*where, name)
    assert read.additional_data.comments_count == 1
    assert [c.message for c in client.incident_comments.list(*where, name)] == ["looked at it"]
    client.incidents.delete(*where, name)
    assert list(client.incidents.list(*where)) == []


def test_the_sentinel_sdk_pages_through_what_the_connector_copied(story: RunningSimulator) -> None:
    # given
    story.tenant.clock.advance(400)
    client = sentinel(story)

    # when
    found = list(
        client.incidents.list(
            "rg-soc", "ws-soc", top=7, orderby="properties/lastModifiedTimeUtc asc"
        )
    )

    # then
    assert len(found) == len(story.tenant.queue.incidents)
    assert all(item.last_modified_time_utc is not None for item in found)
    alerts = client.incidents.list_alerts("rg-soc", "ws-soc", found[0].name)
    assert alerts.value[0].system_alert_id
    entities = client.incidents.list_entities("rg-soc", "ws-soc", found[0].name)
    assert {entity.kind for entity in entities.entities}
    relations = list(client.incident_relations.list("rg-soc", "ws-soc", found[0].name))
    assert relations[0].related_resource_kind == "SecurityAlert"


def test_the_graph_sdk_reads_incidents_with_their_alerts_and_changes_one(
    story: RunningSimulator,
) -> None:
    # given
    models = pytest.importorskip("msgraph.generated.models.security.incident")
    members = pytest.importorskip("msgraph.generated.models.security.incident_status")

    async def use_it() -> tuple[Any, Any, Any]:
        client, close = graph(story)
        try:
            page = await client.security.incidents.get()
            first = page.value[0]
            change = models.Incident(status=members.IncidentStatus.InProgress)
            changed = await client.security.incidents.by_incident_id(first.id).patch(change)
            alerts = await client.security.alerts_v2.get()
            return page, changed, alerts
        finally:
            await close()

    # when
    page, changed, alerts = asyncio.run(use_it())

    # then
    assert len(page.value) == len(story.tenant.queue.incidents)
    assert changed.status == members.IncidentStatus.InProgress
    assert changed.last_modified_by == "API-App:quell-everything"
    kinds = {type(item).__name__ for alert in alerts.value for item in alert.evidence}
    assert {"DeviceEvidence", "UserEvidence", "AnalyzedMessageEvidence"} <= kinds


def test_the_graph_sdk_hunts_and_ends_sessions(story: RunningSimulator) -> None:
    # given
    body = pytest.importorskip(
        "msgraph.generated.security.microsoft_graph_security_run_hunting_query."
        "run_hunting_query_post_request_body"
    )
    user = story.tenant.users.find(f"olu.adeyemi@{story.tenant.domain}")
    assert user is not None

    async def use_it() -> tuple[Any, Any]:
        client, close = graph(story)
        try:
            query = body.RunHuntingQueryPostRequestBody(
                query=f'IdentityInfo | where AccountUpn == "{user.body["userPrincipalName"]}"'
            )
            hunt = client.security.microsoft_graph_security_run_hunting_query
            ended = client.users.by_user_id(user.body["id"]).revoke_sign_in_sessions
            return await hunt.post(query), await ended.post()
        finally:
            await close()

    # when
    hunted, ended = asyncio.run(use_it())

    # then
    assert hunted.results[0].additional_data["AccountObjectId"] == uuid.UUID(user.body["id"])
    assert ended.value is True


def test_the_ingestion_sdk_uploads_rows(story: RunningSimulator) -> None:
    # given
    ingestion = pytest.importorskip("azure.monitor.ingestion")
    client = ingestion.LogsIngestionClient(
        story.base_url, credential(story), connection_verify=str(story.ca_file)
    )
    rows = [{"TimeGenerated": "2026-11-23T10:00:00Z", "Text": "x" * 2000} for _ in range(2000)]

    # when
    client.upload(story.tenant.dcr_immutable_id, "Custom-Evidence", rows)

    # then
    assert len(story.tenant.ingested["Custom-Evidence"]) == 2000


def test_msal_signs_in_with_a_certificate_and_as_a_managed_identity(
    story: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    msal = pytest.importorskip("msal")
    requests = pytest.importorskip("requests")
    trustme = pytest.importorskip("trustme")
    session = requests.Session()
    session.trust_env = False
    session.verify = str(story.ca_file)
    pair = trustme.CA().issue_cert("app.example", key_type=trustme.KeyType.RSA)
    app = story.tenant.registrations["reader"]
    app.certificate = pair.cert_chain_pems[0].bytes().decode()
    proof = {
        "private_key": pair.private_key_pem.bytes().decode(),
        "public_certificate": app.certificate,
    }
    client = msal.ConfidentialClientApplication(
        app.client_id,
        client_credential=proof,
        authority=f"{story.base_url}/{story.tenant.tenant_id}",
        instance_discovery=False,
        http_client=session,
    )
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{story.base_url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "anything")
    managed = msal.ManagedIdentityClient(msal.SystemAssignedManagedIdentity(), http_client=session)

    # when
    by_certificate = client.acquire_token_for_client(["https://graph.microsoft.com/.default"])
    by_identity = managed.acquire_token_for_client(resource="https://graph.microsoft.com")
    session.close()

    # then
    assert "access_token" in by_certificate, by_certificate
    assert "access_token" in by_identity, by_identity


def graph(running: RunningSimulator) -> tuple[Any, Any]:
    """Build Microsoft's Graph client for the simulator, and what closes it."""
    sdk = pytest.importorskip("msgraph")
    core = pytest.importorskip("msgraph_core")
    request_adapter = pytest.importorskip("msgraph.graph_request_adapter")
    azure = pytest.importorskip("kiota_authentication_azure.azure_identity_authentication_provider")
    identity = pytest.importorskip("azure.identity.aio")
    transport = pytest.importorskip("azure.core.pipeline.transport")
    app = running.tenant.registrations["everything"]
    signed_in = identity.ClientSecretCredential(
        running.tenant.tenant_id,
        app.client_id,
        app.client_secret,
        authority=running.base_url,
        disable_instance_discovery=True,
        transport=transport.AsyncioRequestsTransport(connection_verify=str(running.ca_file)),
    )
    provider = azure.AzureIdentityAuthenticationProvider(
        signed_in,
        scopes=["https://graph.microsoft.com/.default"],
        allowed_hosts=["localhost", f"localhost:{running.port}"],
    )
    context: ssl.SSLContext = running.ssl_context
    http = core.GraphClientFactory.create_with_default_middleware(
        client=httpx.AsyncClient(verify=context)
    )
    adapter = request_adapter.GraphRequestAdapter(provider, client=http)
    adapter.base_url = f"{running.base_url}/v1.0"

    async def close() -> None:
        await http.aclose()
        await signed_in.close()

    return sdk.GraphServiceClient(request_adapter=adapter), close
