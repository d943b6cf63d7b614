"""What a second arrival of a write to an incident does: docs/explanation/once.md says it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.actions.second_arrival import arrive_again

from quell.domain.ids import TenantId, WorkerId
from quell.domain.incident import IncidentFields, Severity
from quell.domain.outcome import Pending, Succeeded
from quell.domain.ports import NewIncident
from quell.journal import Journal, incidents
from quell.sync import Sync, SyncPolicy
from quell_defender import DefenderIncidents
from quell_sentinel import SentinelIncidents

if TYPE_CHECKING:
    from tests.plugins.conftest import SourceDesk

pytestmark = pytest.mark.anyio

TENANT = TenantId("t")
KEY = "abcdefghijklmnop"
TEXT = f"[quell {KEY}] Isolated the device."
ARM = {"params": {"api-version": "2025-09-01"}}
ANALYST = "kai@corp.example"


@pytest.fixture
def defender(desk: SourceDesk) -> DefenderIncidents:
    """Give the Defender queue, with one incident in it."""
    desk.tenant.queue.new_incident({"displayName": "one", "severity": "low"})
    (found,) = DefenderIncidents.build(desk.context)
    return found


@pytest.fixture
def sentinel(desk: SourceDesk) -> SentinelIncidents:
    """Give the Sentinel queue, with one incident in it."""
    fields = {"title": "one", "severity": "Low", "status": "New"}
    desk.tenant.workspaces[0].create("one", fields, by="analyst")
    (found,) = SentinelIncidents.build(desk.context)
    return found


def last_write(desk: SourceDesk) -> dict[str, Any]:
    """Give the last accepted write as the tenant recorded it."""
    return desk.tenant.ledger.writes[-1]


def only_incident(desk: SourceDesk) -> Any:
    """Give the one incident in Defender."""
    (found,) = desk.tenant.queue.incidents.values()
    return found


async def test_a_second_comment_in_defender_is_there_twice_and_found_by_its_key(
    desk: SourceDesk, defender: DefenderIncidents
) -> None:
    # given
    native_id = str(only_incident(desk).body["id"])
    await defender.comment(native_id, TEXT, KEY)

    # when
    status = await arrive_again(desk, last_write(desk), "sync")

    # then
    texts = [one["comment"] for one in only_incident(desk).body["comments"]]
    assert status == 200
    assert texts == [TEXT, TEXT]
    assert await defender.find_comment(native_id, KEY) is not None


async def test_a_second_comment_in_sentinel_is_the_same_comment(
    desk: SourceDesk, sentinel: SentinelIncidents
) -> None:
    # given
    await sentinel.comment("one", TEXT, KEY)

    # when
    status = await arrive_again(desk, last_write(desk), "sync", **ARM)

    # then
    assert status == 200
    assert len(desk.tenant.workspaces[0].incidents["one"].comments) == 1


async def test_a_second_change_in_defender_goes_over_what_was_changed_since(
    desk: SourceDesk, defender: DefenderIncidents
) -> None:
    # given
    base = await defender.fetch(str(only_incident(desk).body["id"]))
    await defender.update(base, {"severity": Severity.HIGH.value})
    held_back = last_write(desk)
    assert await arrive_again(desk, held_back, "sync") == 200
    assert only_incident(desk).body["severity"] == "high"
    desk.tenant.queue.change_incident(only_incident(desk), {"severity": "medium"}, ANALYST)

    # when
    status = await arrive_again(desk, held_back, "sync")

    # then
    assert status == 200
    assert only_incident(desk).body["severity"] == "high"


async def test_a_second_change_in_sentinel_is_refused(
    desk: SourceDesk, sentinel: SentinelIncidents
) -> None:
    # given
    base = await sentinel.fetch("one")
    await sentinel.update(base, {"severity": "High"})
    incident = desk.tenant.workspaces[0].incidents["one"]
    etag = incident.etag

    # when
    refusal = await arrive_again(desk, last_write(desk), "sync", **ARM)

    # then
    assert refusal == "Conflict"
    assert (incident.properties["severity"], incident.etag) == ("High", etag)


async def test_a_copy_that_is_made_a_second_time_is_refused(
    desk: SourceDesk, sentinel: SentinelIncidents
) -> None:
    # given
    name = sentinel.name_for("defender/1001")
    fields = IncidentFields(title="two", severity=Severity.LOW)
    await sentinel.create(NewIncident(native_id=name, created_for="defender/1001", fields=fields))

    # when
    refusal = await arrive_again(desk, last_write(desk), "sync", **ARM)

    # then
    assert refusal == "Conflict"
    assert sorted(desk.tenant.workspaces[0].incidents) == sorted(["one", name])


async def test_a_second_comment_in_defender_is_brought_to_the_copy_as_somebodys_and_no_further(
    desk: SourceDesk, journal: Journal
) -> None:
    # given a playbook's comment that does not arrive, is looked for and sent again
    desk.tenant.queue.new_incident({"displayName": "one", "severity": "low"})
    sync = both_ways(desk, journal)
    await a_minute_passes(desk, sync)
    (incident_id,) = journal.ask_now(incidents.find(TENANT, str(only_incident(desk).body["id"])))
    desk.fail(kind="drop", method="POST", path="/comments$")
    outcome = await sync.desk.comment(incident_id, "Isolated it.", key="key-1", run_id=None)
    assert isinstance(outcome, Pending)
    await a_minute_passes(desk, sync)
    assert isinstance(await sync.desk.outcome(incident_id, "key-1"), Succeeded)
    (sent,) = [one for one in desk.tenant.ledger.writes if one["path"].endswith("/comments")]

    # when the first one arrives after all
    await arrive_again(desk, sent, "sync")
    for _ in range(3):
        await a_minute_passes(desk, sync)

    # then
    (copy,) = desk.tenant.workspaces[0].incidents.values()
    there = [one["comment"] for one in only_incident(desk).body["comments"]]
    brought = [one.properties["message"] for one in copy.comments.values()]
    assert len(there) == 2
    assert len(set(there)) == 1
    assert len(brought) == 2
    assert ["wrote in defender" in one for one in brought] == [False, True]


async def a_minute_passes(desk: SourceDesk, sync: Sync) -> None:
    """Let a minute pass, and sync until nothing is left to do."""
    desk.tenant.clock.advance(60)
    assert (await sync.pass_once()).problems == ()


@pytest.fixture
def journal(desk: SourceDesk) -> Iterator[Journal]:
    """Give a journal in memory, by the tenant's time."""
    opened = Journal.open("sqlite://", clock=desk.clock)
    yield opened
    opened.close()


def both_ways(desk: SourceDesk, journal: Journal) -> Sync:
    """Keep both queues in step, with copies of quell's own."""
    desk.turn(throttle_scale=0)
    (defender,) = DefenderIncidents.build(desk.context)
    (sentinel,) = SentinelIncidents.build(desk.context)
    return Sync(
        journal=journal,
        tenant_id=TENANT,
        sources=[(defender, "detects"), (sentinel, "mirrors")],
        policy=SyncPolicy(mode="replica"),
        clock=desk.clock,
        worker=WorkerId("w"),
        wake=lambda: None,
        hmac_key=b"k" * 32,
    )
