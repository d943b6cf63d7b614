"""The Graph incident queue: lists and their limits, writes and what they leave behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator
from quell_microsoft.simulator.state.clock import parse_stamp

URL = "/v1.0/security/incidents"
PREFER = {"Prefer": "include-unknown-enum-members"}


def fill(simulator: RunningSimulator, count: int) -> list[str]:
    queue = simulator.tenant.queue
    ids: list[str] = []
    for number in range(count):
        simulator.tenant.clock.advance(1)
        incident = queue.new_incident({"displayName": f"Incident {number}"})
        incident_id: str = incident.body["id"]
        alert: dict[str, Any] = {
            "id": f"da{number}",
            "incidentId": incident_id,
            "status": "new",
            "evidence": [],
        }
        queue.add_alert(alert, incident_id)
        ids.append(incident_id)
    return ids


def walk(client: httpx.Client, url: str, **options: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    answer = client.get(url, **options)
    while True:
        assert answer.status_code == 200, answer.text
        body = answer.json()
        rows += body["value"]
        if "@odata.nextLink" not in body:
            return rows
        answer = client.get(body["@odata.nextLink"])


def test_a_list_gives_fifty_newest_first_and_a_link_to_the_rest(
    simulator: RunningSimulator, graph: httpx.Client
) -> None:
    # given
    ids = fill(simulator, 57)

    # when
    first = graph.get(URL).json()
    rows = walk(graph, URL)

    # then
    assert len(first["value"]) == 50
    assert first["@odata.nextLink"].startswith(simulator.base_url)
    assert [row["id"] for row in rows] == ids[::-1]
    assert first["@odata.context"].endswith("$metadata#security/incidents")


def test_more_than_fifty_at_once_are_refused_in_the_recorded_words(graph: httpx.Client) -> None:
    # when
    answer = graph.get(f"{URL}?$top=51")

    # then
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == ""
    assert error["message"] == (
        "The query specified in the URI is not valid. The limit of '50' for Top query has been "
        "exceeded. The value from the incoming request is '51'."
    )
    assert error["details"] == []
    assert {"date", "request-id", "client-request-id"} <= set(error["innerError"])


@pytest.mark.parametrize(
    "query",
    [
        "$skip=501",
        "$top=-1",
        "$top=x",
        "$filter=title eq 'x'",
        "$filter=lastUpdateDateTime ge '2024-01-01T00:00:00Z'",
        "$filter=status eq",
        "$orderby=nothing asc",
        "$orderby=createdDateTime sideways",
        "$expand=comments",
        "$select=nothing",
        "$skiptoken=!!!",
    ],
)
def test_a_query_option_that_the_service_does_not_know_is_refused(
    simulator: RunningSimulator, graph: httpx.Client, query: str
) -> None:
    # given
    fill(simulator, 1)

    # when
    answer = graph.get(f"{URL}?{query}")

    # then
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("status eq 'active'", 3),
        ("status ne 'active'", 1),
        ("assignedTo eq null", 3),
        ("assignedTo ne null and severity eq 'high'", 1),
        ("(severity eq 'low' or severity eq 'high') and not (status eq 'resolved')", 2),
        ("severity in ('low','high')", 3),
        ("classification eq 'unknown'", 4),
    ],
)
def test_filters_pick_the_right_rows(
    simulator: RunningSimulator, graph: httpx.Client, condition: str, expected: int
) -> None:
    # given
    queue = simulator.tenant.queue
    queue.new_incident({"severity": "low"})
    queue.new_incident({"severity": "medium"})
    queue.new_incident({"severity": "high", "assignedTo": "lena@tailspin.example"})
    queue.new_incident({"severity": "high", "status": "resolved"})

    # when
    answer = graph.get(URL, params={"$filter": condition, "$count": "true"})

    # then
    assert answer.json()["@odata.count"] == expected
    assert len(answer.json()["value"]) == expected


def test_walking_by_link_loses_no_row_although_rows_move_meanwhile(
    simulator: RunningSimulator, graph: httpx.Client
) -> None:
    # given
    ids = fill(simulator, 20)
    queue = simulator.tenant.queue

    # when: rows of pages already read move to the end while the list is walked
    seen: list[str] = []
    answer = graph.get(URL, params={"$orderby": "lastUpdateDateTime asc", "$top": "4"}).json()
    for round_number in range(50):
        seen += [row["id"] for row in answer["value"]]
        if round_number < 4:
            simulator.tenant.clock.advance(1)
            queue.change_incident(queue.incidents[ids[round_number]], {"severity": "high"}, "x")
        if "@odata.nextLink" not in answer:
            break
        answer = graph.get(answer["@odata.nextLink"]).json()

    # then
    assert set(seen) == set(ids)
    assert seen[-4:] == ids[:4]


def test_a_filter_on_the_boundary_keeps_ties(
    simulator: RunningSimulator, graph: httpx.Client
) -> None:
    # given
    moment = "2026-01-02T03:04:05.1233333Z"
    for number in range(3):
        simulator.tenant.queue.new_incident({"id": str(number), "lastUpdateDateTime": moment})

    # when
    at_least = graph.get(URL, params={"$filter": f"lastUpdateDateTime ge {moment}"}).json()
    after = graph.get(URL, params={"$filter": f"lastUpdateDateTime gt {moment}"}).json()

    # then
    assert len(at_least["value"]) == 3
    assert after["value"] == []


def test_changes_are_answered_whole_stamped_and_signed(
    simulator: RunningSimulator, graph: httpx.Client
) -> None:
    # given
    incident_id = fill(simulator, 1)[0]
    before = graph.get(f"{URL}/{incident_id}").json()
    change = {
        "status": "inProgress",
        "assignedTo": "lena.brandt@tailspin.example",
        "classification": "TruePositive",
        "determination": "malware",
        "customTags": ["a", "b"],
        "severity": "high",
        "displayName": "Renamed",
        "description": "text",
        "summary": "short",
        "resolvingComment": "done",
    }

    # when
    answer = graph.patch(f"{URL}/{incident_id}", json=change)

    # then
    after = answer.json()
    assert answer.status_code == 200
    assert set(before) == set(after)
    assert after["classification"] == "truePositive"
    assert {name: after[name] for name in change if name != "classification"} == {
        name: value for name, value in change.items() if name != "classification"
    }
    assert after["lastModifiedBy"] == "API-App:quell-everything"
    earlier, later = (parse_stamp(item["lastUpdateDateTime"]) for item in (before, after))
    assert earlier is not None
    assert later is not None
    assert later > earlier


@pytest.mark.parametrize(
    "body",
    [
        {"nonsense": 1},
        {"id": "5"},
        {"comments": []},
        {"lastModifiedBy": "me"},
        {"systemTags": []},
        {"status": "redirected"},
        {"status": "awaitingAction"},
        {"status": "Closed"},
        {"severity": None},
        {"customTags": "one"},
        {"customTags": [1]},
        {"displayName": None},
        {"assignedTo": 5},
        [],
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(
    simulator: RunningSimulator, graph: httpx.Client, body: Any
) -> None:
    # given
    incident_id = fill(simulator, 1)[0]
    before = graph.get(f"{URL}/{incident_id}").json()

    # when
    answer = graph.patch(f"{URL}/{incident_id}", json=body)

    # then
    assert answer.status_code == 400
    assert graph.get(f"{URL}/{incident_id}").json() == before
    assert simulator.tenant.ledger.writes == []


def test_comments_answer_with_the_entire_list(
    simulator: RunningSimulator, graph: httpx.Client
) -> None:
    # given
    incident_id = fill(simulator, 1)[0]
    url = f"{URL}/{incident_id}/comments"
    body = {"@odata.type": "microsoft.graph.security.alertComment", "comment": "one"}

    # when
    graph.post(url, json=body)
    answer = graph.post(url, json={"comment": "two"})

    # then
    assert answer.status_code == 200
    assert [item["comment"] for item in answer.json()["value"]] == ["one", "two"]
    assert answer.json()["value"][0]["createdByDisplayName"] == "API-App:quell-everything"
    assert graph.post(url, json={"comment": " "}).status_code == 400
    assert graph.post(url, json={"comment": "x" * 30_001}).status_code == 400


def test_resolving_cascades_to_the_alerts_and_the_knob_stops_it(
    simulator: RunningSimulator, graph: httpx.Client, control: httpx.Client
) -> None:
    # given
    first, second = fill(simulator, 2)
    closing = {"status": "resolved", "classification": "falsePositive"}

    # when
    graph.patch(f"{URL}/{first}", json=closing)
    control.patch("/config", json={"resolve_cascades": False})
    graph.patch(f"{URL}/{second}", json=closing)

    # then
    alerts = {
        name: graph.get(f"{URL}/{name}?$expand=alerts").json()["alerts"][0]
        for name in (first, second)
    }
    assert alerts[first]["status"] == "resolved"
    assert alerts[first]["classification"] == "falsePositive"
    assert alerts[second]["status"] == "new"


def test_a_merge_redirects_the_loser_and_moves_alerts_and_tags_but_no_comments(
    simulator: RunningSimulator, graph: httpx.Client
) -> None:
    # given
    winner, loser = fill(simulator, 2)
    graph.patch(f"{URL}/{loser}", json={"customTags": ["kept"], "severity": "high"})
    graph.post(f"{URL}/{loser}/comments", json={"comment": "stays"})

    # when
    answer = graph.post(f"{URL}/mergeIncidents", json={"incidentIds": [winner, loser]})

    # then
    assert answer.json()["targetIncidentId"] == winner
    left = graph.get(f"{URL}/{loser}?$expand=alerts").json()
    right = graph.get(f"{URL}/{winner}?$expand=alerts").json()
    assert (left["status"], left["redirectIncidentId"]) == ("redirected", winner)
    assert left["alerts"] == []
    assert [alert["incidentId"] for alert in right["alerts"]] == [winner, winner]
    assert (right["customTags"], right["severity"], right["comments"]) == (["kept"], "high", [])
    assert [item["comment"] for item in left["comments"]] == ["stays"]


def test_writing_to_a_merged_incident_answers_200_and_leaves_it_redirected(
    simulator: RunningSimulator, graph: httpx.Client
) -> None:
    # given
    winner, loser = fill(simulator, 2)
    queue = simulator.tenant.queue
    queue.merge([queue.incidents[loser]], queue.incidents[winner])

    # when
    answer = graph.patch(f"{URL}/{loser}", json={"status": "active", "assignedTo": "me"})

    # then
    assert answer.status_code == 200
    assert answer.json()["status"] == "redirected"
    assert answer.json()["redirectIncidentId"] == winner
    assert answer.json()["assignedTo"] == "me"


def test_a_lagging_change_shows_late_in_lists_and_at_once_by_id(
    simulator: RunningSimulator, graph: httpx.Client, control: httpx.Client
) -> None:
    # given
    incident_id = fill(simulator, 1)[0]
    control.patch("/config", json={"lag_seconds": 120})

    # when
    graph.patch(f"{URL}/{incident_id}", json={"severity": "high"})
    new = control.post("/defender/incidents", json={"displayName": "late"}).json()["id"]
    at_once = {row["id"]: row["severity"] for row in graph.get(URL).json()["value"]}
    by_id = graph.get(f"{URL}/{incident_id}").json()["severity"]
    control.post("/clock/advance", json={"seconds": 121})
    later = {row["id"]: row["severity"] for row in graph.get(URL).json()["value"]}

    # then
    assert at_once == {incident_id: "medium"}
    assert by_id == "high"
    assert later == {incident_id: "high", new: "medium"}


def test_a_poisoned_incident_fails_only_where_its_alerts_are_expanded(
    simulator: RunningSimulator, graph: httpx.Client, control: httpx.Client
) -> None:
    # given
    ids = fill(simulator, 3)
    control.patch("/config", json={"poison_incidents": [ids[1]]})

    # when
    answers = [
        graph.get(f"{URL}?$expand=alerts"),
        graph.get(URL),
        graph.get(f"{URL}/{ids[1]}?$expand=alerts"),
        graph.get(f"{URL}/{ids[0]}?$expand=alerts"),
    ]

    # then
    assert [answer.status_code for answer in answers] == [500, 200, 500, 200]


def test_later_enum_members_are_shown_only_to_who_asks_for_them(
    simulator: RunningSimulator, graph: httpx.Client
) -> None:
    # given
    queue = simulator.tenant.queue
    incident = queue.new_incident({"status": "awaitingAction"})
    evidence = {"@odata.type": "x", "remediationStatus": "active", "unheardOf": {"a": [1, None]}}
    queue.add_alert(
        {
            "id": "sn1",
            "serviceSource": "microsoftSentinel",
            "detectionSource": "antivirus",
            "evidence": [evidence],
        },
        incident.body["id"],
    )

    # when
    plain = graph.get(f"{URL}?$expand=alerts").json()["value"][0]
    asked = graph.get(f"{URL}?$expand=alerts", headers=PREFER).json()["value"][0]

    # then
    assert plain["status"] == "unknownFutureValue"
    assert plain["alerts"][0]["serviceSource"] == "unknownFutureValue"
    assert plain["alerts"][0]["detectionSource"] == "antivirus"
    assert plain["alerts"][0]["evidence"][0]["remediationStatus"] == "unknownFutureValue"
    assert asked["status"] == "awaitingAction"
    assert asked["alerts"][0]["evidence"] == [evidence]


def test_stamps_have_up_to_seven_digits_and_always_move_on(
    simulator: RunningSimulator, graph: httpx.Client
) -> None:
    # given
    incident_id = fill(simulator, 1)[0]

    # when
    stamps = [
        graph.patch(f"{URL}/{incident_id}", json={"severity": level}).json()["lastUpdateDateTime"]
        for level in ("low", "high", "low", "high")
    ]

    # then
    for text in stamps:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z", text)
        assert not text.rstrip("Z").endswith("0") or "." not in text
    moments = [parse_stamp(text) for text in stamps]
    assert len(set(moments)) == 4
    assert moments == sorted(moments, key=lambda moment: moment or simulator.tenant.clock.now())


def test_beta_answers_like_v1_and_unknown_incidents_like_nothing(
    simulator: RunningSimulator,
    graph: httpx.Client,
    as_app: Callable[[str, str], httpx.Client],
) -> None:
    # given
    incident_id = fill(simulator, 1)[0]

    # when
    beta = graph.get(f"/beta/security/incidents/{incident_id}")
    missing = graph.get(f"{URL}/999999")
    wrong = graph.get("/v1.0/security/nothing")
    read_only = as_app("reader", "graph").get(f"{URL}/{incident_id}")

    # then
    assert (beta.status_code, missing.status_code, wrong.status_code) == (200, 404, 400)
    assert read_only.status_code == 200
    now = simulator.tenant.clock.now()
    created = parse_stamp(beta.json()["createdDateTime"])
    assert created is not None
    assert now - created < timedelta(minutes=1)
