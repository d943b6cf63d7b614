"""What one queue cannot say is not lost on its way there and back; tasks go wherever copies are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest

from quell.domain.ids import TenantId, WorkerId
from quell.journal import Journal
from quell.sync import Sync, SyncPolicy
from quell_defender import DefenderIncidents
from quell_microsoft.simulator.state.workspaces import SubResource
from quell_sentinel import SentinelIncidents

if TYPE_CHECKING:
    from tests.plugins.conftest import SourceDesk

pytestmark = pytest.mark.anyio


@dataclass(kw_only=True)
class Queues:
    """A tenant's queues with quell between them."""

    desk: SourceDesk
    sync: Sync

    async def settle(self, seconds: float = 60) -> None:
        for _ in range(3):
            self.desk.tenant.clock.advance(seconds)
            await self.sync.pass_once()

    async def agree(self) -> bool:
        """Tell whether both sides agree and a further pass writes nothing."""
        before = len(self.desk.tenant.ledger.writes)
        await self.settle()
        is_quiet = len(self.desk.tenant.ledger.writes) == before
        return is_quiet and not (await self.sync.compare()).disagreements

    def original(self, **fields: Any) -> Any:
        return self.desk.tenant.queue.new_incident({"displayName": "one", **fields})

    def change(self, original: Any, **fields: Any) -> None:
        self.desk.tenant.queue.change_incident(original, fields, "analyst@contoso.example")

    def edit(self, copy: Any, **properties: Any) -> None:
        copy.properties.update(properties)
        self.desk.tenant.workspaces[0].touch(copy, by="analyst")

    def copies(self, workspace: int = 0) -> list[Any]:
        return list(self.desk.tenant.workspaces[workspace].incidents.values())


def between(
    desk: SourceDesk, journal: Journal, mode: Literal["overlay", "replica"] = "replica"
) -> Queues:
    desk.turn(throttle_scale=0)
    sync = Sync(
        journal=journal,
        tenant_id=TenantId("t"),
        sources=[
            *((one, "detects") for one in DefenderIncidents.build(desk.context)),
            *((one, "mirrors") for one in SentinelIncidents.build(desk.context)),
        ],
        policy=SyncPolicy(mode=mode),
        clock=desk.clock,
        worker=WorkerId("w"),
        wake=lambda: None,
        hmac_key=b"k" * 32,
    )
    return Queues(desk=desk, sync=sync)


@pytest.fixture
async def journal(desk: SourceDesk) -> AsyncIterator[Journal]:
    opened = Journal.open("sqlite://", clock=desk.clock)
    yield opened
    opened.close()


PAIRS = [
    ("truePositive", "malware"),
    ("truePositive", "apt"),
    ("informationalExpectedActivity", "securityTesting"),
    ("falsePositive", "other"),
    ("falsePositive", "notMalicious"),
    # a pair that no portal offers, and an older name
    ("truePositive", "notMalicious"),
    ("falsePositive", "insufficientData"),
]


@pytest.mark.parametrize(("classification", "determination"), PAIRS)
async def test_a_determination_survives_edits_of_the_copy_that_are_about_something_else(
    desk: SourceDesk, journal: Journal, classification: str, determination: str
) -> None:
    # given
    queues = between(desk, journal)
    original = queues.original()
    await queues.settle()
    (copy,) = queues.copies()
    queues.change(original, classification=classification, determination=determination)
    await queues.settle()
    # when
    queues.edit(copy, classificationComment="looked at it", status="Closed")
    await queues.settle()
    queues.edit(copy, status="Active")
    await queues.settle()
    # then
    body = original.body
    assert (body["classification"], body["determination"]) == (classification, determination)
    assert (body["status"], body["resolvingComment"]) == ("inProgress", "looked at it")
    assert await queues.agree()


