"""Starting from recorded payloads: they come back as they were, and actions on them work."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator, SimulatorOptions, start

#: recorded payloads, which are not part of the project: beside the checkout, or where told
SAMPLES = (
    Path(os.environ.get("QUELL_SAMPLES") or Path(__file__).parents[5] / "shared" / "samples")
    / "defender"
)
PREFER = {"Prefer": "include-unknown-enum-members"}
DEVICE = {
    "@odata.type": "#microsoft.graph.security.deviceEvidence",
    "mdeDeviceId": "b" * 40,
    "deviceDnsName": "ws-9.corp.example",
    "osPlatform": "Windows11",
    "roles": ["compromised"],
}
MAIL = {
    "@odata.type": "#microsoft.graph.security.analyzedMessageEvidence",
    "networkMessageId": "n-1",
    "recipientEmailAddress": "r@tailspin.example",
    "deliveryLocation": "inbox",
}
PERSON = {
    "@odata.type": "#microsoft.graph.security.userEvidence",
    "userAccount": {"accountName": "kim", "userSid": "S-1-5-21-7-7-7-1107"},
}
STRANGE = {
    "@odata.type": "#microsoft.graph.security.tomorrowEvidence",
    "x": [{"y": 1.5}],
    "z": "\ud800",
}


@contextmanager
def client(running: RunningSimulator, resource: str) -> Generator[httpx.Client]:
    app = running.tenant.registrations["everything"]
    form = {
        "grant_type": "client_credentials",
        "client_id": app.client_id,
        "client_secret": app.client_secret,
        "scope": f"{resource}/.default",
    }
    with httpx.Client(base_url=running.base_url, verify=running.ssl_context) as made:
        token = made.post(f"/{running.tenant.tenant_id}/oauth2/v2.0/token", data=form).json()
        made.headers["Authorization"] = f"Bearer {token['access_token']}"
        yield made


def alert(name: str, **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "id": name,
        "title": "T",
        "severity": "high",
        "serviceSource": "microsoftDefenderForEndpoint",
        "createdDateTime": "2024-05-06T07:08:09.1234567Z",
        "lastUpdateDateTime": "2024-05-06T07:08:09.1234567Z",
        "evidence": [],
    }
    return {**base, **changes}


def incident(name: Any, **changes: Any) -> dict[str, Any]:
    base = {
        "id": name,
        "displayName": "D",
        "redirectIncidentId": None,
        "status": "active",
        "severity": "low",
        "createdDateTime": "2024-05-06T07:08:09Z",
        "lastUpdateDateTime": "2024-05-06T07:08:09Z",
    }
    return {**base, **changes}


def write(folder: Path, name: str, content: Any) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")


def test_every_wrapping_is_read_and_the_rest_is_named(tmp_path: Path) -> None:
    # given
    write(tmp_path, "a.json", incident("1"))
    write(tmp_path, "b.json", {"value": [incident("2"), incident("3", alerts=[alert("da3")])]})
    write(tmp_path, "deep/c.json", [{"response": {"body": incident(4)}}])
    write(tmp_path, "d.json", alert("da5", incidentId="50"))
    write(tmp_path, "e.json", {"original": json.dumps(alert("da6"))})
    write(tmp_path, "f.json", json.dumps(incident("7")) + "\n" + json.dumps(incident("8")))
    write(tmp_path, "bad.json", "{")
    write(tmp_path, "other.json", {"hello": ["world"]})
    write(tmp_path, "empty.json", "")

    # when
    with start(SimulatorOptions(load=tmp_path)) as running:
        queue = running.tenant.queue
        skipped = running.ready()["skipped"]

        # then
        assert {"1", "2", "3", "4", "50", "7", "8"} < set(queue.incidents)
        assert len(queue.incidents) == 8
        assert len(queue.alerts_of("3")) == len(queue.alerts_of("50")) == 1
        assert sorted(line.partition(":")[0] for line in skipped) == [
            "bad.json",
            "empty.json",
            "other.json",
        ]


def test_recorded_payloads_come_back_as_they_were(tmp_path: Path) -> None:
    # given
    recorded = incident(
        "9",
        unheardOf={"deep": [1, 2.5, None, "\u0430"]},
        comments=[{"comment": "old", "createdBy": "a", "createdTime": "2021-09-30T12:07:37Z"}],
        alerts=[alert("da9", incidentId="28282", evidence=[DEVICE, STRANGE], classification="odd")],
    )
    write(tmp_path, "a.json", recorded)

    # when
    with (
        start(SimulatorOptions(load=tmp_path)) as running,
        client(running, "https://graph.microsoft.com") as graph,
    ):
        url = "/v1.0/security/incidents/9?$expand=alerts"
        body = graph.get(url, headers=PREFER).json()
        listed = graph.get(url.replace("/9", ""), headers=PREFER).json()["value"][0]

    # then
    body.pop("@odata.context")
    assert body == recorded
    assert listed == recorded


def test_what_evidence_speaks_of_can_be_acted_on(tmp_path: Path) -> None:
    # given
    write(tmp_path, "a.json", incident("9", alerts=[alert("da9", evidence=[DEVICE, MAIL, PERSON])]))

    # when
    with start(SimulatorOptions(load=tmp_path)) as running:
        with client(running, "https://api.securitycenter.microsoft.com") as endpoint:
            body = {"Comment": "x", "IsolationType": "Full"}
            isolated = endpoint.post(f"/api/machines/{'b' * 40}/isolate", json=body)
        tenant = running.tenant

        # then
        assert isolated.status_code == 201
        found = tenant.mail.find("N-1", "R@tailspin.example")
        assert found is not None
        assert found.location == "inbox_folder"
        person = tenant.users.find_by_sid("S-1-5-21-7-7-7-1107")
        assert person is not None
        assert person.is_synced


def test_of_two_versions_of_an_incident_the_later_stays(tmp_path: Path) -> None:
    # given
    newer = "2024-06-01T00:00:00Z"
    write(tmp_path, "a.json", incident("9", severity="high", lastUpdateDateTime=newer))
    write(tmp_path, "b.json", incident("9", severity="low"))
    write(tmp_path, "c.json", [alert("da1"), alert("da1")])

    # when
    with start(SimulatorOptions(load=tmp_path)) as running:
        queue = running.tenant.queue

        # then
        assert queue.incidents["9"].body["severity"] == "high"
        assert len(queue.alerts) == 1
        assert len(running.tenant.skipped) == 2


@pytest.mark.parametrize(
    "hostile",
    [
        incident(True),
        incident("9", createdDateTime=5, lastUpdateDateTime={"a": 1}, comments="x", alerts=[1, None]),
        alert("da1", evidence={"not": "a list"}, incidentId=["x"]),
        alert("da1", evidence=[None, 5, {"@odata.type": 7}, {**DEVICE, "mdeDeviceId": 7}]),
        alert("da1", evidence=[{**PERSON, "userAccount": "x"}, {**MAIL, "urls": "x"}]),
        alert("da1", evidence=[{**MAIL, "receivedDateTime": "never", "deliveryLocation": "moon"}]),
        [[[[incident("9")]]]],
        "x",
        None,
        5,
    ],
)  # fmt: skip
def test_a_hostile_file_does_not_stop_the_simulator(tmp_path: Path, hostile: Any) -> None:
    # given
    write(tmp_path, "a.json", hostile)
    write(tmp_path, "b.json", incident("77"))

    # when
    with (
        start(SimulatorOptions(load=tmp_path)) as running,
        client(running, "https://graph.microsoft.com") as graph,
    ):
        incidents = graph.get("/v1.0/security/incidents?$expand=alerts")
        mails = graph.get(
            "/v1.0/security/collaboration/analyzedEmails?startTime=2020-01-01T00:00:00Z"
        )
        alerts = graph.get("/v1.0/security/alerts_v2?$orderby=lastUpdateDateTime asc")

    # then
    assert (incidents.status_code, mails.status_code, alerts.status_code) == (200, 200, 200)
    assert "77" in {row["id"] for row in incidents.json()["value"]}


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="recorded samples are not here")
def test_the_recorded_samples_load_and_come_back_whole() -> None:
    # given
    recorded = json.loads((SAMPLES / "graph_incidents_expand_alerts_mde_docs.json").read_text())
    single = json.loads((SAMPLES / "graph_alert_mdo_zap_2023.json").read_text())

    # when
    with start(SimulatorOptions(load=SAMPLES)) as running:
        with client(running, "https://graph.microsoft.com") as graph:
            body = graph.get(
                "/v1.0/security/incidents/2972395?$expand=alerts", headers=PREFER
            ).json()
            alone = graph.get(f"/v1.0/security/alerts_v2/{single['id']}", headers=PREFER).json()
        skipped = " ".join(running.tenant.skipped)

    # then
    body.pop("@odata.context")
    alone.pop("@odata.context")
    assert body == recorded["value"][0]
    assert {name: alone[name] for name in single} == single
    assert "legacy_incidents_list_mdo.json" in skipped
    assert "graph_alert_mdo_2026.json" not in skipped


RESOURCE = (
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
    "/providers/Microsoft.SecurityInsights/"
)


def test_hostile_resources_of_sentinel_are_kept_or_named_and_break_nothing(tmp_path: Path) -> None:
    # given
    odd: list[Any] = [None, 7, "x", [], {}, [{}], True, {"a": [None]}, "\ud800"]
    names = (
        "title", "labels", "owner", "providerName", "providerIncidentId", "incidentNumber",
        "createdTimeUtc", "lastModifiedTimeUtc", "additionalData", "alerts", "comments",
    )  # fmt: skip
    bodies = [
        {"id": f"{RESOURCE}incidents/{name}-{n}", "etag": value, "properties": {name: value}}
        for name in names
        for n, value in enumerate(odd)
    ]
    bodies += [
        {"id": RESOURCE + path, "properties": {}} for path in ("", "/", "a/b/c", "incidents")
    ]
    bodies += [{"IncidentName": "i", "TimeGenerated": "x", "Owner": value} for value in odd]
    write(tmp_path, "odd.json", json.dumps(bodies))

    # when
    with start(SimulatorOptions(load=tmp_path)) as running:
        workspace = running.tenant.workspaces[0]
        with client(running, "https://management.azure.com") as arm:
            path = workspace.arm_id("incidents")
            ordered = {"$orderby": "properties/lastModifiedTimeUtc asc", "$top": "1000"}
            answer = arm.get(path, params={"api-version": "2025-09-01", **ordered})

    # then
    assert answer.status_code == 200
    assert len(answer.json()["value"]) == len(names) * len(odd)
    assert len(workspace.tables["SecurityIncident"]) >= len(odd)
