"""Every field that the queues share, in both directions, and what becomes of merges, over HTTPS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from quell.domain.hub import Hub
from quell.domain.ids import SourceId, TenantId, WorkerId
from quell.journal import Journal, cursors, hubs, incidents, links
from quell.sync import Sync, SyncPolicy
from quell_defender import DefenderIncidents
from quell_microsoft.simulator.connector import Connector
from quell_microsoft.simulator.story import create_story
from quell_sentinel import SentinelIncidents

if TYPE_CHECKING:
    from tests.plugins.conftest import SourceDesk

pytestmark = pytest.mark.anyio
TENANT = TenantId("t")

#: field, what Defender then says, what Sentinel then says
FIELDS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("title", {"displayName": "new"}, {"title": "new"}),
    ("description", {"description": "more"}, {"description": "more"}),
    ("severity", {"severity": "high"}, {"severity": "High"}),
    ("status", {"status": "inProgress"}, {"status": "Active"}),
    (
        "owner",
        {"assignedTo": "ada@contoso.example"},
        {"owner": {"userPrincipalName": "ada@contoso.example"}},
    ),
    (
        "verdict",
        {"classification": "falsePositive", "determination": "notMalicious"},
        {"classification": "FalsePositive", "classificationReason": "IncorrectAlertLogic"},
    ),
    ("closing_comment", {"resolvingComment": "fine"}, {"classificationComment": "fine"}),
]


@dataclass(slots=True, kw_only=True)
class Both:
    """Both queues of a simulated tenant with quell between them."""

    desk: SourceDesk
    sync: Sync
    journal: Journal
    defender: SourceId
    sentinel: SentinelIncidents

    async def settle(self) -> None:
        for _ in range(4):
            self.desk.tenant.clock.advance(60)
            await self.sync.pass_once()

    def hub(self, original: Any) -> Hub:
        link = self.journal.ask_now(links.find(TENANT, self.defender, original.body["id"]))
        assert link is not None
        return self.journal.ask_now(hubs.get(TENANT, link.incident_id))

    def copy(self, original: Any) -> Any:
        name = self.sentinel.name_for(f"{TENANT}/{self.defender}/{original.body['id']}")
        return self.desk.tenant.workspaces[0].incidents[name]

    def edit_copy(self, copy: Any, **properties: Any) -> None:
        copy.properties.update(properties)
        self.desk.tenant.workspaces[0].touch(copy, by="analyst")

    async def disagreements(self) -> tuple[Any, ...]:
        return (await self.sync.compare()).disagreements


def between(desk: SourceDesk, journal: Journal, policy: SyncPolicy) -> Both:
    desk.turn(throttle_scale=0)
    (defender,) = DefenderIncidents.build(desk.context)
    (sentinel,) = SentinelIncidents.build(desk.context)
    sync = Sync(
        journal=journal,
        tenant_id=TENANT,
        sources=[(defender, "detects"), (sentinel, "mirrors")],
        policy=policy,
        clock=desk.clock,
        worker=WorkerId("w"),
        wake=lambda: None,
        hmac_key=b"k" * 32,
    )
    return Both(
        desk=desk, sync=sync, journal=journal, defender=defender.source_id, sentinel=sentinel
    )


@pytest.fixture
async def both(desk: SourceDesk) -> AsyncIterator[Both]:
    journal = Journal.open("sqlite://", clock=desk.clock)
    yield between(desk, journal, SyncPolicy(mode="replica"))
    journal.close()


def is_in(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Tell whether all that is wanted is there; of an object, what is wanted of it."""
    for name, value in wanted.items():
        found = there.get(name)
        if name == "owner" and found is not None:
            if not is_in(value, found):
                return False
        elif found != value:
            return False
    return True


@pytest.mark.parametrize(("name", "here", "there"), FIELDS, ids=[one[0] for one in FIELDS])
async def test_a_field_changed_in_defender_is_changed_in_sentinel(
    both: Both, name: str, here: dict[str, Any], there: dict[str, Any]
) -> None:
    # given
    original = both.desk.tenant.queue.new_incident({"displayName": "one"})
    await both.settle()

    # when
    both.desk.tenant.queue.change_incident(original, here, "analyst@contoso.example")
    await both.settle()

    # then
    assert is_in(there, both.copy(original).properties)
    assert await both.disagreements() == ()


