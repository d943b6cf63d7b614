"""Two tenants whose Sentinel copies go into one workspace, over HTTPS: apart in all that is theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.plugins.conftest import SourceDesk

from quell.domain.ids import SourceId, TenantId, WorkerId
from quell.journal import Journal, conflicts, cursors, incidents
from quell.quota import MemoryQuota
from quell.sync import Sync, SyncPolicy
from quell_defender import DefenderIncidents
from quell_microsoft import quell_connectors
from quell_microsoft.simulator.connector import Connector
from quell_microsoft.simulator.server import SimulatorOptions, start
from quell_sentinel import SentinelIncidents

if TYPE_CHECKING:
    from quell.domain.ports import OperationClass, Rate

pytestmark = pytest.mark.anyio
#: both tenants call it the same
DEFENDER = SourceId("defender")


@dataclass(slots=True, kw_only=True)
class Office:
    """One tenant of quell: its own Defender, and a workspace that it may share."""

    tenant_id: TenantId
    desk: SourceDesk
    sync: Sync
    sentinel: SentinelIncidents
    problems: list[Sequence[str]] = field(default_factory=list[Sequence[str]])

    def copy_of(self, original: Any) -> str:
        """Give the name that our copy of an incident has."""
        return self.sentinel.name_for(f"{self.tenant_id}/defender/{original.body['id']}")

    def original(self, title: str) -> Any:
        """Let an incident come about."""
        return self.desk.tenant.queue.new_incident({"displayName": title})


@dataclass(slots=True, kw_only=True)
class Shared:
    """Both offices, their journal and the workspace."""

    journal: Journal
    first: Office
    second: Office

    @property
    def copies(self) -> dict[str, Any]:
        """Give the workspace's incidents by name."""
        found: dict[str, Any] = self.first.desk.tenant.workspaces[0].incidents
        return found

    async def settle(self) -> None:
        """Let both go on for some minutes, the one after the other."""
        for _ in range(3):
            for office in (self.first, self.second):
                office.desk.tenant.clock.advance(60)
                report = await office.sync.pass_once()
                office.problems.append(report.problems)

    def titles(self, office: Office) -> list[str]:
        """List what a tenant has in the journal."""
        rows = self.journal.ask_now(incidents.listed(office.tenant_id))
        return sorted(row.title for row in rows)


def open_office(name: str, desk: SourceDesk, shared: SourceDesk, journal: Journal) -> Office:
    """Put a tenant together: Defender is its own, the workspace is the shared one."""
    desk.turn(throttle_scale=0)
    rates: dict[OperationClass, Rate] = {}
    for spec in quell_connectors():
        rates |= spec.rates
    desk.context.quota = MemoryQuota(rates, desk.clock, scale=1000)
    (defender,) = DefenderIncidents.build(desk.context)
    (sentinel,) = SentinelIncidents.build(shared.context)
    sync = Sync(
        journal=journal,
        tenant_id=TenantId(name),
        sources=[(defender, "detects"), (sentinel, "mirrors")],
        policy=SyncPolicy(mode="replica"),
        clock=desk.clock,
        worker=WorkerId(f"w-{name}"),
        wake=lambda: None,
        hmac_key=name.encode() * 16,
    )
    return Office(tenant_id=TenantId(name), desk=desk, sync=sync, sentinel=sentinel)


@pytest.fixture
async def shared(desk: SourceDesk) -> AsyncIterator[Shared]:
    journal = Journal.open("sqlite://", clock=desk.clock)
    with start(SimulatorOptions(config={"seed": 2})) as simulator:
        other = SourceDesk(simulator)
        yield Shared(
            journal=journal,
            first=open_office("contoso", desk, desk, journal),
            second=open_office("fabrikam", other, desk, journal),
        )
        await other.close()
    journal.close()


async def test_equal_numbers_of_two_tenants_have_a_copy_each(shared: Shared) -> None:
    # given
    ours = shared.first.original("contoso's")
    theirs = shared.second.original("fabrikam's")
    assert ours.body["id"] == theirs.body["id"]

    # when
    await shared.settle()

    # then
    first, second = shared.first.copy_of(ours), shared.second.copy_of(theirs)
    assert {name: one.properties["title"] for name, one in shared.copies.items()} == {
        first: "contoso's",
        second: "fabrikam's",
    }
    marks = [one["labelName"] for one in shared.copies[first].properties["labels"]]
    assert marks == [f"quell:contoso/defender/{ours.body['id']}"]


