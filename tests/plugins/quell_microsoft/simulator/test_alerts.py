"""Alerts in Graph: lists, changes, comments and moves between incidents."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator
from quell_microsoft.simulator.state.clock import parse_stamp

URL = "/v1.0/security/alerts_v2"


def two_incidents(control: httpx.Client) -> tuple[dict[str, Any], dict[str, Any]]:
    bodies = [
        control.post(
            "/defender/incidents",
            json={"displayName": name, "severity": "low", "alerts": [{"id": f"da{name}"}]},
        ).json()
        for name in ("one", "two")
    ]
    return bodies[0], bodies[1]


def test_alerts_are_listed_with_their_evidence_and_filtered(
    control: httpx.Client, graph: httpx.Client
) -> None:
    # given
    first, _ = two_incidents(control)
    control.post(
        f"/defender/incidents/{first['id']}/alerts",
        json={"id": "fax", "serviceSource": "microsoftDefenderForOffice365", "severity": "high"},
    )

    # when
    every = graph.get(URL).json()["value"]
    office = graph.get(
        URL, params={"$filter": "serviceSource eq 'microsoftDefenderForOffice365'"}
    ).json()["value"]

    # then
    assert {alert["id"] for alert in every} == {"daone", "datwo", "fax"}
    assert all("evidence" in alert for alert in every)
    assert [alert["id"] for alert in office] == ["fax"]
    incident = graph.get(f"/v1.0/security/incidents/{first['id']}").json()
    assert incident["severity"] == "high"
    assert incident["lastModifiedBy"] == "Microsoft 365 Defender-AlertCorrelation"


def test_a_large_page_of_alerts_is_clamped_and_expanding_is_refused(graph: httpx.Client) -> None:
    # when
    clamped = graph.get(f"{URL}?$top=5000")
    expanded = graph.get(f"{URL}?$expand=evidence")

    # then
    assert clamped.status_code == 200
    assert expanded.status_code == 400


def test_changing_an_alert_bumps_its_incident(control: httpx.Client, graph: httpx.Client) -> None:
    # given
    first, _ = two_incidents(control)

    # when
    changed = graph.patch(f"{URL}/daone", json={"status": "resolved", "assignedTo": "me"})
    commented = graph.post(f"{URL}/daone/comments", json={"comment": "seen"})

    # then
    assert changed.json()["resolvedDateTime"]
    assert commented.json()["value"][0]["comment"] == "seen"
    incident = graph.get(f"/v1.0/security/incidents/{first['id']}").json()
    before, after = (parse_stamp(body["lastUpdateDateTime"]) for body in (first, incident))
    assert before is not None
    assert after is not None
    assert after > before


@pytest.mark.parametrize("body", [{"severity": "low"}, {"status": "active"}, {"unheardOf": 1}])
def test_a_wrong_change_of_an_alert_is_refused(
    control: httpx.Client, graph: httpx.Client, body: dict[str, Any]
) -> None:
    # given
    two_incidents(control)

    # when
    answer = graph.patch(f"{URL}/daone", json=body)

    # then
    assert answer.status_code == 400


def test_alerts_move_to_another_incident_or_to_a_new_one(
    simulator: RunningSimulator, control: httpx.Client, graph: httpx.Client
) -> None:
    # given
    first, second = two_incidents(control)

    # when
    moved = graph.post(
        f"{URL}/moveAlerts", json={"alertIds": ["daone"], "incidentId": second["id"]}
    ).json()
    alone = graph.post(f"{URL}/moveAlerts", json={"alertIds": ["datwo"], "incidentId": None})

    # then
    assert moved["targetIncidentId"] == second["id"]
    new = alone.json()["targetIncidentId"]
    assert new not in (first["id"], second["id"])
    queue = simulator.tenant.queue
    assert [len(queue.alerts_of(i)) for i in (first["id"], second["id"], new)] == [0, 1, 1]
    assert graph.get(f"{URL}/datwo").json()["incidentId"] == new
    assert graph.get(f"{URL}/nothing").status_code == 404
