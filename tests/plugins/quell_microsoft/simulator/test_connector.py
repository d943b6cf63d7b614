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


def change(control: httpx.Client, incident_id: str, **fields: Any) -> None:
    assert control.patch(f"/defender/incidents/{incident_id}", json=fields).status_code == 200


def change_copy(control: httpx.Client, copy: SentinelIncident, **fields: Any) -> None:
    assert control.patch(f"/sentinel/incidents/{copy.name}", json=fields).status_code == 200


def look(control: httpx.Client) -> None:
    """Let what is due at once happen."""
    control.get("/config")


def test_a_change_travels_at_once_and_takes_no_other_field_with_it(
    control: httpx.Client, paired: tuple[dict[str, Any], SentinelIncident]
) -> None:
    # given
    body, copy = paired
    change_copy(control, copy, severity="Low", title="renamed in Sentinel")

    # when
    change(control, body["id"], status="inProgress")
    look(control)

    # then
    assert copy.properties["status"] == "Active"
    assert (copy.properties["severity"], copy.properties["title"]) == ("Low", "renamed in Sentinel")
    assert (body["severity"], body["displayName"]) == ("high", "D")


def test_after_the_move_to_the_other_portal_changes_are_coalesced(
    control: httpx.Client, paired: tuple[dict[str, Any], SentinelIncident]
) -> None:
    # given
    body, copy = paired
    control.patch("/config", json={"connector_field_seconds": 300})
    before = copy.etag

    # when
    change(control, body["id"], severity="low")
    change(control, body["id"], severity="medium")
    control.post("/clock/advance", json={"seconds": 290})
    meanwhile = (copy.etag, copy.properties["severity"])
    control.post("/clock/advance", json={"seconds": 11})

    # then
    assert meanwhile == (before, "High")
    assert copy.properties["severity"] == "Medium"


@pytest.mark.parametrize(
    ("defender", "sentinel"),
    [
        ({"classification": "truePositive", "determination": "phishing"},
         ("TruePositive", "SuspiciousActivity")),
        ({"classification": "falsePositive", "determination": "notMalicious"},
         ("FalsePositive", "InaccurateData")),
        ({"classification": "informationalExpectedActivity"},
         ("BenignPositive", "SuspiciousButExpected")),
        ({"status": "resolved"}, ("Undetermined", None)),
    ],
)  # fmt: skip
def test_the_determination_collapses_into_one_reason(
    control: httpx.Client,
    paired: tuple[dict[str, Any], SentinelIncident],
    defender: dict[str, str],
    sentinel: tuple[str, str],
) -> None:
    # given
    body, copy = paired

    # when
    change(control, body["id"], **defender)
    look(control)

    # then
    properties = copy.properties
    assert (properties["classification"], properties["classificationReason"]) == sentinel


def test_incorrect_logic_has_no_equivalent_and_a_determination_stays_as_it_was(
    control: httpx.Client, paired: tuple[dict[str, Any], SentinelIncident]
) -> None:
    # given
    body, copy = paired
    change(control, body["id"], classification="truePositive", determination="malware")
    look(control)

    # when
    wrong = {"classification": "FalsePositive", "classificationReason": "IncorrectAlertLogic"}
    change_copy(control, copy, **wrong)
    look(control)
    untouched = dict(body)
    change_copy(control, copy, classificationReason="InaccurateData")
    look(control)
    look(control)

    # then
    assert untouched["classification"] == "truePositive"
    assert (body["classification"], body["determination"]) == ("falsePositive", "malware")
    assert copy.properties["classificationReason"] == "InaccurateData"


def test_labels_of_people_stay_and_tags_of_defender_come_and_go(
    control: httpx.Client, paired: tuple[dict[str, Any], SentinelIncident]
) -> None:
    # given
    body, copy = paired
    change_copy(control, copy, labels=[{"labelName": "mine", "labelType": "User"}])

    # when
    change(control, body["id"], customTags=["a", "b"])
    look(control)
    change(control, body["id"], customTags=["b"])
    look(control)

    # then
    assert [label["labelName"] for label in copy.properties["labels"]] == ["mine", "b"]
    assert body["customTags"] == ["b"]


