"""Lists that misbehave to order: order, length, repetition, links, and rows that break a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator

INCIDENTS, ALERTS = "/v1.0/security/incidents", "/v1.0/security/alerts_v2"
V = {"api-version": "2025-09-01"}
ASCENDING = {"$orderby": "lastUpdateDateTime asc"}


@pytest.fixture
def five(control: httpx.Client) -> list[str]:
    made = [
        control.post(
            "/defender/incidents", json={"displayName": f"I{n}", "alerts": [{"id": f"da{n}"}]}
        )
        for n in range(5)
    ]
    return [answer.json()["id"] for answer in made]


@pytest.fixture
def sentinel(
    simulator: RunningSimulator, control: httpx.Client, as_app: Callable[[str, str], httpx.Client]
) -> tuple[httpx.Client, str]:
    for n in range(5):
        control.post("/sentinel/incidents", json={"name": f"n{n}", "title": f"S{n}"})
    arm = as_app("sync", "arm")
    arm.params = httpx.QueryParams(V)
    workspace = simulator.tenant.workspaces[0]
    return arm, workspace.arm_id("incidents")


def walk(client: httpx.Client, url: str, **options: Any) -> list[list[dict[str, Any]]]:
    """Follow the links, twenty pages at most."""
    pages: list[list[dict[str, Any]]] = []
    body: dict[str, Any] = client.get(url, **options).json()
    for _ in range(20):
        pages.append(body["value"])
        link = body.get("@odata.nextLink") or body.get("nextLink")
        if link is None:
            break
        body = client.get(link).json()
    return pages


def test_the_order_may_be_ignored(
    control: httpx.Client, graph: httpx.Client, five: list[str]
) -> None:
    # given
    ordered = [row["id"] for row in graph.get(INCIDENTS, params=ASCENDING).json()["value"]]

    # when
    control.patch("/config", json={"ignore_orderby": True})
    ignored = [row["id"] for row in graph.get(INCIDENTS, params=ASCENDING).json()["value"]]

    # then
    assert (ordered, ignored) == (five, five[::-1])


@pytest.mark.parametrize("url", [INCIDENTS, ALERTS])
def test_pages_may_be_shorter_than_asked_for(
    control: httpx.Client, graph: httpx.Client, five: list[str], url: str
) -> None:
    # given
    control.patch("/config", json={"short_pages": 2})

    # when
    pages = walk(graph, url, params={"$top": "50", **ASCENDING})

    # then
    assert [len(page) for page in pages] == [2, 2, 1]


@pytest.mark.parametrize("url", [INCIDENTS, ALERTS])
def test_every_page_may_come_twice(
    control: httpx.Client, graph: httpx.Client, five: list[str], url: str
) -> None:
    # given
    control.patch("/config", json={"short_pages": 3, "repeat_pages": True})

    # when
    pages = walk(graph, url, params=ASCENDING)

    # then
    assert [len(page) for page in pages] == [3, 3, 2, 2]
    assert pages[0] == pages[1]
    assert len({row["id"] for page in pages for row in page}) == 5


def test_a_link_may_lead_in_a_circle(
    control: httpx.Client, graph: httpx.Client, five: list[str]
) -> None:
    # given
    control.patch("/config", json={"short_pages": 2, "stuck_pages": True})

    # when
    first = graph.get(INCIDENTS, params=ASCENDING).json()
    second = graph.get(first["@odata.nextLink"]).json()
    third = graph.get(second["@odata.nextLink"]).json()

    # then
    assert first["value"] == second["value"] == third["value"]
    assert second["@odata.nextLink"] == third["@odata.nextLink"]


def test_links_may_lead_to_another_host(
    control: httpx.Client, graph: httpx.Client, five: list[str], sentinel: tuple[httpx.Client, str]
) -> None:
    # given
    control.patch("/config", json={"short_pages": 1, "next_link_host": "evil.example:444"})
    arm, url = sentinel

    # when
    links = [graph.get(INCIDENTS).json()["@odata.nextLink"], arm.get(url).json()["nextLink"]]

    # then
    assert [httpx.URL(link).host for link in links] == ["evil.example"] * 2


def test_a_poisoned_row_breaks_every_page_it_is_on_and_itself(
    control: httpx.Client, graph: httpx.Client, five: list[str], sentinel: tuple[httpx.Client, str]
) -> None:
    # given
    arm, url = sentinel
    control.patch("/config", json={"poison_rows": [five[2], "da2", "n2"]})
    orders = ({"$orderby": "properties/createdTimeUtc asc"}, ASCENDING, ASCENDING)
    lists = ((arm, url), (graph, INCIDENTS), (graph, ALERTS))

    # when
    statuses = [
        [client.get(path, params={"$top": str(top), **order}).status_code for top in (2, 3, 1)]
        for (client, path), order in zip(lists, orders, strict=True)
    ]
    alone = [
        arm.get(f"{url}/n2").status_code,
        graph.get(f"{INCIDENTS}/{five[2]}").status_code,
        graph.get(f"{ALERTS}/da2").status_code,
    ]
    skipped = graph.get(INCIDENTS, params={"$top": "1", "$skip": "2", **ASCENDING})

    # then
    assert statuses == [[200, 500, 200]] * 3
    assert alone == [500] * 3
    assert skipped.status_code == 500


def test_two_hundred_incidents_may_share_one_stamp_and_none_is_lost(
    control: httpx.Client, graph: httpx.Client
) -> None:
    # given
    moment = "2026-11-20T10:00:00Z"
    for n in range(200):
        control.post(
            "/defender/incidents", json={"displayName": f"I{n}", "lastUpdateDateTime": moment}
        )

    # when
    found = walk(
        graph,
        INCIDENTS,
        params={"$filter": f"lastUpdateDateTime ge {moment}", "$top": "50", **ASCENDING},
    )

    # then
    assert [len(page) for page in found] == [50, 50, 50, 50]
    assert len({row["id"] for page in found for row in page}) == 200


def test_alerts_are_filtered_by_when_they_changed_and_a_move_changes_them(
    control: httpx.Client, graph: httpx.Client, five: list[str]
) -> None:
    # given
    control.post("/clock/advance", json={"seconds": 60})
    now = control.get("/facts").json()["now"]
    control.post("/defender/move", json={"alerts": ["da1"], "incident": five[0]})
    control.post(f"/defender/incidents/{five[3]}/alerts", json={"id": "da9"})

    # when
    since = {"$filter": f"lastUpdateDateTime ge {now} and createdDateTime le {now}"}
    changed = graph.get(ALERTS, params={**since, **ASCENDING}).json()["value"]
    new = graph.get(ALERTS, params={"$filter": f"createdDateTime ge {now}"}).json()["value"]

    # then
    assert [(row["id"], row["incidentId"]) for row in changed] == [("da1", five[0])]
    assert [row["id"] for row in new] == ["da9"]


def test_an_alert_may_belong_to_no_incident(control: httpx.Client, graph: httpx.Client) -> None:
    # when
    control.post("/defender/alerts", json={"id": "daX"})

    # then
    (alert,) = graph.get(ALERTS).json()["value"]
    assert (alert["id"], alert["incidentId"]) == ("daX", None)
    assert graph.get(INCIDENTS).json()["value"] == []


def test_clocks_may_be_an_hour_apart_while_delays_stay_as_long(
    control: httpx.Client, graph: httpx.Client, simulator: RunningSimulator
) -> None:
    # given
    control.patch("/config", json={"lag_seconds": 60})
    before = control.get("/facts").json()["now"]

    # when
    control.patch("/config", json={"clock_skew_seconds": -3600})
    control.post("/defender/incidents", json={"displayName": "I"})
    hidden = graph.get(INCIDENTS).json()["value"]
    control.post("/clock/advance", json={"seconds": 61})
    (shown,) = graph.get(INCIDENTS).json()["value"]

    # then
    assert hidden == []
    assert shown["createdDateTime"] < before
    assert simulator.tenant.clock.now() > simulator.tenant.clock.shown()


def test_sentinel_lists_may_show_changes_late_while_a_get_shows_them_at_once(
    control: httpx.Client, sentinel: tuple[httpx.Client, str]
) -> None:
    # given
    arm, url = sentinel
    control.patch("/config", json={"sentinel_lag_seconds": 60})

    def titles() -> set[str]:
        return {row["properties"]["title"] for row in arm.get(url).json()["value"]}

    # when
    control.patch("/sentinel/incidents/n0", json={"title": "later"})
    control.post("/sentinel/incidents", json={"name": "n9", "title": "new"})
    before = titles()
    alone = arm.get(f"{url}/n0").json()["properties"]["title"]
    control.post("/clock/advance", json={"seconds": 61})

    # then
    assert before == {"S0", "S1", "S2", "S3", "S4"}
    assert alone == "later"
    assert titles() == {"later", "S1", "S2", "S3", "S4", "new"}


def test_no_more_than_five_are_merged_and_a_closed_incident_gets_no_further_alert(
    control: httpx.Client, graph: httpx.Client, five: list[str]
) -> None:
    # given
    sixth = control.post("/defender/incidents", json={"displayName": "I6"}).json()["id"]
    merge = f"{INCIDENTS}/mergeIncidents"

    # when
    too_many = graph.post(merge, json={"incidentIds": [*five, sixth]})
    merged = graph.post(merge, json={"incidentIds": five})
    control.patch(f"/defender/incidents/{sixth}", json={"status": "resolved"})
    alert = control.post(f"/defender/incidents/{sixth}/alerts", json={"id": "daX"}).json()

    # then
    assert (too_many.status_code, merged.status_code) == (400, 200)
    assert alert["incidentId"] not in {sixth, *five}
    assert control.get(f"/defender/incidents/{sixth}").json()["status"] == "resolved"
    assert control.get(f"/defender/incidents/{five[0]}").json()["status"] == "active"
