"""Mail: looking at copies, remediating them, what is not reached, and hunting for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator

URL = "/v1.0/security/collaboration/analyzedEmails"
ID = "73ca4154-58d8-43d0-a890-08dc18c52e6d"


@pytest.fixture
def copies(simulator: RunningSimulator) -> list[str]:
    mail = simulator.tenant.mail
    recipients = ["a@tailspin.example", "b@tailspin.example", "c@fabrikam.example"]
    for recipient in recipients:
        location = "onprem_external" if "fabrikam" in recipient else "inbox_folder"
        mail.add({"networkMessageId": ID, "recipientEmailAddress": recipient, "location": location})
    return recipients


def order(action: str, *recipients: str, name: str = "quell k1") -> dict[str, Any]:
    return {
        "displayName": name,
        "description": "d",
        "severity": "medium",
        "action": action,
        "remediateSendersCopy": "false",
        "analyzedEmails": [
            {"networkMessageId": ID, "recipientEmailAddress": recipient} for recipient in recipients
        ],
    }


def locations(graph: httpx.Client) -> dict[str, str]:
    answer = graph.get(URL, params={"$filter": f"networkMessageId eq '{ID}'"})
    return {
        row["recipientEmailAddress"]: row["latestDelivery"]["location"]
        for row in answer.json()["value"]
    }


def test_a_remediation_takes_effect_later_and_leaves_its_name(
    graph: httpx.Client, control: httpx.Client, copies: list[str]
) -> None:
    # when
    answer = graph.post(f"{URL}/remediate", json=order("softDelete", *copies))
    at_once = locations(graph)
    control.post("/clock/advance", json={"seconds": 30})
    later = locations(graph)

    # then
    assert (answer.status_code, answer.content) == (202, b"")
    assert "action-center/history" in answer.headers["Location"]
    assert at_once[copies[0]] == "inbox_folder"
    assert later == {
        copies[0]: "deletedFolder",
        copies[1]: "deletedFolder",
        copies[2]: "onprem_external",
    }
    shown = graph.get(URL, params={"$filter": f"recipientEmailAddress eq '{copies[0]}'"}).json()
    assert "quell k1" in shown["value"][0]["timelineEvents"][0]["eventDetails"]
    facts = control.get("/facts").json()
    assert facts["remediations"][0]["results"][f"{ID}|{copies[2]}"] == "notReached"
    assert [message["effects"] for message in facts["messages"]] == [
        {"softDelete": 1},
        {"softDelete": 1},
        {},
    ]


def test_a_soft_delete_can_be_taken_back_and_a_hard_one_cannot(
    graph: httpx.Client, control: httpx.Client, copies: list[str]
) -> None:
    # given
    soft, hard = copies[0], copies[1]
    graph.post(f"{URL}/remediate", json=order("softDelete", soft))
    graph.post(f"{URL}/remediate", json=order("hardDelete", hard))
    control.post("/clock/advance", json={"seconds": 30})

    # when
    graph.post(f"{URL}/remediate", json=order("moveToInbox", soft, hard))
    control.post("/clock/advance", json={"seconds": 30})

    # then
    assert locations(graph)[soft] == "inbox_folder"
    assert locations(graph)[hard] != "inbox_folder"
    results = control.get("/facts").json()["remediations"][-1]["results"]
    assert results == {f"{ID}|{soft}": "succeeded", f"{ID}|{hard}": "failed"}


def test_past_the_cap_a_remediation_is_accepted_and_never_starts(
    graph: httpx.Client, control: httpx.Client, copies: list[str]
) -> None:
    # given
    control.patch("/config", json={"mail_active_limit": 2})

    # when
    answers = [
        graph.post(f"{URL}/remediate", json=order("softDelete", recipient, name=recipient))
        for recipient in copies
    ]
    control.post("/clock/advance", json={"seconds": 30})

    # then
    assert [answer.status_code for answer in answers] == [202] * 3
    states = [item["state"] for item in control.get("/facts").json()["remediations"]]
    assert states == ["finished", "finished", "not started"]


def test_a_message_that_nobody_has_ends_as_failed(
    graph: httpx.Client, control: httpx.Client
) -> None:
    # when
    answer = graph.post(f"{URL}/remediate", json=order("softDelete", "x@tailspin.example"))
    control.post("/clock/advance", json={"seconds": 30})

    # then
    assert answer.status_code == 202
    assert control.get("/facts").json()["remediations"][0]["state"] == "failed"


@pytest.mark.parametrize(
    "change",
    [
        {"action": "moveToQuarantine"},
        {"action": None},
        {"severity": "urgent"},
        {"displayName": ""},
        {"analyzedEmails": []},
        {"analyzedEmails": [{"networkMessageId": ID}]},
        {"remediateSendersCopy": "maybe"},
        {"unheardOf": 1},
    ],
)
def test_a_wrong_order_is_refused(
    graph: httpx.Client, control: httpx.Client, copies: list[str], change: dict[str, Any]
) -> None:
    # when
    answer = graph.post(f"{URL}/remediate", json={**order("softDelete", *copies), **change})

    # then
    assert answer.status_code == 400
    assert control.get("/facts").json()["remediations"] == []


def test_copies_outside_the_asked_time_are_not_listed(
    graph: httpx.Client, copies: list[str]
) -> None:
    # when
    old = graph.get(
        URL, params={"startTime": "2020-01-01T00:00:00Z", "endTime": "2020-02-01T00:00:00Z"}
    ).json()["value"]
    recent = graph.get(
        URL, params={"startTime": "2020-01-01T00:00:00Z", "endTime": "2100-01-01T00:00:00Z"}
    ).json()["value"]
    bad = graph.get(URL, params={"startTime": "yesterday"})

    # then
    assert (len(old), len(recent), bad.status_code) == (0, len(copies), 400)


def test_hunting_answers_from_what_the_tenant_holds(
    graph: httpx.Client, copies: list[str], as_app: Callable[[str, str], httpx.Client]
) -> None:
    # given
    query = (
        f'EmailEvents\n| where NetworkMessageId == "{ID}" and RecipientEmailAddress in~ '
        f'("{copies[0].upper()}", "nobody")\n| project RecipientEmailAddress, Where = '
        "LatestDeliveryLocation | take 10"
    )

    # when
    body = graph.post("/v1.0/security/runHuntingQuery", json={"Query": query}).json()
    unknown = graph.post("/v1.0/security/runHuntingQuery", json={"Query": "Nothing | take 1"})
    forbidden = as_app("mail", "graph").post("/v1.0/security/runHuntingQuery", json={"Query": "x"})

    # then
    assert body["results"] == [{"RecipientEmailAddress": copies[0], "Where": "Inbox/folder"}]
    assert [column["name"] for column in body["schema"]] == ["RecipientEmailAddress", "Where"]
    assert (unknown.status_code, forbidden.status_code) == (400, 403)


def test_hunting_gives_canned_answers_and_runs_out_of_processor_time(
    graph: httpx.Client, control: httpx.Client
) -> None:
    # given
    control.post("/hunts", json={"pattern": "DeviceProcessEvents", "results": [{"A": "1"}]})

    # when
    canned = graph.post(
        "/v1.0/security/runHuntingQuery",
        json={"query": "DeviceProcessEvents | where x matches regex 'y'"},
    ).json()
    control.patch("/config", json={"hunting_cpu_exhausted": True})
    exhausted = graph.post("/v1.0/security/runHuntingQuery", json={"Query": "EmailEvents"})

    # then
    assert canned["results"] == [{"A": "1"}]
    assert exhausted.status_code == 429
    assert float(exhausted.headers["Retry-After"]) > 0