async def test_a_tenant_takes_no_notice_of_the_others_copies(shared: Shared) -> None:
    # given
    ours = shared.first.original("contoso's")
    theirs = shared.second.original("fabrikam's")
    await shared.settle()

    # when
    shared.second.desk.tenant.queue.change_incident(theirs, {"severity": "high"}, "kai")
    await shared.settle()
    writes = [len(office.desk.tenant.ledger.writes) for office in (shared.first, shared.second)]
    await shared.settle()

    # then
    assert shared.titles(shared.first) == ["contoso's"]
    assert shared.titles(shared.second) == ["fabrikam's"]
    assert shared.copies[shared.first.copy_of(ours)].properties["severity"] == "Medium"
    assert shared.copies[shared.second.copy_of(theirs)].properties["severity"] == "High"
    assert writes == [
        len(office.desk.tenant.ledger.writes) for office in (shared.first, shared.second)
    ]


async def test_a_label_put_before_the_mark_does_not_hide_whose_a_copy_is(shared: Shared) -> None:
    # given
    theirs = shared.second.original("fabrikam's")
    await shared.settle()
    copy = shared.copies[shared.second.copy_of(theirs)]

    # when
    foreign = {"labelName": "quell:nobody/defender/1", "labelType": "User"}
    copy.properties["labels"] = [foreign, *copy.properties["labels"]]
    shared.first.desk.tenant.workspaces[0].touch(copy, by="analyst")
    await shared.settle()

    # then
    assert shared.titles(shared.first) == []
    assert shared.titles(shared.second) == ["fabrikam's"]


async def test_the_products_own_copy_of_the_others_incident_is_not_paired(shared: Shared) -> None:
    # given
    ours = shared.first.original("contoso's")
    Connector(shared.first.desk.tenant).run()
    theirs = shared.second.original("fabrikam's")

    # when
    await shared.settle()

    # then
    own = shared.first.desk.tenant.workspaces[0].find_copy_of(ours.body["id"])
    assert own is not None
    assert own.properties["title"] == "contoso's"
    assert shared.copies[shared.second.copy_of(theirs)].properties["title"] == "fabrikam's"
    found = shared.journal.ask_now(conflicts.listed(shared.second.tenant_id))
    assert [one.kind for one in found] == ["unpaired"]


@pytest.mark.parametrize("fault", ["429", "500", "signed out"])
async def test_a_fault_of_one_tenant_does_not_touch_the_other(shared: Shared, fault: str) -> None:
    # given
    desk = shared.second.desk
    # a token that it has already lives longer than a test
    desk.tenant.registrations["reader"].is_secret_expired = fault == "signed out"
    ours = shared.first.original("contoso's")
    shared.second.original("fabrikam's")
    await shared.settle()
    if fault != "signed out":
        desk.fail(kind=fault, path="/security/incidents", times=None, retry_after=3600)
    before = shared.journal.ask_now(cursors.get(shared.second.tenant_id, DEFENDER))
    shared.first.problems.clear()
    shared.second.problems.clear()

    # when
    shared.first.desk.tenant.queue.change_incident(ours, {"severity": "high"}, "ada")
    await shared.settle()

    # then
    assert shared.copies[shared.first.copy_of(ours)].properties["severity"] == "High"
    assert not any(shared.first.problems)
    assert any("defender" in line for lines in shared.second.problems for line in lines)
    after = shared.journal.ask_now(cursors.get(shared.second.tenant_id, DEFENDER))
    assert after.cursor == before.cursor


async def test_a_native_incident_is_never_paired_by_its_number(shared: Shared) -> None:
    # given
    original = shared.first.original("Defender's")
    number = original.body["id"]
    native = shared.first.desk.tenant.workspaces[0]
    native.last_number = int(number) - 1
    native.create("one-of-its-own", {"title": "Sentinel's", "severity": "Low"}, by="analyst")

    # when
    await shared.settle()

    # then
    assert shared.copies["one-of-its-own"].properties["providerIncidentId"] == number
    assert shared.titles(shared.first) == ["Defender's", "Sentinel's"]
    assert shared.copies["one-of-its-own"].properties["title"] == "Sentinel's"
    assert shared.copies[shared.first.copy_of(original)].properties["title"] == "Defender's"
