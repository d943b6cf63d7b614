"""Microsoft's own SDKs for Sentinel and ingestion: they must not notice that it is a simulator."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from tests.plugins.quell_microsoft.simulator.sdks import Sdks

# they warn about themselves on new Pythons and leave sockets open: not what is tested here
pytestmark = pytest.mark.filterwarnings("ignore")
BRANCH = ("rg-soc", "ws-branch")
SOC = ("rg-soc", "ws-soc")


def incident(sdks: Sdks, client: Any, **fields: Any) -> Any:
    models = pytest.importorskip("azure.mgmt.securityinsight.models")
    wanted = {"title": "From the SDK", "severity": "High", "status": "New"} | fields
    name = str(uuid.uuid4())
    return client.incidents.create_or_update(*BRANCH, name, models.Incident(**wanted))


def status_of(call: Any, *arguments: Any) -> tuple[int, str]:
    """Give the status and the code of what a call is refused with."""
    errors = pytest.importorskip("azure.core.exceptions")
    with pytest.raises(errors.HttpResponseError) as refused:
        call(*arguments)
    return refused.value.status_code, refused.value.error.code


def test_the_sentinel_sdk_creates_reads_changes_and_deletes_an_incident(sdks: Sdks) -> None:
    # given
    client = sdks.sentinel()
    models = pytest.importorskip("azure.mgmt.securityinsight.models")

    # when
    created = incident(sdks, client, labels=[models.IncidentLabel(label_name="vip")])
    created.status = "Active"
    created.owner = models.IncidentOwnerInfo(user_principal_name="ada@tailspin.example")
    changed = client.incidents.create_or_update(*BRANCH, created.name, created)
    change = client.incidents.create_or_update
    read = client.incidents.get(*BRANCH, created.name)

    # then
    assert created.incident_number == 1
    assert changed.etag != created.etag
    assert status_of(change, *BRANCH, created.name, created) == (409, "Conflict")
    created.etag = None
    assert status_of(change, *BRANCH, created.name, created) == (409, "Conflict")
    assert (read.status, read.owner.user_principal_name) == ("Active", "ada@tailspin.example")
    assert [label.label_name for label in read.labels] == ["vip"]
    client.incidents.delete(*BRANCH, created.name)
    client.incidents.delete(*BRANCH, created.name)
    assert list(client.incidents.list(*BRANCH)) == []
    assert status_of(client.incidents.get, *BRANCH, created.name)[0] == 404


def test_the_sentinel_sdk_comments_up_to_the_limits(sdks: Sdks) -> None:
    # given
    client = sdks.sentinel()
    models = pytest.importorskip("azure.mgmt.securityinsight.models")
    sdks.tenant.config.throttle_scale = 0
    target = incident(sdks, client)
    comment = client.incident_comments.create_or_update

    # when
    for number in range(100):
        text = models.IncidentComment(message=f"number {number}")
        comment(*BRANCH, target.name, str(number), text)
    edited = comment(*BRANCH, target.name, "7", models.IncidentComment(message="seven"))
    too_many = status_of(
        comment, *BRANCH, target.name, "100", models.IncidentComment(message="one more")
    )
    client.incident_comments.delete(*BRANCH, target.name, "8")
    too_long = status_of(
        comment, *BRANCH, target.name, "8", models.IncidentComment(message="x" * 30_001)
    )

    # then
    assert (edited.message, edited.author.name) == ("seven", "quell-everything")
    assert (too_many[0], too_long[0]) == (400, 400)
    found = list(client.incident_comments.list(*BRANCH, target.name, top=40))
    assert len(found) == 99
    assert client.incidents.get(*BRANCH, target.name).additional_data.comments_count == 99


def test_the_sentinel_sdk_filters_orders_and_pages(sdks: Sdks) -> None:
    # given
    client = sdks.sentinel()
    severities = ["High", "Low", "High", "Medium", "High", "High", "High"]
    made = [incident(sdks, client, title=f"I{n}", severity=s) for n, s in enumerate(severities)]

    # when
    found = list(
        client.incidents.list(
            *BRANCH,
            filter="properties/severity eq 'High' and properties/incidentNumber gt 1",
            orderby="properties/createdTimeUtc asc",
            top=2,
        )
    )

    # then
    wanted = [item.name for item in made if item.severity == "High"][1:]
    assert [item.name for item in found] == wanted
    lists = sdks.tenant.ledger.calls_as_json()
    assert [row["count"] for row in lists if row["route"].endswith("/incidents")] == [2]
    listed = client.incidents.list(*BRANCH, top=1001)
    assert status_of(list, listed)[0] == 400


def test_the_sentinel_sdk_relates_a_bookmark(sdks: Sdks) -> None:
    # given
    client = sdks.sentinel()
    models = pytest.importorskip("azure.mgmt.securityinsight.models")
    target = incident(sdks, client)
    wanted = models.Bookmark(display_name="B", query="SecurityEvent | take 1")
    bookmark = client.bookmarks.create_or_update(*BRANCH, str(uuid.uuid4()), wanted)
    relation = models.Relation(related_resource_id=bookmark.id)

    # when
    made = client.incident_relations.create_or_update(*BRANCH, target.name, "r1", relation)
    listed = list(client.incident_relations.list(*BRANCH, target.name))
    bookmarks = client.incidents.list_bookmarks(*BRANCH, target.name)
    client.incident_relations.delete(*BRANCH, target.name, "r1")

    # then
    assert made.related_resource_name == bookmark.name
    assert [item.name for item in listed] == ["r1"]
    assert [item.display_name for item in bookmarks.value] == ["B"]
    assert list(client.incident_relations.list(*BRANCH, target.name)) == []


def test_the_sentinel_sdk_pages_through_what_the_connector_copied(sdks: Sdks) -> None:
    # given
    sdks.tenant.clock.advance(400)
    client = sdks.sentinel()

    # when
    found = list(client.incidents.list(*SOC, top=7, orderby="properties/lastModifiedTimeUtc asc"))

    # then
    assert len(found) == len(sdks.tenant.queue.incidents)
    assert all(item.last_modified_time_utc is not None for item in found)
    alerts = client.incidents.list_alerts(*SOC, found[0].name)
    assert alerts.value[0].system_alert_id
    entities = client.incidents.list_entities(*SOC, found[0].name)
    assert {entity.kind for entity in entities.entities}
    relations = list(client.incident_relations.list(*SOC, found[0].name))
    assert relations[0].related_resource_kind == "SecurityAlert"
    assert status_of(client.incidents.delete, *SOC, found[0].name)[0] == 400


def test_the_ingestion_sdk_uploads_rows(sdks: Sdks) -> None:
    # given
    client = sdks.ingestion()
    rows = [{"TimeGenerated": "2026-11-23T10:00:00Z", "Text": "x" * 2000} for _ in range(2000)]

    # when
    client.upload(sdks.tenant.dcr_immutable_id, "Custom-Evidence", rows)

    # then
    assert len(sdks.tenant.ingested["Custom-Evidence"]) == 2000


def test_the_ingestion_sdk_is_told_why_rows_are_refused(sdks: Sdks) -> None:
    # given
    client, stranger = sdks.ingestion(), sdks.ingestion("reader")
    rule = sdks.tenant.dcr_immutable_id
    large = [{"Text": "x" * (1024 * 1024)}]

    # when
    no_role = status_of(stranger.upload, rule, "Custom-Evidence", [{"Text": "a"}])
    no_rule = status_of(client.upload, "dcr-" + "0" * 32, "Custom-Evidence", [{"Text": "a"}])
    too_large = status_of(client.upload, rule, "Custom-Evidence", large)
    failed: list[Any] = []
    client.upload(rule, "Custom-Evidence", [*large, {"Text": "a"}], on_error=failed.append)

    # then
    assert no_role == (403, "OperationFailed")
    assert (no_rule[0], too_large[0]) == (404, 413)
    assert len(failed) == 1
    assert len(failed[0].failed_logs) == 1
    assert sdks.tenant.ingested["Custom-Evidence"] == [{"Text": "a"}]


def test_msal_signs_in_with_a_certificate_and_as_a_managed_identity(
    sdks: Sdks, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    msal = pytest.importorskip("msal")
    requests = pytest.importorskip("requests")
    trustme = pytest.importorskip("trustme")
    session = requests.Session()
    session.trust_env = False
    session.verify = str(sdks.running.ca_file)
    pair = trustme.CA().issue_cert("app.example", key_type=trustme.KeyType.RSA)
    app = sdks.tenant.registrations["reader"]
    app.certificate = pair.cert_chain_pems[0].bytes().decode()
    proof = {
        "private_key": pair.private_key_pem.bytes().decode(),
        "public_certificate": app.certificate,
    }
    client = msal.ConfidentialClientApplication(
        app.client_id,
        client_credential=proof,
        authority=f"{sdks.running.base_url}/{sdks.tenant.tenant_id}",
        instance_discovery=False,
        http_client=session,
    )
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{sdks.running.base_url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "anything")
    managed = msal.ManagedIdentityClient(msal.SystemAssignedManagedIdentity(), http_client=session)

    # when
    by_certificate = client.acquire_token_for_client(["https://graph.microsoft.com/.default"])
    by_identity = managed.acquire_token_for_client(resource="https://graph.microsoft.com")
    session.close()

    # then
    assert "access_token" in by_certificate, by_certificate
    assert "access_token" in by_identity, by_identity
