"""What becomes of incidents over time, over HTTPS: alerts that move, and whose word counts."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.core.cli.conftest import Shell
from tests.plugins.test_both_ways import TENANT, Both, between

from quell.domain.playbook import IncidentEvent
from quell.journal import Journal, incidents
from quell.sync import SyncPolicy
from quell_microsoft.simulator.server import SimulatorOptions, start
from quell_microsoft.simulator.story import create_story

if TYPE_CHECKING:
    from tests.plugins.conftest import SourceDesk

#: an incident of the story with a workstation that was attacked
INCIDENT = "1002"


@pytest.fixture
async def both(desk: SourceDesk) -> AsyncIterator[Both]:
    journal = Journal.open("sqlite://", clock=desk.clock)
    yield between(desk, journal, SyncPolicy(mode="replica"))
    journal.close()


def entities(both: Both, original: Any) -> set[str]:
    view = both.journal.ask_now(incidents.view(TENANT, both.hub(original).id))
    return {one.id for one in view.entities}


@pytest.mark.anyio
async def test_an_alert_that_defender_moves_takes_its_entities_along(both: Both) -> None:
    # given
    create_story(both.desk.tenant)
    queue = both.desk.tenant.queue
    old = queue.find_incident(INCIDENT)
    assert old is not None
    new = queue.new_incident({"displayName": "another"})
    await both.settle()
    before = entities(both, old)

    # when
    queue.move_alerts(queue.alerts_of(INCIDENT), new, "analyst@contoso.example")
    await both.settle()

    # then
    assert before
    assert entities(both, old) == set()
    assert len(entities(both, new)) >= len(before)
    seen = both.journal.ask_now(incidents.revisions_of(TENANT, both.hub(old).id))
    assert any(IncidentEvent.ALERTS_MOVED in one.events for one in seen)
    told = await both.sentinel.fetch(both.copy(old).name)
    assert any("Moved to" in one.text or "any more" in one.text for one in told.comments or ())
    assert await both.disagreements() == ()


# -- whose word counts: the whole program, with a playbook that isolates -----------------------


@pytest.fixture(params=["nobody else", "sentinel"])
def quell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Shell, Any, bool]]:
    """Give a shell, the tenant behind it, and whether policy names Sentinel's users."""
    is_named = request.param == "sentinel"
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
    shell = Shell(tmp_path, {**kept, "HOME": str(tmp_path / "home")})
    options = SimulatorOptions(
        ready_file=tmp_path / "ready.json",
        story=True,
        time_scale=50.0,
        config={"throttle_scale": 0},
    )
    with start(options) as simulator:
        made = shell.inside("config", "init", "--simulated", "ready.json", "--time-scale", "50")
        assert made.code == 0, made.err
        sync = '\n[tenant.simulated.sync]\nmode = "replica"\n'
        sync += 'authority = ["sentinel"]\n' if is_named else ""
        with (tmp_path / "quell.toml").open("a", encoding="utf-8") as file:
            file.write(sync)
        yield shell, simulator.tenant, is_named


def test_a_sentinel_users_severity_isolates_only_where_policy_names_sentinel(
    quell: tuple[Shell, Any, bool],
) -> None:
    # given: for Defender itself it is of low severity
    shell, tenant, is_named = quell
    original = tenant.queue.find_incident(INCIDENT)
    tenant.queue.change_incident(original, {"severity": "low"}, "correlation")
    assert shell.inside("playbook", "activate", "contain_device").code == 0
    tenant.clock.advance(60)
    shell.inside("sync")
    title = original.body["displayName"]
    workspace = tenant.workspaces[0]
    (copy,) = [one for one in workspace.incidents.values() if one.properties["title"] == title]

    # when
    copy.properties["severity"] = "High"
    workspace.touch(copy, by="analyst@contoso.example")
    for _ in range(2):
        tenant.clock.advance(60)
        shell.inside("sync")

    # then: everybody sees it, and it sets off containment only by leave
    shown = shell.inside("incidents", "show", INCIDENT, "--json").json
    assert (original.body["severity"], shown["severity"]) == ("high", "high")
    assert ("severity" in shown["not_vouched"]) is not is_named
    found = shell.inside("runs", "--json").json
    begun = [one for one in found if one["incident"] == shown["id"]]
    assert len(begun) == int(is_named)
    if not is_named:
        last = max(one["revision"] for one in shown["revisions"])
        why = shell.inside("why", INCIDENT, "--revision", str(last), "--json").json
        assert any("sync.authority" in one["reason"] for one in why)
