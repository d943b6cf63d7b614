"""Switching between overlay and replica while Microsoft's own connector comes and goes, over HTTPS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quell.domain.ids import TenantId, WorkerId
from quell.journal import Journal
from quell.sync import Sync, SyncPolicy
from quell_defender import DefenderIncidents
from quell_microsoft.simulator.connector import Connector
from quell_sentinel import SentinelIncidents

if TYPE_CHECKING:
    from tests.plugins.conftest import SourceDesk

pytestmark = pytest.mark.anyio


async def test_switching_there_and_back_leaves_one_open_copy_of_each(desk: SourceDesk) -> None:
    # given
    desk.turn(throttle_scale=0)
    (defender,) = DefenderIncidents.build(desk.context)
    (sentinel,) = SentinelIncidents.build(desk.context)
    journal = Journal.open("sqlite://", clock=desk.clock)
    sync = Sync(
        journal=journal,
        tenant_id=TenantId("t"),
        sources=[(defender, "detects"), (sentinel, "mirrors")],
        policy=SyncPolicy(mode="auto"),
        clock=desk.clock,
        worker=WorkerId("w"),
        wake=lambda: None,
        hmac_key=b"k" * 32,
    )
    queue, workspace = desk.tenant.queue, desk.tenant.workspaces[0]
    connector = Connector(desk.tenant)

    async def settle() -> None:
        for _ in range(3):
            desk.tenant.clock.advance(60)
            await sync.pass_once()

    # when
    first = queue.new_incident({"displayName": "first"})
    connector.run()
    await settle()
    (mode,) = await sync.modes()
    second = queue.new_incident({"displayName": "second"})
    await settle()
    waiting = len(workspace.incidents)
    await sync.switch_mode(sentinel.source_id, "replica", "ada")
    await settle()
    ours = workspace.incidents[sentinel.name_for(f"t/defender/{second.body['id']}")]
    await sync.switch_mode(sentinel.source_id, "overlay", "ada")
    connector.run()
    await settle()
    before = len(desk.tenant.ledger.writes)
    await settle()

    # then
    assert (mode.mode, mode.by) == ("overlay", "auto")
    assert waiting == 1
    assert len(workspace.incidents) == 3
    assert ours.properties["status"] == "Closed"
    for original in (first, second):
        copy = workspace.find_copy_of(original.body["id"])
        assert copy is not None
        assert copy.properties["status"] != "Closed"
    assert original.body["status"] == "active"
    assert (await sync.compare()).disagreements == ()
    assert len(desk.tenant.ledger.writes) == before
    journal.close()