async def test_a_determination_survives_a_lost_journal(desk: SourceDesk, journal: Journal) -> None:
    # given
    queues = between(desk, journal)
    original = queues.original(classification="truePositive", determination="phishing")
    await queues.settle()
    (copy,) = queues.copies()
    # when: the copy is read by somebody who knows nothing else
    (source,) = SentinelIncidents.build(desk.context)
    seen = await source.fetch(copy.name)
    # then
    assert seen.fields.verdict is not None
    assert seen.fields.verdict.determination == "phishing"
    assert seen.fields.tags == frozenset()
    assert original.body["determination"] == "phishing"


async def test_not_malicious_survives_the_connector_s_one_reason_for_false_positives(
    desk: SourceDesk, journal: Journal
) -> None:
    # given
    desk.turn(connector=True)
    queues = between(desk, journal, "overlay")
    original = queues.original()
    await queues.settle(320)
    (copy,) = queues.copies()
    assert copy.is_connector_copy
    # when
    queues.change(original, classification="falsePositive", determination="notMalicious")
    await queues.settle(320)
    # then
    assert copy.properties["classificationReason"] == "InaccurateData"
    assert original.body["determination"] == "notMalicious"
    assert await queues.agree()


async def test_a_person_s_own_verdict_in_the_copy_is_taken_over_whole(
    desk: SourceDesk, journal: Journal
) -> None:
    # given
    queues = between(desk, journal)
    original = queues.original(classification="truePositive", determination="malware")
    await queues.settle()
    (copy,) = queues.copies()
    # when
    queues.edit(copy, classification="FalsePositive", classificationReason="IncorrectAlertLogic")
    await queues.settle()
    # then
    body = original.body
    assert (body["classification"], body["determination"]) == ("falsePositive", "notMalicious")
    assert await queues.agree()


def add_workspace(desk: SourceDesk) -> None:
    """Tell quell of the tenant's second workspace."""
    second = desk.tenant.workspaces[1]
    (known,) = desk.sections["sentinel"]["workspaces"]
    added = {**known, "workspace": second.name, "resource_group": second.resource_group}
    desk.sections["sentinel"]["workspaces"] = [known, {**added, "source_id": "second"}]


async def test_tasks_are_copied_between_workspaces_and_done_in_both(
    desk: SourceDesk, journal: Journal
) -> None:
    # given
    add_workspace(desk)
    queues = between(desk, journal)
    queues.original()
    await queues.settle()
    ((one,), (two,)) = queues.copies(0), queues.copies(1)
    # when: an analyst makes a task in one workspace
    properties = {"title": "Look at the log", "description": "<b>all</b>", "status": "New"}
    one.tasks["k"] = SubResource(name="k", properties=dict(properties))
    desk.tenant.workspaces[0].touch(one, by="analyst")
    await queues.settle()
    # then
    (copied,) = two.tasks.values()
    assert {name: copied.properties[name] for name in properties} == properties
    # and when it is done in the other one
    copied.properties["status"] = "Completed"
    desk.tenant.workspaces[1].touch(two, by="analyst")
    await queues.settle()
    # then
    assert one.tasks["k"].properties["status"] == "Completed"
    assert (len(one.tasks), len(two.tasks)) == (1, 1)
    assert await queues.agree()


async def test_alerts_of_an_incident_that_says_nothing_of_comments_are_not_lost(
    desk: SourceDesk, journal: Journal
) -> None:
    # given: a payload without the list that the services send along
    queues = between(desk, journal)
    original = queues.original()
    number, created = original.body["id"], original.body["createdDateTime"]
    stamps = {"createdDateTime": created, "lastUpdateDateTime": created}
    desk.tenant.queue.add_alert({"id": "da1", "title": "beacon", **stamps}, number)
    del original.body["comments"]
    # when
    await queues.settle()
    # then
    (copy,) = queues.copies()
    told = [one.properties["message"] for one in copy.comments.values()]
    assert [text for text in told if "beacon" in text]
