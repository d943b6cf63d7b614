"""Defender and Sentinel kept in step by quell's own sync, over HTTPS and for real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest

from quell.domain.ids import SourceId, TenantId, WorkerId
from quell.journal import Journal
from quell.sync import Sync, SyncPolicy, SyncReport
from quell_defender import DefenderIncidents
from quell_sentinel import SentinelIncidents

if TYPE_CHECKING:
    from tests.plugins.conftest import SourceDesk

pytestmark = pytest.mark.anyio


@dataclass(slots=True, kw_only=True)
class Pair:
    """Both queues of a simulated tenant, and quell between them."""

    desk: SourceDesk
    sentinel: SentinelIncidents
    sync: Sync

    async def settle(self) -> SyncReport:
        """Let a minute pass, and sync until nothing is left to do."""
        self.desk.tenant.clock.advance(60)
        report = await self.sync.pass_once()
        assert report.problems == ()
        assert report.is_quiet
        return report

    async def is_agreed(self) -> bool:
        """Tell whether both sides agree, and a further pass writes nothing."""
        before = len(self.desk.tenant.ledger.writes)
        await self.settle()
        found = (await self.sync.compare()).disagreements
        return not found and len(self.desk.tenant.ledger.writes) == before

    def copy_of(self, number: str) -> Any:
        """Give our own copy of a Defender incident, as the tenant has it."""
        name = self.sentinel.name_for(f"t/defender/{number}")
        return self.desk.tenant.workspaces[0].incidents[name]

    def copies(self) -> list[Any]:
        """List everything in the workspace."""
        return list(self.desk.tenant.workspaces[0].incidents.values())

    def original(self, name: str, **fields: Any) -> Any:
        """Let a Defender incident come about."""
        return self.desk.tenant.queue.new_incident({"displayName": name, **fields})

    def change(self, original: Any, **fields: Any) -> None:
        """Let an analyst change a Defender incident."""
        self.desk.tenant.queue.change_incident(original, fields, "analyst@contoso.example")


def _pair(desk: SourceDesk, journal: Journal, mode: Literal["overlay", "replica"]) -> Pair:
    desk.turn(throttle_scale=0)
    (defender,) = DefenderIncidents.build(desk.context)
    (sentinel,) = SentinelIncidents.build(desk.context)
    sync = Sync(
        journal=journal,
        tenant_id=TenantId("t"),
        sources=[(defender, "detects"), (sentinel, "mirrors")],
        policy=SyncPolicy(mode=mode),
        clock=desk.clock,
        worker=WorkerId("w"),
        wake=lambda: None,
        hmac_key=b"k" * 32,
    )
    return Pair(desk=desk, sentinel=sentinel, sync=sync)


@pytest.fixture
async def journal(desk: SourceDesk) -> AsyncIterator[Journal]:
    opened = Journal.open("sqlite://", clock=desk.clock)
    yield opened
    opened.close()


async def test_a_copy_is_made_and_edits_of_both_sides_meet(
    desk: SourceDesk, journal: Journal
) -> None:
    # given
    pair = _pair(desk, journal, "replica")
    original = pair.original("beacon <script>", severity="high", customTags=["vip"])
    await pair.settle()
    copy = pair.copy_of(original.body["id"])
    assert copy.properties["title"] == "beacon <script>"
    # when: each side changes what the other did not
    desk.tenant.clock.advance(60)
    pair.change(original, assignedTo="soc@contoso.example", customTags=["vip", "defender"])
    copy.properties.update(
        {
            "severity": "Low",
            "status": "Closed",
            "classification": "FalsePositive",
            "classificationReason": "IncorrectAlertLogic",
            "classificationComment": "noise",
            "labels": [*copy.properties["labels"], {"labelName": "sentinel", "labelType": "User"}],
        }
    )
    desk.tenant.workspaces[0].touch(copy, by="analyst")
    await pair.settle()
    # then
    body = original.body
    assert (body["severity"], body["status"]) == ("low", "resolved")
    assert (body["classification"], body["determination"]) == ("falsePositive", "notMalicious")
    assert body["resolvingComment"] == "noise"
    assert set(body["customTags"]) == {"vip", "defender", "sentinel"}
    assert copy.properties["owner"]["userPrincipalName"] == "soc@contoso.example"
    assert await pair.is_agreed()


async def test_determinations_that_sentinel_cannot_hold_survive_and_nobody_answers_for_ever(
    desk: SourceDesk, journal: Journal
) -> None:
    # given
    pair = _pair(desk, journal, "replica")
    original = pair.original("one")
    await pair.settle()
    for classification, determination in (
        ("truePositive", "malware"),
        ("truePositive", "phishing"),
        ("informationalExpectedActivity", "securityTesting"),
        ("falsePositive", "other"),
    ):
        # when
        desk.tenant.clock.advance(60)
        pair.change(original, classification=classification, determination=determination)
        await pair.settle()
        # then
        body = original.body
        assert (body["classification"], body["determination"]) == (classification, determination)
        assert await pair.is_agreed()


async def test_a_determination_survives_microsoft_s_own_connector(
    desk: SourceDesk, journal: Journal
) -> None:
    # given: the product copies by itself, and knows classifications only
    desk.turn(connector=True)
    pair = _pair(desk, journal, "overlay")
    original = pair.original("one", severity="high")
    desk.tenant.clock.advance(320)
    await pair.settle()
    (copy,) = desk.tenant.workspaces[0].incidents.values()
    assert copy.is_connector_copy
    # when
    pair.change(original, classification="truePositive", determination="malware")
    desk.tenant.clock.advance(320)
    await pair.settle()
    # then
    assert original.body["determination"] == "malware"
    assert copy.properties["classification"] == "TruePositive"
    assert await pair.is_agreed()
    assert len(desk.tenant.workspaces[0].incidents) == 1


async def test_a_text_too_long_for_sentinel_stays_whole_in_defender(
    desk: SourceDesk, journal: Journal
) -> None:
    pair = _pair(desk, journal, "replica")
    original = pair.original("one", description="x" * 9_000)
    await pair.settle()
    assert len(pair.copy_of(original.body["id"]).properties["description"]) == 5_000
    assert await pair.is_agreed()
    assert len(original.body["description"]) == 9_000


async def test_comments_of_both_sides_are_told_once_each(
    desk: SourceDesk, journal: Journal
) -> None:
    # given
    pair = _pair(desk, journal, "replica")
    original = pair.original("one")
    await pair.settle()
    copy = pair.copy_of(original.body["id"])
    # when
    desk.tenant.queue.comment(original, "from defender <b>&amp;</b>", "kai@contoso.example")
    await pair.sentinel.comment(copy.name, "from sentinel", "somebody-else")
    await pair.settle()
    # then
    assert await pair.is_agreed()
    here = [comment["comment"] for comment in original.body["comments"]]
    there = (await pair.sentinel.fetch(copy.name)).comments or ()
    assert sum("from sentinel" in text for text in here) == 1
    assert sum("from defender <b>&amp;</b>" in comment.text for comment in there) == 1
    assert len(here) == 2


async def test_spurious_conflicts_and_lost_answers_end_in_agreement_all_the_same(
    desk: SourceDesk, journal: Journal
) -> None:
    # given
    pair = _pair(desk, journal, "replica")
    originals = [pair.original(str(number)) for number in range(5)]
    await pair.settle()
    # when
    for original in originals:
        pair.change(original, status="inProgress", severity="low")
    desk.fail(kind="409", method="PUT", times=2)
    desk.fail(kind="500", method="PUT", times=2, after_effect=True)
    for _ in range(6):
        desk.tenant.clock.advance(120)
        await pair.sync.pass_once()
    # then
    assert await pair.is_agreed()
    for original in originals:
        assert pair.copy_of(original.body["id"]).properties["status"] == "Active"
        assert original.body["status"] == "inProgress"


async def test_two_hundred_changed_incidents_cost_few_calls_besides_one_write_each(
    desk: SourceDesk, journal: Journal
) -> None:
    # given
    pair = _pair(desk, journal, "replica")
    originals = [pair.original(str(number), severity="high") for number in range(200)]
    for original in originals:
        _add_alert(desk, original)
    while not (await pair.sync.pass_once()).is_quiet:
        pass
    # when
    desk.tenant.clock.advance(3600)
    for original in originals:
        desk.tenant.clock.advance(0.01)  # no two of one instant, which would be read twice
        pair.change(original, severity="low")
    before = desk.tenant.ledger.calls.copy()
    for source_id in ("defender", "sentinel"):
        await pair.sync.poll(SourceId(source_id))
    await pair.sync.apply_writes(1000)
    for source_id in ("defender", "sentinel"):
        await pair.sync.poll(SourceId(source_id))
    # then: pages of what changed, of its alerts, of our own echoes; nothing incident by incident
    calls = {
        f"{method} {route.rpartition('.SecurityInsights')[2]}": count
        for (method, route, _), count in (desk.tenant.ledger.calls - before).items()
        if "oauth2" not in route
    }
    writes = calls.pop("PUT /incidents/{incident}")
    assert writes == 200
    assert sum(calls.values()) <= 16, calls
    assert {copy.properties["severity"] for copy in pair.copies()} == {"Low"}


def _add_alert(desk: SourceDesk, original: Any) -> None:
    number, created = original.body["id"], original.body["createdDateTime"]
    alert = {"id": f"da{number}", "title": "a", "incidentId": number,
             "createdDateTime": created, "lastUpdateDateTime": created}  # fmt: skip
    desk.tenant.queue.add_alert(alert, number)
