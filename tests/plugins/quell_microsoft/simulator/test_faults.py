"""Faults to order, throttles, and the simulator's own API."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator

URL = "/v1.0/security/incidents"


@pytest.mark.parametrize("kind", ["429", "500", "502", "503", "504"])
def test_an_ordered_status_comes_as_often_as_ordered(
    graph: httpx.Client, control: httpx.Client, kind: str
) -> None:
    # given
    control.put(
        "/faults", json=[{"kind": kind, "path": "/incidents", "times": 2, "retry_after": 2.128}]
    )

    # when
    answers = [graph.get(URL) for _ in range(3)]

    # then
    assert [answer.status_code for answer in answers] == [int(kind), int(kind), 200]
    assert answers[0].headers["Retry-After"] == "2.128"
    assert answers[0].json()["error"]["innerError"]["request-id"]


@pytest.mark.parametrize("kind", ["drop", "truncated"])
@pytest.mark.parametrize("after_effect", [True, False])
def test_a_lost_answer_tells_nothing_about_its_effect(
    simulator: RunningSimulator,
    graph: httpx.Client,
    control: httpx.Client,
    kind: str,
    after_effect: bool,
) -> None:
    # given
    incident = simulator.tenant.queue.new_incident({}).body
    rule = {"kind": kind, "method": "POST", "after_effect": after_effect}
    control.put("/faults", json=[rule])

    # when
    with pytest.raises(httpx.TransportError):
        graph.post(f"{URL}/{incident['id']}/comments", json={"comment": "once"})

    # then
    took_effect = after_effect or kind == "truncated"
    assert len(incident["comments"]) == int(took_effect)
    writes = control.get("/writes").json()["value"]
    assert [write["body"] for write in writes] == [{"comment": "once"}] * int(took_effect)


def test_an_error_can_hide_that_it_took_effect(
    simulator: RunningSimulator, graph: httpx.Client, control: httpx.Client
) -> None:
    # given
    incident = simulator.tenant.queue.new_incident({}).body
    control.put("/faults", json=[{"kind": "504", "method": "PATCH", "after_effect": True}])

    # when
    answer = graph.patch(f"{URL}/{incident['id']}", json={"severity": "high"})

    # then
    assert answer.status_code == 504
    assert incident["severity"] == "high"


def test_answers_can_be_malformed_partial_or_late(
    simulator: RunningSimulator, graph: httpx.Client, control: httpx.Client
) -> None:
    # given
    simulator.tenant.queue.new_incident({})
    control.put(
        "/faults",
        json=[{"kind": "malformed"}, {"kind": "partial206"}, {"kind": "slow", "delay": 30}],
    )

    # when
    malformed = graph.get(URL)
    partial = graph.get(URL)
    with pytest.raises(httpx.ReadTimeout):
        graph.get(URL, timeout=0.3)

    # then
    with pytest.raises(json.JSONDecodeError):
        malformed.json()
    assert (partial.status_code, partial.json()["value"]) == (206, [])
    assert partial.headers["Warning"].startswith("199 - ")


@pytest.mark.parametrize("rule", [{"kind": "fire"}, {"kind": "500", "path": "("}, {"x": 1}, "y"])
def test_a_rule_that_makes_no_sense_is_refused(control: httpx.Client, rule: Any) -> None:
    # when
    answer = control.put("/faults", json=[rule])

    # then
    assert answer.status_code == 400
    assert control.get("/faults").json() == {"value": []}


def test_graph_throttles_at_its_documented_rate_and_not_when_switched_off(
    graph: httpx.Client, control: httpx.Client
) -> None:
    # given
    control.patch("/config", json={"throttle_scale": 0.02})

    # when
    statuses = [graph.get(URL).status_code for _ in range(4)]
    throttled = graph.get(URL)
    control.patch("/config", json={"throttle_scale": 0})
    open_again = graph.get(URL)

    # then
    assert statuses == [200, 200, 200, 429]
    assert 0 < float(throttled.headers["Retry-After"]) <= 60
    assert throttled.json()["error"]["code"] == "TooManyRequests"
    assert open_again.status_code == 200


def test_the_window_of_a_throttle_passes_in_tenant_time(
    graph: httpx.Client, control: httpx.Client, as_app: Callable[[str, str], httpx.Client]
) -> None:
    # given
    control.patch("/config", json={"throttle_scale": 0.01})
    first = [graph.get(URL).status_code for _ in range(2)]

    # when
    other_app = as_app("reader", "graph").get(URL).status_code
    control.post("/clock/advance", json={"seconds": 61})
    later = graph.get(URL).status_code

    # then
    assert (first, other_app, later) == ([200, 429], 200, 200)


def test_the_control_api_wants_its_token_and_sound_input(
    simulator: RunningSimulator, control: httpx.Client
) -> None:
    # when
    without = httpx.get(f"{simulator.base_url}/_simulator/facts", verify=simulator.ssl_context)
    knob = control.put("/config", json={"no_such_knob": 1})
    back = control.post("/clock/advance", json={"seconds": -5})
    nobody = control.patch("/machines/nothing", json={"online": True})

    # then
    assert [a.status_code for a in (without, knob, back, nobody)] == [401, 400, 400, 404]


def test_calls_are_counted_by_route_and_status(graph: httpx.Client, control: httpx.Client) -> None:
    # given
    graph.get(URL)
    graph.get(f"{URL}/1")
    graph.get(f"{URL}/2")

    # when
    rows = control.get("/calls").json()["value"]

    # then
    counted = {(row["method"], row["route"], row["status"]): row["count"] for row in rows}
    assert counted["GET", "/v1.0/security/incidents", 200] == 1
    assert counted["GET", "/v1.0/security/incidents/{incident_id}", 404] == 2


def test_analysts_can_edit_both_sides_by_control(
    simulator: RunningSimulator, graph: httpx.Client, control: httpx.Client
) -> None:
    # given
    first = control.post("/defender/incidents", json={"displayName": "a"}).json()["id"]
    second = control.post("/defender/incidents", json={"displayName": "b"}).json()["id"]
    copy = control.post("/sentinel/incidents", json={"title": "S"}).json()["name"]

    # when
    control.patch(f"/defender/incidents/{first}", json={"severity": "low", "author": "ann"})
    control.post(f"/defender/incidents/{first}/comments", json={"comment": "c", "author": "ann"})
    control.post("/defender/merge", json={"losers": [second], "winner": first})
    control.patch(f"/sentinel/incidents/{copy}", json={"status": "Active", "author": "bob"})
    control.post(f"/sentinel/incidents/{copy}/comments", json={"message": "m", "author": "bob"})

    # then
    shown = graph.get(f"{URL}/{first}").json()
    assert (shown["severity"], shown["comments"][0]["createdByDisplayName"]) == ("medium", "ann")
    assert graph.get(f"{URL}/{second}").json()["redirectIncidentId"] == first
    incident = simulator.tenant.workspaces[0].incidents[copy]
    assert incident.properties["status"] == "Active"
    comment = next(iter(incident.comments.values()))
    assert comment.properties["author"]["userPrincipalName"] == "bob"
    assert control.delete(f"/sentinel/incidents/{copy}").status_code == 204
