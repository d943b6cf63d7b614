"""The story: complete, the same every time, and everything in it can be acted on."""

from __future__ import annotations

import httpx
import pytest

from quell_microsoft.simulator.config import SimulatorConfig
from quell_microsoft.simulator.server import SimulatorOptions, start
from quell_microsoft.simulator.state.tenant import Tenant
from quell_microsoft.simulator.story import create_story


@pytest.fixture
def told() -> Tenant:
    tenant = Tenant(SimulatorConfig())
    create_story(tenant)
    return tenant


def test_the_story_covers_all_four_products(told: Tenant) -> None:
    # when
    products = [incident["product"] for incident in told.story["incidents"]]

    # then
    assert len(products) >= 30
    assert set(products) == {"endpoint", "identity", "office", "cloud_apps"}
    assert {told.queue.incidents[incident["id"]].released for incident in told.story["incidents"]}


def test_the_story_is_the_same_at_every_start(told: Tenant) -> None:
    # given
    again = Tenant(SimulatorConfig())
    other = Tenant(SimulatorConfig(seed=5))

    # when
    create_story(again)
    create_story(other)

    # then
    assert again.story == told.story
    assert again.tenant_id == told.tenant_id
    assert other.tenant_id != told.tenant_id


def test_everything_that_evidence_names_exists_in_the_tenant(told: Tenant) -> None:
    # when
    devices = {name for incident in told.story["incidents"] for name in incident["devices"]}
    users = {name for incident in told.story["incidents"] for name in incident["users"]}
    messages = [m for incident in told.story["incidents"] for m in incident["messages"]]

    # then
    assert devices <= set(told.devices.machines)
    assert all(told.users.find(name) or told.users.find_by_sid(name) for name in users)
    assert messages
    for message in messages:
        assert told.mail.find(message["networkMessageId"], message["recipientEmailAddress"])


def test_the_parts_are_played_by_whom_they_should(told: Tenant) -> None:
    # given
    parts = told.story
    by_id = {incident["id"]: incident for incident in parts["incidents"]}

    # then
    assert by_id[parts["merge_loser"]]["devices"] == by_id[parts["merge_winner"]]["devices"]
    server = told.devices.machines[parts["targets"]["protected_server"]]
    assert "Domain Controller" in server.body["machineTags"]
    assert server.body["id"] in by_id[parts["protected_server"]]["devices"]
    away = told.devices.machines[parts["targets"]["offline_device"]]
    assert not away.is_online
    recipients = [
        m["recipientEmailAddress"] for m in by_id[parts["external_recipient"]]["messages"]
    ]
    assert any(not recipient.endswith(told.domain) for recipient in recipients)
    assert by_id[parts["approval"]]["severity"] == "high"


def test_a_queued_story_happens_when_it_is_released() -> None:
    # given
    with (
        start(SimulatorOptions(story=True, queued=True)) as running,
        httpx.Client(
            base_url=f"{running.base_url}/_simulator",
            verify=running.ssl_context,
            headers={"X-Simulator-Token": running.tenant.control_token},
        ) as control,
    ):
        queue = running.tenant.queue
        assert list(queue.released()) == []
        story = control.get("/story").json()

        # when
        first = control.post("/release", json={"count": 2}).json()
        named = control.post("/release", json={"ids": [story["merge_loser"]]}).json()
        rest = control.post("/release", json={}).json()

        # then
        assert len(first["released"]) == 2
        assert named["released"] == [story["merge_loser"]]
        assert rest["waiting"] == 0
        assert all(alert.released for alert in queue.alerts.values())


def test_facts_start_untouched_and_name_everybody(told: Tenant) -> None:
    # given
    with (
        start(SimulatorOptions(story=True)) as running,
        httpx.Client(
            base_url=f"{running.base_url}/_simulator",
            verify=running.ssl_context,
            headers={"X-Simulator-Token": running.tenant.control_token},
        ) as control,
    ):
        # when
        facts = control.get("/facts").json()

    # then
    touched = [m for m in facts["machines"] if m["accepted"] or m["isolated"]]
    touched += [u for u in facts["users"] if u["effects"]]
    touched += [m for m in facts["messages"] if m["effects"] or m["purged"]]
    assert touched == []
    assert {one["id"] for one in facts["incidents"]} == set(told.queue.incidents)
    assert all(one["displayName"] for one in facts["incidents"])
    assert len(facts["machines"]) == len(told.devices.machines)
