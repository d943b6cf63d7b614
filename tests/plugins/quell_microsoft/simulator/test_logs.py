"""Logs ingestion: what is taken, what is not, and where it can be seen."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator

ROWS = [{"TimeGenerated": "2026-11-23T10:00:00Z", "Text": "a"}, {"Text": "b"}]
V = {"api-version": "2023-01-01"}


@pytest.fixture
def monitor(as_app: Callable[[str, str], httpx.Client]) -> httpx.Client:
    client = as_app("sync", "monitor")
    client.params = httpx.QueryParams(V)
    return client


@pytest.fixture
def url(simulator: RunningSimulator) -> str:
    return f"/dataCollectionRules/{simulator.tenant.dcr_immutable_id}/streams/Custom-Evidence_CL"


def test_plain_and_zipped_rows_are_taken_and_can_be_queried(
    simulator: RunningSimulator,
    monitor: httpx.Client,
    url: str,
    as_app: Callable[[str, str], httpx.Client],
) -> None:
    # when
    plain = monitor.post(url, json=ROWS)
    zipped = monitor.post(
        url, content=gzip.compress(json.dumps(ROWS).encode()), headers={"Content-Encoding": "gzip"}
    )

    # then
    assert [(a.status_code, a.content) for a in (plain, zipped)] == [(204, b"")] * 2
    guid = simulator.tenant.workspaces[0].guid
    found = as_app("reader", "logs").post(
        f"/v1/workspaces/{guid}/query", json={"query": "Evidence_CL | count"}
    )
    assert found.json()["tables"][0]["rows"] == [[4]]


def test_what_is_too_large_or_malformed_is_refused_whole(
    simulator: RunningSimulator, monitor: httpx.Client, url: str
) -> None:
    # given
    bomb = gzip.compress(b"[" + b" " * (3 * 1024 * 1024) + b"]")
    zipped = {"Content-Encoding": "gzip"}

    # when
    answers = [
        monitor.post(url, content=b"[" + b" " * (1024 * 1024) + b"]"),
        monitor.post(url, content=bomb, headers=zipped),
        monitor.post(url, content=b"not zipped", headers=zipped),
        monitor.post(url, content=gzip.compress(b"[{}]")[:-9], headers=zipped),
        monitor.post(url, content=b"{}"),
        monitor.post(url, content=b"[1]"),
        monitor.post(url, content=b"["),
    ]

    # then
    assert [a.status_code for a in answers] == [413, 413, 400, 400, 400, 400, 400]
    assert simulator.tenant.ingested.get("Custom-Evidence_CL", []) == []


def test_the_rule_must_exist_and_let_the_caller_in(
    monitor: httpx.Client, url: str, as_app: Callable[[str, str], httpx.Client]
) -> None:
    # when
    unknown = monitor.post("/dataCollectionRules/dcr-0/streams/Custom-X", json=ROWS)
    forbidden = as_app("reader", "monitor").post(url, params=V, json=ROWS)

    # then
    assert unknown.status_code == 404
    assert forbidden.status_code == 403
    assert forbidden.json()["error"]["code"] == "OperationFailed"


def declaration(**columns: str) -> dict[str, Any]:
    declared = [{"name": name, "type": kind} for name, kind in columns.items()]
    flow = {"streams": ["Custom-Evidence"], "outputStream": "Custom-Proof_CL"}
    return {
        "properties": {
            "streamDeclarations": {"Custom-Evidence": {"columns": declared}},
            "dataFlows": [flow],
        }
    }


def test_a_declared_stream_drops_unknown_columns_and_wrong_values(
    simulator: RunningSimulator,
    control: httpx.Client,
    monitor: httpx.Client,
    url: str,
    as_app: Callable[[str, str], httpx.Client],
) -> None:
    # given
    rule = declaration(TimeGenerated="datetime", Text="string", Number="int", Raw="dynamic")
    declared = control.put("/collection-rule", json=rule)
    row = {"TimeGenerated": "2026-11-23T10:00:00Z", "Text": 7, "Number": 1, "Raw": {"a": 1}}
    stream = url.removesuffix("_CL")

    # when
    taken = monitor.post(stream, json=[{**row, "Other": "x"}, {"Text": "é" * 40_000}])
    unknown = monitor.post(url, json=[row])

    # then
    assert (declared.status_code, taken.status_code, unknown.status_code) == (200, 204, 404)
    first, second = control.get("/ingested").json()["Custom-Evidence"]
    assert first == {**row, "Text": None}
    assert len(second["Text"].encode()) == 64 * 1024
    assert second["TimeGenerated"] is not None
    guid = simulator.tenant.workspaces[0].guid
    found = as_app("reader", "logs").post(
        f"/v1/workspaces/{guid}/query", json={"query": "Proof_CL | count"}
    )
    assert found.json()["tables"][0]["rows"] == [[2]]


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"TimeGenerated": "datetime", "Title": "string"}, "reserved"),
        ({"Text": "string"}, "TimeGenerated"),
        ({"TimeGenerated": "datetime", "1st": "string"}, "1st"),
        ({"TimeGenerated": "datetime", "a" * 46: "string"}, "up to 45"),
        ({"TimeGenerated": "datetime", "Text": "text"}, "'text'"),
        ({}, "no columns"),
    ],
)
def test_a_rule_that_could_not_be_deployed_is_refused(
    control: httpx.Client, columns: dict[str, str], what: str
) -> None:
    # when
    refused = control.put("/collection-rule", json=declaration(**columns))

    # then
    assert refused.status_code == 400
    assert what in refused.json()["error"]["message"]


def test_rows_may_get_lost_after_they_were_taken(
    control: httpx.Client, monitor: httpx.Client, url: str
) -> None:
    # given
    control.patch("/config", json={"ingestion_loss_percent": 100})

    # when
    answer = monitor.post(url, json=ROWS)

    # then
    assert answer.status_code == 204
    assert control.get("/ingested").json() == {"Custom-Evidence_CL": []}
