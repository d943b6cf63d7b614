"""How many calls writing takes, what is left to Microsoft's connector, and full copies, over HTTPS."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from quell.domain.ids import SourceId, TenantId, WorkerId
from quell.journal import Journal, incident_writes
from quell.sync import Sync, SyncPolicy, SyncReport
from quell_defender import DefenderIncidents
from quell_sentinel import SentinelIncidents

if TYPE_CHECKING:
    from tests.plugins.conftest import SourceDesk

pytestmark = pytest.mark.anyio
TENANT = TenantId("t")
MINUTE = 60


class Both:
    """Both queues of a simulated tenant with quell between them."""

    def __init__(self, desk: SourceDesk, journal: Journal, policy: SyncPolicy) -> None:
        desk.turn(throttle_scale=0)
        (defender,) = DefenderIncidents.build(desk.context)
        (self.sentinel,) = SentinelIncidents.build(desk.context)
        self.desk = desk
        self.journal = journal
        self.queue = desk.tenant.queue
        self.workspace = desk.tenant.workspaces[0]
        self.sync = Sync(
            journal=journal,
            tenant_id=TENANT,
            sources=[(defender, "detects"), (self.sentinel, "mirrors")],
            policy=policy,
            clock=desk.clock,
            worker=WorkerId("w"),
            wake=lambda: None,
            hmac_key=b"k" * 32,
        )

    async def after(self, seconds: float) -> SyncReport:
        """Let time pass, and sync until nothing is left to do."""
        self.desk.tenant.clock.advance(seconds)
        return await self.sync.pass_once()

    def copy_of(self, original: Any) -> Any:
        """Give the one copy of a Defender incident."""
        name = self.sentinel.name_for(f"t/defender/{original.body['id']}")
        copy = self.workspace.find(name)
        return copy or self.workspace.find_copy_of(original.body["id"])

    def change(self, original: Any, **fields: Any) -> None:
        """Let an analyst change a Defender incident."""
        self.queue.change_incident(original, fields, "analyst@contoso.example")

    def written(self) -> list[Any]:
        """List what quell has written since the last look."""
        found = list(self.desk.tenant.ledger.writes)
        self.desk.tenant.ledger.writes.clear()
        return found

    def calls(self) -> Counter[tuple[str, str]]:
        """Count calls by method and last part of their route, and begin anew."""
        ledger = self.desk.tenant.ledger
        found: Counter[tuple[str, str]] = Counter()
        for (method, template, _), count in ledger.calls.items():
            found[method, template.rpartition("/")[2]] += count
        ledger.calls.clear()
        return found


@pytest.fixture
async def journal(desk: SourceDesk) -> AsyncIterator[Journal]:
    opened = Journal.open("sqlite://", clock=desk.clock)
    yield opened
    opened.close()


@pytest.fixture
def replica(desk: SourceDesk, journal: Journal) -> Both:
    return Both(desk, journal, SyncPolicy(mode="replica"))


@pytest.fixture
def overlay(desk: SourceDesk, journal: Journal) -> Both:
    """Give a tenant where Microsoft's connector is on, and quell knows it."""
    desk.turn(connector=True, connector_delay_seconds=5 * MINUTE)
    policy = SyncPolicy(mode="overlay", grace=timedelta(minutes=20), patience=timedelta(minutes=15))
    return Both(desk, journal, policy)


async def settled(both: Both, **fields: Any) -> Any:
    """Let an incident come about, and its copy."""
    await both.after(1)
    original = both.queue.new_incident({"displayName": "one", **fields})
    for _ in range(4):
        await both.after(2 * MINUTE)
    assert both.copy_of(original) is not None
    both.written()
    both.calls()
    return original


async def test_each_changed_copy_is_one_put_and_no_read(replica: Both) -> None:
    # given
    originals = [replica.queue.new_incident({"displayName": f"no {n}"}) for n in range(12)]
    for _ in range(3):
        await replica.after(MINUTE)
    for original in originals:
        replica.change(original, severity="high", customTags=["seen"])
    replica.calls()

    # when
    await replica.after(MINUTE)

    # then
    calls = replica.calls()
    assert calls["PUT", "{incident}"] == 12
    # the one GET that ends so is a list of Defender's: none is of a single incident
    assert calls["GET", "{incident}"] == 0
    assert calls["GET", "comments"] == 0
    assert all(replica.copy_of(one).properties["severity"] == "High" for one in originals)


async def test_a_put_keeps_every_property_that_it_does_not_change(replica: Both) -> None:
    # given
    original = await settled(replica)
    copy = replica.copy_of(original)
    copy.properties |= {
        "owner": {"objectId": None, "email": None, "assignedTo": "SOC", "ownerType": "Group",
                  "userPrincipalName": None},
        "firstActivityTimeUtc": "2026-01-01T00:00:00.1234567Z",
        "lastActivityTimeUtc": "2026-01-02T00:00:00Z",
        "classificationComment": "kept",
    }  # fmt: skip
    replica.workspace.touch(copy, by="analyst")
    await replica.after(MINUTE)
    before = dict(copy.properties)
    replica.written()

    # when
    replica.change(original, severity="high")
    await replica.after(MINUTE)

    # then
    kept = set(before) - {"severity", "lastModifiedTimeUtc"}
    assert {name: copy.properties[name] for name in kept} == {name: before[name] for name in kept}
    assert copy.properties["severity"] == "High"


