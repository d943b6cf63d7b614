"""Defender and Sentinel kept in step by quell's own sync, over HTTPS and for real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest

from quell.domain.ids import TenantId, WorkerId
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
        name = self.sentinel.name_for(f"defender/{number}")
        return self.desk.tenant.workspaces[0].incidents[name]

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
