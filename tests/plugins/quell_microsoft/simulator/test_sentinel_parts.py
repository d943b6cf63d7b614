"""Comments, tasks, relations and bookmarks of Sentinel incidents, and queries over their rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator

V = {"api-version": "2025-09-01"}


@pytest.fixture
def arm(as_app: Callable[[str, str], httpx.Client]) -> httpx.Client:
    client = as_app("everything", "arm")
    client.params = httpx.QueryParams(V)
    return client


@pytest.fixture
def incident(simulator: RunningSimulator) -> str:
    workspace = simulator.tenant.workspaces[0]
    workspace.create("i1", {"title": "T", "severity": "Low", "status": "New"}, by="x")
    return f"{workspace.id}/providers/Microsoft.SecurityInsights/incidents/i1"


def message(text: str) -> dict[str, Any]:
    return {"properties": {"message": text}}


def test_a_comment_is_signed_by_the_caller_and_can_be_edited(
    arm: httpx.Client, incident: str
) -> None:
    # when
    made = arm.put(f"{incident}/comments/c1", json=message("one"))
    edited = arm.put(f"{incident}/comments/c1", json=message("two"))
    listed = arm.get(f"{incident}/comments").json()["value"]
    gone = arm.delete(f"{incident}/comments/c1")
    absent = arm.delete(f"{incident}/comments/c1")

    # then
    assert (made.status_code, edited.status_code) == (201, 200)
    assert made.json()["properties"]["author"]["name"] == "quell-everything"
    assert [item["properties"]["message"] for item in listed] == ["two"]
    assert (gone.status_code, absent.status_code) == (200, 204)


def test_comments_have_limits(arm: httpx.Client, incident: str, control: httpx.Client) -> None:
    # given
    control.patch("/config", json={"throttle_scale": 0})

    # when
    long = arm.put(f"{incident}/comments/c", json=message("x" * 30_001))
    empty = arm.put(f"{incident}/comments/c", json=message(""))
    statuses = [
        arm.put(f"{incident}/comments/c{number}", json=message("m")).status_code
        for number in range(101)
    ]

    # then
    assert (long.status_code, empty.status_code) == (400, 400)
    assert statuses == [201] * 100 + [400]
    assert arm.get(incident).json()["properties"]["additionalData"]["commentsCount"] == 100


def test_comments_written_too_fast_are_throttled_until_the_window_is_over(
    arm: httpx.Client, incident: str, control: httpx.Client
) -> None:
    # when
    statuses = [
        arm.put(f"{incident}/comments/c{number}", json=message("m")).status_code
        for number in range(76)
    ]
    throttled = arm.put(f"{incident}/comments/c", json=message("m"))
    control.post("/clock/advance", json={"seconds": 301})
    after = arm.put(f"{incident}/comments/c", json=message("m"))

    # then
    assert statuses == [201] * 75 + [429]
    assert throttled.json()["error"]["code"] == "TooManyRequests"
    assert 1 <= int(throttled.headers["Retry-After"]) <= 300
    assert after.status_code == 201


def test_tasks_are_kept_up_to_their_number(arm: httpx.Client, incident: str) -> None:
    # given
    task = {"properties": {"title": "Look", "status": "New"}}

    # when
    statuses = [
        arm.put(f"{incident}/tasks/t{number}", json=task).status_code for number in range(41)
    ]
    done = arm.put(
        f"{incident}/tasks/t1", json={"properties": {"title": "Look", "status": "Completed"}}
    )
    wrong = arm.put(f"{incident}/tasks/t2", json={"properties": {"title": "Look"}})

    # then
    assert statuses == [201] * 40 + [400]
    assert done.json()["properties"]["status"] == "Completed"
    assert wrong.status_code == 400


def test_a_bookmark_is_related_and_counted(
    simulator: RunningSimulator, arm: httpx.Client, incident: str
) -> None:
    # given
    root = incident.rpartition("/incidents")[0]
    bookmark = f"{root}/bookmarks/b1"
    arm.put(bookmark, json={"properties": {"displayName": "B", "query": "T | take 1"}})
    relation = {"properties": {"relatedResourceId": bookmark}}

    # when
    made = arm.put(f"{incident}/relations/r1", json=relation)
    listed = arm.post(f"{incident}/bookmarks").json()["value"]
    other = {"properties": {"relatedResourceId": f"{root}/bookmarks/b2"}}
    clash = arm.put(f"{incident}/relations/r1", json=other)
    missing = arm.put(f"{incident}/relations/r2", json=other)
    foreign = relation["properties"]["relatedResourceId"].replace("ws-soc", "ws-branch")
    elsewhere = arm.put(
        f"{incident}/relations/r3", json={"properties": {"relatedResourceId": foreign}}
    )

    # then
    assert made.status_code == 201
    assert (
        made.json()["properties"]["relatedResourceType"] == "Microsoft.SecurityInsights/bookmarks"
    )
    assert [item["name"] for item in listed] == ["b1"]
    assert [a.status_code for a in (clash, missing, elsewhere)] == [409, 404, 400]
    assert arm.get(incident).json()["properties"]["additionalData"]["bookmarksCount"] == 1
    assert simulator.tenant.workspaces[0].incidents["i1"].bookmarks == ["b1"]


def test_an_alert_of_the_workspace_is_related_once(
    simulator: RunningSimulator, arm: httpx.Client, incident: str
) -> None:
    # given
    root = incident.rpartition("/incidents")[0]
    alert = {"name": "a1", "kind": "SecurityAlert", "properties": {"productName": "P"}}
    simulator.tenant.workspaces[0].alerts["a1"] = alert
    relation = {"properties": {"relatedResourceId": f"{root}/entities/a1"}}

    # when
    made = arm.put(f"{incident}/relations/i1_a1", json=relation)
    twice = arm.put(f"{incident}/relations/other", json=relation)
    shown = arm.get(incident).json()["properties"]["additionalData"]
    removed = arm.delete(f"{incident}/relations/i1_a1")

    # then
    assert made.json()["properties"]["relatedResourceKind"] == "SecurityAlert"
    assert twice.status_code == 400
    assert (shown["alertsCount"], shown["alertProductNames"]) == (1, ["P"])
    assert removed.status_code == 200
    assert arm.post(f"{incident}/alerts").json()["value"] == []


def test_every_change_appends_a_row_that_can_be_queried(
    simulator: RunningSimulator,
    arm: httpx.Client,
    incident: str,
    as_app: Callable[[str, str], httpx.Client],
) -> None:
    # given
    arm.put(f"{incident}/comments/c1", json=message("one"))
    logs = as_app("reader", "logs")
    guid = simulator.tenant.workspaces[0].guid
    url = f"/v1/workspaces/{guid}/query"

    # when
    table = logs.post(
        url, json={"query": 'SecurityIncident | where Severity == "Low" | project Title, Comments'}
    ).json()["tables"][0]
    latest = logs.post(
        url,
        json={"query": "SecurityIncident | summarize arg_max(TimeGenerated, *) by IncidentName"},
    ).json()["tables"][0]
    wrong = logs.post(url, json={"query": "Nothing | take 1"})

    # then
    assert table["columns"] == [
        {"name": "Title", "type": "string"},
        {"name": "Comments", "type": "dynamic"},
    ]
    assert [row[1].count("one") for row in table["rows"]] == [0, 1]
    assert len(latest["rows"]) == 1
    assert wrong.status_code == 400
    assert wrong.json()["error"]["innererror"]["code"] == "SemanticError"


def test_workspaces_and_playbooks_answer(
    simulator: RunningSimulator, arm: httpx.Client, incident: str
) -> None:
    # given
    root = f"/subscriptions/{simulator.tenant.subscription_id}"
    playbook = {"logicAppsResourceId": f"{root}/x/workflows/p", "tenantId": "t"}

    # when
    workspaces = arm.get(f"{root}/providers/Microsoft.OperationalInsights/workspaces").json()
    one = arm.get(simulator.tenant.workspaces[1].id).json()
    started = arm.post(f"{incident}/runPlaybook", json=playbook)

    # then
    assert [item["name"] for item in workspaces["value"]] == ["ws-soc", "ws-branch"]
    assert one["properties"]["customerId"] == simulator.tenant.workspaces[1].guid
    assert (started.status_code, started.content) == (204, b"")