async def test_a_change_in_between_is_a_conflict_and_both_changes_stay(replica: Both) -> None:
    # given
    original = await settled(replica)
    copy = replica.copy_of(original)
    replica.change(original, severity="high")
    await replica.sync.poll(SourceId("defender"))
    copy.properties["title"] = "renamed meanwhile"
    replica.workspace.touch(copy, by="analyst")

    # when
    report = await replica.sync.apply_writes()
    await replica.after(MINUTE)

    # then
    assert report.problems == ()
    assert copy.properties["severity"] == "High"
    assert original.body["displayName"] == "renamed meanwhile"


async def test_an_etag_that_never_settles_is_parked_with_a_line_on_what_to_do(
    replica: Both,
) -> None:
    # given
    original = await settled(replica)
    replica.desk.turn(spurious_conflict_percent=100)
    replica.change(original, severity="high")

    # when
    for _ in range(12):
        await replica.after(16 * MINUTE)

    # then
    (parked,) = replica.journal.ask_now(incident_writes.parked(TENANT))
    assert "quell sync retry" in parked.error
    assert replica.copy_of(original).properties["severity"] != "High"
    assert replica.calls()["PUT", "{incident}"] == 8


async def test_with_the_connector_on_no_field_that_it_carries_is_written(overlay: Both) -> None:
    # given
    original = await settled(overlay)

    # when
    overlay.change(original, severity="high", displayName="new", assignedTo="ada@contoso.example",
                   classification="truePositive", determination="malware")  # fmt: skip
    overlay.queue.comment(original, "look at this", "kai@contoso.example")
    for _ in range(30):
        await overlay.after(MINUTE)

    # then
    assert overlay.written() == []
    copy = overlay.copy_of(original)
    assert copy.properties["severity"] == "High"
    assert copy.properties["classification"] == "TruePositive"
    assert len(copy.comments) == 1
    assert (await overlay.sync.compare()).disagreements == ()


async def test_what_the_connector_carries_back_is_not_written_to_defender(overlay: Both) -> None:
    # given
    original = await settled(overlay)
    copy = overlay.copy_of(original)

    # when
    copy.properties |= {"status": "Active"}
    overlay.workspace.touch(copy, by="analyst")
    for _ in range(30):
        await overlay.after(MINUTE)

    # then
    assert overlay.written() == []
    assert original.body["status"] == "inProgress"


async def test_what_it_does_not_carry_is_added_at_once(overlay: Both) -> None:
    # given
    original = await settled(overlay)

    # when
    overlay.change(original, resolvingComment="a test of ours")
    await overlay.after(1)

    # then
    assert overlay.copy_of(original).properties["classificationComment"] == "a test of ours"
    assert len(overlay.written()) == 1


async def test_a_stuck_connector_is_stood_in_for_after_patience(overlay: Both) -> None:
    # given
    original = await settled(overlay)
    overlay.desk.turn(connector_stuck=True)
    overlay.change(original, severity="high")
    overlay.queue.comment(original, "look at this", "kai@contoso.example")
    for _ in range(10):
        await overlay.after(MINUTE)
    early = overlay.written()

    # when
    for _ in range(8):
        await overlay.after(MINUTE)

    # then
    assert early == []
    copy = overlay.copy_of(original)
    assert copy.properties["severity"] == "High"
    assert any("look at this" in one.properties["message"] for one in copy.comments.values())
    assert len(overlay.written()) == 2


async def test_a_connector_that_wakes_up_again_doubles_nothing_of_quells(overlay: Both) -> None:
    # given
    original = await settled(overlay)
    copy = overlay.copy_of(original)
    overlay.desk.turn(connector_stuck=True)
    overlay.queue.comment(original, "look at this", "kai@contoso.example")
    for _ in range(20):
        await overlay.after(MINUTE)
    overlay.written()

    # when
    overlay.desk.turn(connector_stuck=False)
    for _ in range(40):
        await overlay.after(MINUTE)

    # then
    assert overlay.written() == []
    said = [one.properties["message"] for one in copy.comments.values()]
    assert sum("look at this" in text for text in said) <= 2  # theirs, and ours from before
    assert len(original.body["comments"]) <= 2
    messages = len(copy.comments), len(original.body["comments"])
    for _ in range(40):
        await overlay.after(MINUTE)
    assert (len(copy.comments), len(original.body["comments"])) == messages


async def test_a_copy_with_a_hundred_comments_still_shows_all_that_is_said(
    replica: Both,
) -> None:
    # given
    original = await settled(replica)
    texts = [f"<word {number}>" for number in range(130)]

    # when
    for text in texts[:85]:
        replica.queue.comment(original, text, "kai@contoso.example")
    await replica.after(MINUTE)
    for text in texts[85:]:
        replica.queue.comment(original, text, "kai@contoso.example")
        await replica.after(MINUTE)

    # then
    copy = replica.copy_of(original)
    seen = await replica.sentinel.fetch(copy.name)
    assert seen.comments is not None
    assert len(seen.comments) <= 100
    whole = "\n".join(comment.text for comment in seen.comments)
    assert [whole.count(text) for text in texts] == [1] * 130
    assert replica.journal.ask_now(incident_writes.parked(TENANT)) == []
