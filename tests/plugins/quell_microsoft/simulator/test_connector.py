"""Microsoft's own connector, when it is switched on: copies that follow and answer back."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator
from quell_microsoft.simulator.state.workspaces import SentinelIncident


@pytest.fixture
def paired(
    simulator: RunningSimulator, control: httpx.Client
) -> tuple[dict[str, Any], SentinelIncident]:
    control.patch("/config", json={"connector": True, "connector_delay_seconds": 300})
    body = control.post(
        "/defender/incidents",
        json={"displayName": "D", "severity": "high", "alerts": [{"id": "da1"}, {"id": "da2"}]},
    ).json()
    control.post("/clock/advance", json={"seconds": 301})
    copy = simulator.tenant.workspaces[0].find_copy_of(body["id"])
    assert copy is not None
    return simulator.tenant.queue.incidents[body["id"]].body, copy


def settle(control: httpx.Client) -> None:
    control.post("/clock/advance", json={"seconds": 301})


def test_a_copy_carries_what_defender_says(
    paired: tuple[dict[str, Any], SentinelIncident],
) -> None:
    # given
    _, copy = paired

    # then
    assert copy.properties["providerName"] == "Microsoft XDR"
    assert (copy.properties["title"], copy.properties["severity"]) == ("D", "High")
    assert copy.properties["status"] == "New"
    assert len(copy.alerts) == len(copy.relations) == 2


def test_changes_and_new_comments_travel_both_ways(
    simulator: RunningSimulator,
    control: httpx.Client,
    paired: tuple[dict[str, Any], SentinelIncident],
) -> None:
    # given
    body, copy = paired
    incident = f"/defender/incidents/{body['id']}"

    # when
    control.patch(incident, json={"status": "inProgress", "classification": "truePositive"})
    control.post(f"{incident}/comments", json={"comment": "from Defender"})
    settle(control)
    there = dict(copy.properties)
    control.patch(f"/sentinel/incidents/{copy.name}", json={"status": "Closed"})
    control.post(f"/sentinel/incidents/{copy.name}/comments", json={"message": "from Sentinel"})
    settle(control)
    settle(control)

    # then
    assert there["status"] == "Active"
    assert there["classification"] == "TruePositive"
    assert body["status"] == "resolved"
    assert [item["comment"] for item in body["comments"]] == ["from Defender", "from Sentinel"]
    assert len(copy.comments) == 2
    assert simulator.is_alive


def test_a_merge_closes_the_losers_copy_and_moves_its_alerts(
    simulator: RunningSimulator,
    control: httpx.Client,
    paired: tuple[dict[str, Any], SentinelIncident],
) -> None:
    # given
    loser, copy = paired
    winner = control.post("/defender/incidents", json={"displayName": "W"}).json()["id"]
    settle(control)

    # when
    control.post("/defender/merge", json={"losers": [loser["id"]], "winner": winner})
    settle(control)

    # then
    assert copy.properties["status"] == "Closed"
    assert [label["labelName"] for label in copy.properties["labels"]] == ["Redirected"]
    target = simulator.tenant.workspaces[0].find_copy_of(winner)
    assert target is not None
    assert (len(copy.alerts), len(target.alerts)) == (0, 2)


def test_without_the_connector_nothing_is_copied(
    simulator: RunningSimulator, control: httpx.Client
) -> None:
    # given
    control.post("/defender/incidents", json={"displayName": "D"})

    # when
    control.post("/clock/advance", json={"seconds": 3600})

    # then
    assert simulator.tenant.workspaces[0].incidents == {}
