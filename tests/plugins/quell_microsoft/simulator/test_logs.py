"""Logs ingestion: what is taken, what is not, and where it can be seen."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

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
