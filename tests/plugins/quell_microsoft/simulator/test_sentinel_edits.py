"""What people do in Sentinel behind a client's back: tasks, comments, stamps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator

V = {"api-version": "2025-09-01"}


@pytest.fixture
def arm(as_app: Callable[[str, str], httpx.Client]) -> httpx.Client:
    client = as_app("sync", "arm")
    client.params = httpx.QueryParams(V)
    return client


@pytest.fixture
def incident(simulator: RunningSimulator, control: httpx.Client) -> str:
    control.post("/sentinel/incidents", json={"name": "n1", "title": "S"})
    return simulator.tenant.workspaces[0].arm_id("incidents/n1")


def test_a_person_adds_completes_and_deletes_a_task(
    control: httpx.Client, arm: httpx.Client, incident: str
) -> None:
    # given
    tasks = "/sentinel/incidents/n1/tasks"
    etags = [arm.get(incident).json()["etag"]]

    # when
    control.put(f"{tasks}/t1", json={"title": "Call the user", "author": "ada@x"})
    etags.append(arm.get(incident).json()["etag"])
    control.put(f"{tasks}/t1", json={"status": "Completed", "author": "bob@x"})
    etags.append(arm.get(incident).json()["etag"])
    (task,) = arm.get(f"{incident}/tasks").json()["value"]
    control.delete(f"{tasks}/t1")

    # then
    said: dict[str, Any] = task["properties"]
    assert (said["title"], said["status"]) == ("Call the user", "Completed")
    assert said["createdBy"]["userPrincipalName"] == "ada@x"
    assert said["lastModifiedBy"]["userPrincipalName"] == "bob@x"
    assert len(set(etags)) == 3
    assert arm.get(f"{incident}/tasks").json()["value"] == []


def test_a_person_edits_and_deletes_a_comment(
    control: httpx.Client, arm: httpx.Client, incident: str
) -> None:
    # given
    comments = "/sentinel/incidents/n1/comments"
    control.post(comments, json={"name": "c1", "message": "first", "author": "ada@x"})

    # when
    control.patch(f"{comments}/c1", json={"message": "second", "author": "bob@x"})
    (comment,) = arm.get(f"{incident}/comments").json()["value"]
    control.delete(f"{comments}/c1")

    # then
    assert comment["properties"]["message"] == "second"
    assert comment["properties"]["author"]["userPrincipalName"] == "ada@x"
    assert arm.get(incident).json()["properties"]["additionalData"]["commentsCount"] == 0


def test_stamps_can_be_set_and_a_whole_incident_can_be_looked_at(
    control: httpx.Client, arm: httpx.Client, incident: str
) -> None:
    # given
    past = "2026-01-02T03:04:05Z"

    # when
    control.patch("/sentinel/incidents/n1", json={"severity": "Low", "lastModifiedTimeUtc": past})
    control.post("/sentinel/incidents/n1/comments", json={"name": "c1", "message": "m"})
    control.patch("/sentinel/incidents/n1", json={"lastModifiedTimeUtc": past})

    # then
    assert arm.get(incident).json()["properties"]["lastModifiedTimeUtc"] == past
    whole = control.get("/sentinel/incidents/n1").json()
    assert [one["message"] for one in whole["comments"]] == ["m"]
    assert (whole["properties"]["severity"], whole["tasks"]) == ("Low", [])


def test_an_etag_may_never_settle(control: httpx.Client, arm: httpx.Client, incident: str) -> None:
    # given
    control.patch("/config", json={"restless_incidents": ["n1"]})

    # when
    statuses: list[int] = []
    for _ in range(5):
        body = arm.get(incident).json()
        statuses.append(arm.put(incident, json=body).status_code)
    commented = arm.put(f"{incident}/comments/c1", json={"properties": {"message": "m"}})

    # then
    assert statuses == [409] * 5
    assert commented.status_code == 201
