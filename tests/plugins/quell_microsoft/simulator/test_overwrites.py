"""Edits that a PATCH overwrites unseen are counted, and those inside its window told apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator
from quell_microsoft.simulator.state.clock import sortable

ANALYST = "analyst@tailspin.example"


@pytest.fixture
def incident(control: httpx.Client) -> str:
    made: dict[str, Any] = control.post("/defender/incidents", json={"displayName": "I"}).json()
    return f"/v1.0/security/incidents/{made['id']}"


def edit(control: httpx.Client, incident: str, **fields: Any) -> None:
    path = f"/defender/incidents/{incident.rpartition('/')[2]}"
    assert control.patch(path, json=fields).status_code == 200


def counts(control: httpx.Client) -> tuple[int, int]:
    found = control.get("/overwrites").json()
    return found["inWindow"], found["blind"]


def test_an_edit_between_get_and_patch_of_the_same_field_is_counted_with_its_details(
    control: httpx.Client, graph: httpx.Client, incident: str
) -> None:
    # given
    graph.get(incident)
    edit(control, incident, severity="high", assignedTo="someone@tailspin.example")

    # when
    graph.patch(incident, json={"severity": "low", "displayName": "J"})

    # then
    assert counts(control) == (1, 0)
    (lost,) = control.get("/overwrites").json()["value"]
    assert (lost["field"], lost["lost"], lost["written"]) == ("severity", "high", "low")
    assert (lost["lostBy"], lost["writtenBy"]) == (ANALYST, "API-App:quell-everything")
    assert (sortable(lost["lostAt"]) or ()) <= (sortable(lost["writtenAt"]) or ())


def test_a_client_that_reads_as_one_identity_and_writes_as_another_has_a_window_too(
    control: httpx.Client, as_app: Callable[[str, str], httpx.Client], incident: str
) -> None:
    # given
    as_app("reader", "graph").get(incident)
    edit(control, incident, severity="high")

    # when
    as_app("sync", "graph").patch(incident, json={"severity": "low"})

    # then
    assert counts(control) == (1, 0)


def test_what_was_read_before_it_was_overwritten_is_a_decision_and_not_counted(
    control: httpx.Client, graph: httpx.Client, incident: str
) -> None:
    # given
    edit(control, incident, severity="high")
    graph.get(incident)

    # when
    graph.patch(incident, json={"severity": "low"})
    graph.get(incident)
    graph.patch(incident, json={"severity": "medium"})

    # then
    assert counts(control) == (0, 0)


def test_overwriting_with_the_same_value_loses_nothing(
    control: httpx.Client, graph: httpx.Client, incident: str
) -> None:
    # given
    graph.get(incident)
    edit(control, incident, severity="low")

    # when
    graph.patch(incident, json={"severity": "low"})

    # then
    assert counts(control) == (0, 0)


def test_a_patch_without_a_get_of_its_own_overwrites_blindly(
    control: httpx.Client, graph: httpx.Client, incident: str
) -> None:
    # given: the GET served the first PATCH, not the second
    graph.get(incident)
    graph.patch(incident, json={"severity": "low"})
    edit(control, incident, severity="high")

    # when
    graph.patch(incident, json={"severity": "medium"})

    # then
    assert counts(control) == (0, 1)
    assert control.get("/overwrites").json()["value"][0]["lastRead"] == "answer"


def test_a_list_shows_edits_unless_it_lags(
    control: httpx.Client, graph: httpx.Client, incident: str
) -> None:
    # given
    edit(control, incident, severity="high")
    graph.get("/v1.0/security/incidents")
    graph.patch(incident, json={"severity": "low"})
    seen = counts(control)
    control.patch("/config", json={"lag_seconds": 600})
    edit(control, incident, severity="high")

    # when
    graph.get("/v1.0/security/incidents")
    graph.patch(incident, json={"severity": "low"})

    # then
    assert (seen, counts(control)) == ((0, 0), (0, 1))


def test_two_applications_whose_names_have_no_hyphen_are_two_clients(
    simulator: RunningSimulator,
    control: httpx.Client,
    as_app: Callable[[str, str], httpx.Client],
    incident: str,
) -> None:
    # given
    for role, name in (("reader", "alpha"), ("sync", "beta")):
        simulator.tenant.registrations[role].name = name
    as_app("sync", "graph").get(incident)
    edit(control, incident, severity="high")

    # when: that another application has seen the edit does not help
    as_app("reader", "graph").get(incident)
    as_app("sync", "graph").patch(incident, json={"severity": "low"})

    # then
    assert counts(control) == (1, 0)