def test_an_owner_travels_both_ways_and_a_mere_name_does_not(
    simulator: RunningSimulator,
    control: httpx.Client,
    paired: tuple[dict[str, Any], SentinelIncident],
) -> None:
    # given
    body, copy = paired
    user = control.post("/users", json={"userPrincipalName": "ada@tailspin.example"}).json()

    # when
    change(control, body["id"], assignedTo="ada@tailspin.example")
    look(control)
    there = dict(copy.properties["owner"])
    change_copy(control, copy, owner={"assignedTo": "Somebody"})
    look(control)
    kept = body["assignedTo"]
    change_copy(control, copy, owner={"email": "bob@tailspin.example"})
    look(control)

    # then
    assert (there["objectId"], there["userPrincipalName"]) == (user["id"], "ada@tailspin.example")
    assert (kept, body["assignedTo"]) == ("ada@tailspin.example", "bob@tailspin.example")
    alerts = simulator.tenant.queue.alerts_of(body["id"])
    assert {alert.body["assignedTo"] for alert in alerts} == {"bob@tailspin.example"}


def test_equal_comments_of_two_people_both_travel_and_edits_do_not(
    control: httpx.Client, paired: tuple[dict[str, Any], SentinelIncident]
) -> None:
    # given
    body, copy = paired
    comments = f"/sentinel/incidents/{copy.name}/comments"

    # when
    for name in ("c1", "c2"):
        control.post(comments, json={"name": name, "message": "seen", "author": f"{name}@x"})
    look(control)
    control.patch(f"{comments}/c1", json={"message": "not seen"})
    control.delete(f"{comments}/c2")
    look(control)
    look(control)

    # then
    written = [(one["comment"], one["createdByDisplayName"]) for one in body["comments"]]
    assert written == [("seen", "c1@x"), ("seen", "c2@x")]
    assert [sub.properties["message"] for sub in copy.comments.values()] == ["not seen"]


def test_a_stuck_connector_carries_the_last_state_once_it_moves_again(
    control: httpx.Client, paired: tuple[dict[str, Any], SentinelIncident]
) -> None:
    # given
    body, copy = paired
    control.patch("/config", json={"connector_stuck": True})

    # when
    change(control, body["id"], severity="low", status="inProgress")
    settle(control)
    stuck = dict(copy.properties)
    control.patch("/config", json={"connector_stuck": False})
    settle(control)

    # then
    assert (stuck["severity"], stuck["status"]) == ("High", "New")
    assert (copy.properties["severity"], copy.properties["status"]) == ("Low", "Active")


def test_a_field_may_be_left_out(control: httpx.Client, simulator: RunningSimulator) -> None:
    # given
    control.patch("/config", json={"connector": True, "connector_leaves_out": ["description"]})

    # when
    control.post("/defender/incidents", json={"displayName": "D", "description": "long story"})
    settle(control)

    # then
    (copy,) = simulator.tenant.workspaces[0].incidents.values()
    assert copy.properties["title"] == "D"
    assert copy.properties.get("description") is None


@pytest.mark.parametrize(("backfill", "titles"), [(True, {"old", "new"}), (False, {"new"})])
def test_switching_it_on_brings_older_incidents_or_not(
    control: httpx.Client, simulator: RunningSimulator, backfill: bool, titles: set[str]
) -> None:
    # given
    control.post("/defender/incidents", json={"displayName": "old"})

    # when
    control.patch("/config", json={"connector": True, "connector_backfill": backfill})
    control.post("/defender/incidents", json={"displayName": "new"})
    settle(control)
    settle(control)

    # then
    copies = simulator.tenant.workspaces[0].incidents.values()
    assert {copy.properties["title"] for copy in copies} == titles


def test_a_large_incident_is_capped_and_a_deleted_copy_comes_back_with_a_further_alert_only(
    control: httpx.Client,
    simulator: RunningSimulator,
    paired: tuple[dict[str, Any], SentinelIncident],
) -> None:
    # given
    body, copy = paired
    workspace = simulator.tenant.workspaces[0]
    for number in range(150):
        control.post(f"/defender/incidents/{body['id']}/alerts", json={"id": f"da9{number}"})
    look(control)

    # when
    count = workspace.additional_data(copy)["alertsCount"]
    control.delete(f"/sentinel/incidents/{copy.name}")
    change(control, body["id"], severity="low")
    look(control)
    gone = workspace.find_copy_of(body["id"])
    control.post(f"/defender/incidents/{body['id']}/alerts", json={"id": "daX"})
    look(control)

    # then
    assert (count, gone) == (150, None)
    again = workspace.find_copy_of(body["id"])
    assert again is not None
    assert again.name != copy.name


def test_a_pair_that_nobody_changes_is_left_alone(
    control: httpx.Client, paired: tuple[dict[str, Any], SentinelIncident]
) -> None:
    # given
    body, copy = paired
    before = (copy.etag, body["lastUpdateDateTime"])

    # when
    settle(control)
    settle(control)

    # then
    assert (copy.etag, body["lastUpdateDateTime"]) == before
