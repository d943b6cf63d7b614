"""Sentinel incidents over ARM: etags in the body, lists, validation, errors."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator

V = {"api-version": "2025-09-01"}


@pytest.fixture
def arm(as_app: Callable[[str, str], httpx.Client]) -> httpx.Client:
    return as_app("everything", "arm")


@pytest.fixture
def base(simulator: RunningSimulator) -> str:
    workspace = simulator.tenant.workspaces[0]
    return f"{workspace.id}/providers/Microsoft.SecurityInsights/incidents"


def body(**changes: Any) -> dict[str, Any]:
    etag = changes.pop("etag", None)
    properties = {"title": "One", "severity": "Medium", "status": "New", **changes}
    return {"properties": properties, **({"etag": etag} if etag else {})}


def test_an_incident_made_over_the_api_is_numbered_here_and_has_no_alerts(
    arm: httpx.Client, base: str
) -> None:
    # when
    answer = arm.put(f"{base}/{uuid.uuid4()}", params=V, json=body(description="d"))

    # then
    incident = answer.json()
    properties = incident["properties"]
    assert answer.status_code == 201
    assert incident["etag"].startswith('"')
    assert properties["incidentNumber"] == 1
    assert properties["providerName"] == "Azure Sentinel"
    assert properties["providerIncidentId"] == "1"
    assert properties["owner"] == {
        "objectId": None,
        "email": None,
        "assignedTo": None,
        "userPrincipalName": None,
    }
    assert properties["additionalData"] == {
        "alertsCount": 0,
        "bookmarksCount": 0,
        "commentsCount": 0,
        "alertProductNames": [],
        "tactics": [],
    }
    url = f"{base}/{incident['name']}"
    assert arm.post(f"{url}/alerts", params=V).json() == {"value": []}
    assert arm.post(f"{url}/entities", params=V).json() == {"entities": [], "metaData": []}


def test_only_the_newest_etag_can_write(arm: httpx.Client, base: str) -> None:
    # given
    name = str(uuid.uuid4())
    url = f"{base}/{name}"
    first = arm.put(url, params=V, json=body()).json()

    # when
    second = arm.put(url, params=V, json=body(status="Active", etag=first["etag"]))
    stale = arm.put(url, params=V, json=body(status="Closed", etag=first["etag"]))
    missing = arm.put(url, params=V, json=body(status="Closed"))

    # then
    assert second.status_code == 200
    assert second.json()["etag"] != first["etag"]
    assert stale.status_code == missing.status_code == 409
    assert stale.json() == {
        "error": {
            "code": "Conflict",
            "message": f"Newer version of resource '{name}' exists. Data was not saved",
        }
    }
    assert arm.get(url, params=V).json()["properties"]["status"] == "Active"


def test_a_comment_makes_the_incidents_etag_stale(arm: httpx.Client, base: str) -> None:
    # given
    url = f"{base}/{uuid.uuid4()}"
    before = arm.put(url, params=V, json=body()).json()["etag"]

    # when
    arm.put(f"{url}/comments/c1", params=V, json={"properties": {"message": "m"}})

    # then
    assert arm.get(url, params=V).json()["etag"] != before
    assert arm.put(url, params=V, json=body(etag=before)).status_code == 409


def test_what_a_put_leaves_out_is_cleared(arm: httpx.Client, base: str) -> None:
    # given
    url = f"{base}/{uuid.uuid4()}"
    made = arm.put(
        url, params=V, json=body(labels=[{"labelName": "a"}], classification="TruePositive")
    ).json()

    # when
    arm.put(url, params=V, json=body(etag=made["etag"]))

    # then
    properties = arm.get(url, params=V).json()["properties"]
    assert made["properties"]["labels"] == [{"labelName": "a", "labelType": "User"}]
    assert properties["labels"] == []
    assert "classification" not in properties


def test_an_owner_is_completed_from_entra(
    simulator: RunningSimulator, arm: httpx.Client, base: str
) -> None:
    # given
    user = simulator.tenant.users.add(
        {"userPrincipalName": "lena@tailspin.example", "displayName": "Lena"}
    )

    # when
    known = arm.put(
        f"{base}/a1", params=V, json=body(owner={"userPrincipalName": "lena@tailspin.example"})
    ).json()
    foreign = arm.put(f"{base}/a2", params=V, json=body(owner={"assignedTo": "Somebody"})).json()

    # then
    assert known["properties"]["owner"]["objectId"] == user.body["id"]
    assert known["properties"]["owner"]["assignedTo"] == "Lena"
    assert foreign["properties"]["owner"]["assignedTo"] == "Somebody"


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": None},
        {"title": " "},
        {"severity": None},
        {"severity": "Critical"},
        {"status": None},
        {"status": "Resolved"},
        {"classification": "Maybe"},
        {"classificationReason": "Because"},
        {"description": "x" * 5001},
        {"labels": [{"name": "x"}]},
        {"labels": "x"},
        {"owner": "me"},
        {"firstActivityTimeUtc": "yesterday"},
    ],
)
def test_an_invalid_incident_is_refused(
    arm: httpx.Client, base: str, wrong: dict[str, Any]
) -> None:
    # when
    answer = arm.put(f"{base}/x", params=V, json=body(**wrong))

    # then
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BadRequest"
    assert arm.get(f"{base}/x", params=V).status_code == 404


def test_closing_without_classification_is_accepted(arm: httpx.Client, base: str) -> None:
    # when
    answer = arm.put(f"{base}/x", params=V, json=body(status="closed", severity="high"))

    # then
    assert answer.status_code == 201
    assert answer.json()["properties"]["status"] == "Closed"
    assert answer.json()["properties"]["severity"] == "High"


def test_lists_have_pages_filters_and_absolute_links(
    simulator: RunningSimulator, arm: httpx.Client, base: str
) -> None:
    # given
    for number in range(53):
        simulator.tenant.workspaces[0].create(
            f"n{number}",
            {"title": f"T{number}", "severity": "High" if number % 2 else "Low", "status": "New"},
            by="x",
        )

    # when
    first = arm.get(base, params=V).json()
    second = arm.get(first["nextLink"]).json()
    high = arm.get(
        base,
        params={
            **V,
            "$filter": "properties/severity eq 'High' and contains(properties/title,'T1')",
            "$orderby": "properties/incidentNumber asc",
        },
    ).json()

    # then
    assert len(first["value"]) == 50
    assert first["nextLink"].startswith(simulator.base_url)
    assert "$skipToken=" in first["nextLink"]
    assert "api-version=" in first["nextLink"]
    names = {item["name"] for item in first["value"] + second["value"]}
    assert len(names) == 53
    assert "nextLink" not in second
    assert [item["properties"]["title"] for item in high["value"]] == [
        "T1", "T11", "T13", "T15", "T17", "T19",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "query", [{"$top": "1001"}, {"$filter": "title eq 'x'"}, {"$filter": "properties/title eq"}]
)
def test_a_wrong_list_option_is_refused(
    arm: httpx.Client, base: str, query: dict[str, str]
) -> None:
    # when
    answer = arm.get(base, params={**V, **query})

    # then
    assert answer.status_code == 400


def test_arm_refuses_in_its_own_words(
    simulator: RunningSimulator,
    arm: httpx.Client,
    base: str,
    as_app: Callable[[str, str], httpx.Client],
) -> None:
    # given
    other = base.replace(simulator.tenant.subscription_id, str(uuid.uuid4()))

    # when
    answers = {
        "MissingApiVersionParameter": arm.get(base),
        "InvalidApiVersionParameter": arm.get(base, params={"api-version": "1"}),
        "SubscriptionNotFound": arm.get(other, params=V),
        "ResourceGroupNotFound": arm.get(base.replace("rg-soc", "rg-x"), params=V),
        "ResourceNotFound": arm.get(base.replace("ws-soc", "ws-x"), params=V),
        "AuthorizationFailed": as_app("device", "arm").get(base, params=V),
        "UnsupportedApiVersion": arm.put(base, params=V, json={}),
        "NotFound": arm.get(f"{base}/x", params=V),
    }

    # then
    assert {code: answer.json()["error"]["code"] for code, answer in answers.items()} == {
        code: code for code in answers
    }
    statuses = [answer.status_code for answer in answers.values()]
    assert statuses == [400, 400, 404, 404, 404, 403, 405, 404]


def test_segments_ignore_case_and_headers_tell_what_is_left(arm: httpx.Client, base: str) -> None:
    # given
    arm.put(f"{base}/MixedCase", params=V, json=body())

    # when
    answer = arm.get(f"{base.upper()}/mixedcase", params=V)

    # then
    assert answer.status_code == 200
    assert answer.json()["name"] == "MixedCase"
    assert int(answer.headers["x-ms-ratelimit-remaining-subscription-reads"]) < 250
    assert answer.headers["x-ms-request-id"]


def test_deleting_needs_the_contributor_and_leaves_a_row(
    simulator: RunningSimulator,
    arm: httpx.Client,
    base: str,
    as_app: Callable[[str, str], httpx.Client],
) -> None:
    # given
    arm.put(f"{base}/x", params=V, json=body())

    # when
    forbidden = as_app("sync", "arm").delete(f"{base}/x", params=V)
    deleted = arm.delete(f"{base}/x", params=V)
    again = arm.delete(f"{base}/x", params=V)

    # then
    assert [a.status_code for a in (forbidden, deleted, again)] == [403, 200, 204]
    rows = simulator.tenant.workspaces[0].tables["SecurityIncident"]
    assert [row["Status"] for row in rows] == ["New", "Deleted"]


def test_microsofts_copies_cannot_be_deleted_nor_their_alerts_moved(
    simulator: RunningSimulator, arm: httpx.Client, base: str, control: httpx.Client
) -> None:
    # given
    control.post("/defender/incidents", json={"displayName": "x", "alerts": [{"id": "da1"}]})
    control.patch("/config", json={"connector": True})
    control.post("/clock/advance", json={"seconds": 400})
    copy = arm.get(base, params=V).json()["value"][0]
    url = f"{base}/{copy['name']}"

    # when
    deleted = arm.delete(url, params=V)
    relation = arm.get(f"{url}/relations", params=V).json()["value"][0]
    unrelated = arm.delete(f"{url}/relations/{relation['name']}", params=V)
    related = arm.put(f"{url}/relations/new", params=V, json={"properties": relation["properties"]})

    # then
    assert copy["properties"]["providerName"] == "Microsoft XDR"
    assert [a.status_code for a in (deleted, unrelated, related)] == [400, 400, 400]
    assert copy["properties"]["additionalData"]["alertsCount"] == 1


def test_a_spurious_conflict_can_be_ordered(
    arm: httpx.Client, base: str, control: httpx.Client
) -> None:
    # given
    made = arm.put(f"{base}/x", params=V, json=body()).json()
    control.patch("/config", json={"spurious_conflict_percent": 100})

    # when
    answer = arm.put(f"{base}/x", params=V, json=body(etag=made["etag"]))

    # then
    assert answer.status_code == 409