@pytest.mark.parametrize(("name", "here", "there"), FIELDS, ids=[one[0] for one in FIELDS])
async def test_a_field_changed_in_sentinel_is_changed_in_defender(
    both: Both, name: str, here: dict[str, Any], there: dict[str, Any]
) -> None:
    # given
    original = both.desk.tenant.queue.new_incident({"displayName": "one"})
    await both.settle()

    # when
    both.edit_copy(both.copy(original), **there)
    await both.settle()

    # then
    assert is_in(here, original.body)
    assert await both.disagreements() == ()


async def test_tags_of_both_sides_come_together_and_removed_ones_go(both: Both) -> None:
    # given
    original = both.desk.tenant.queue.new_incident({"displayName": "one", "customTags": ["a", "b"]})
    await both.settle()
    copy = both.copy(original)

    # when
    both.desk.tenant.queue.change_incident(original, {"customTags": ["b"]}, "analyst")
    labels = [*copy.properties["labels"], {"labelName": "c", "labelType": "User"}]
    both.edit_copy(copy, labels=labels)
    await both.settle()

    # then
    assert set(original.body["customTags"]) == {"b", "c"}
    names = {label["labelName"] for label in copy.properties["labels"]}
    assert {"b", "c"} <= names
    assert "a" not in names


async def test_the_whole_story_is_copied_with_alerts_and_agrees(both: Both) -> None:
    # given
    create_story(both.desk.tenant)

    # when
    await both.settle()

    # then
    assert await both.disagreements() == ()
    row = both.journal.ask_now(incidents.listed(TENANT, limit=1))[0]
    view = both.journal.ask_now(incidents.view(TENANT, row.id))
    assert view.alerts
    assert view.entities
    before = len(both.desk.tenant.ledger.writes)
    await both.settle()
    assert len(both.desk.tenant.ledger.writes) == before


async def test_merged_incidents_are_one_afterwards_on_both_sides(both: Both) -> None:
    # given
    queue = both.desk.tenant.queue
    create_story(both.desk.tenant)
    loser = queue.find_incident(both.desk.tenant.story["merge_loser"])
    winner = queue.find_incident(both.desk.tenant.story["merge_winner"])
    assert loser is not None
    assert winner is not None
    queue.comment(loser, "said before the merge", "kai@contoso.example")
    await both.settle()

    # when
    queue.merge([loser], winner)
    await both.settle()

    # then
    assert both.hub(loser).merged_into == both.hub(winner).id
    assert both.copy(loser).properties["status"] == "Closed"
    kept = await both.sentinel.fetch(both.copy(winner).name)
    assert any("said before the merge" in one.text for one in kept.comments or ())
    assert await both.disagreements() == ()


async def test_a_poisoned_incident_is_parked_and_comes_when_it_can_be_read(both: Both) -> None:
    # given
    good = both.desk.tenant.queue.new_incident({"displayName": "good"})
    bad = both.desk.tenant.queue.new_incident({"displayName": "bad"})
    both.desk.fail(kind="malformed", path=f"/security/incidents/{bad.body['id']}", times=None)

    # when
    await both.sync.pass_once()
    parked = both.journal.ask_now(cursors.listed_items(TENANT))
    both.desk.mend()
    await both.settle()

    # then
    assert [item.native_id for item in parked] == [bad.body["id"]]
    assert both.copy(good).properties["title"] == "good"
    assert both.copy(bad).properties["title"] == "bad"


async def test_first_contact_with_the_products_own_copies_writes_nothing_until_accepted(
    desk: SourceDesk,
) -> None:
    # given
    original = desk.tenant.queue.new_incident({"displayName": "one", "severity": "high"})
    Connector(desk.tenant).run()
    (copy,) = desk.tenant.workspaces[0].incidents.values()
    copy.properties["title"] = "renamed long ago"
    desk.tenant.workspaces[0].touch(copy, by="analyst")
    journal = Journal.open("sqlite://", clock=desk.clock)
    both = between(desk, journal, SyncPolicy(mode="overlay"))
    before = len(desk.tenant.ledger.writes)

    # when
    await both.settle()
    drift = [one.field for one in await both.sync.drift()]
    written = len(desk.tenant.ledger.writes) - before
    await both.sync.accept(None, "ada")
    await both.settle()

    # then
    assert "title" in drift
    assert written == 0
    assert original.body["displayName"] == "renamed long ago"
    assert await both.disagreements() == ()
    journal.close()
