"""JSON batches: twenty requests in one, each on its own."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator


def item(number: int, **changes: Any) -> dict[str, Any]:
    return {"id": str(number), "method": "GET", "url": "/security/incidents?$top=1", **changes}


def test_each_item_is_answered_on_its_own(simulator: RunningSimulator, graph: httpx.Client) -> None:
    # given
    incident = simulator.tenant.queue.new_incident({"displayName": "x"}).body["id"]
    requests = [
        item(1),
        item(2, url="/security/incidents/nothing"),
        item(
            3,
            method="PATCH",
            url=f"/security/incidents/{incident}",
            headers={"Content-Type": "application/json"},
            body={"severity": "high"},
        ),
        item(4, dependsOn=["2"]),
        item(5, method="PATCH", url=f"/security/incidents/{incident}", body={"severity": "low"}),
    ]

    # when
    answer = graph.post("/v1.0/$batch", json={"requests": requests})

    # then
    responses = {response["id"]: response for response in answer.json()["responses"]}
    assert answer.status_code == 200
    assert [responses[str(n)]["status"] for n in range(1, 6)] == [200, 404, 200, 424, 400]
    assert responses["3"]["body"]["severity"] == "high"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"requests": []},
        {"requests": [item(1), item(1)]},
        {"requests": [item(n) for n in range(21)]},
        {"requests": [{"id": "1"}]},
        {"requests": ["x"]},
    ],
)
def test_a_malformed_batch_is_refused_whole(graph: httpx.Client, body: dict[str, Any]) -> None:
    # when
    answer = graph.post("/v1.0/$batch", json=body)

    # then
    assert answer.status_code == 400


def test_items_are_throttled_one_by_one(graph: httpx.Client, control: httpx.Client) -> None:
    # given
    control.put("/faults", json=[{"kind": "429", "path": "incidents", "retry_after": 2.5}])

    # when
    answer = graph.post("/v1.0/$batch", json={"requests": [item(1), item(2)]}).json()

    # then
    responses = {response["id"]: response for response in answer["responses"]}
    assert [responses[name]["status"] for name in ("1", "2")] == [429, 200]
    assert responses["1"]["headers"]["Retry-After"] == "2.5"
