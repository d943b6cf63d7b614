"""`quell sync parked` and `retry` at work: a copy has no room for one more comment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from quell.cli.outcome import ExitCode
from quell_microsoft.simulator.server import SimulatorOptions, start
from quell_microsoft.simulator.state.workspaces import SubResource

from .conftest import Shell


@dataclass
class Desk:
    """A shell, and the tenant behind it, whose one Sentinel incident is full of comments."""

    quell: Shell
    tenant: Any

    @property
    def copy(self) -> Any:
        (copy,) = self.tenant.workspaces[0].incidents.values()
        return copy


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("parked")
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
    shell = Shell(folder, {**kept, "HOME": str(folder / "home")})
    options = SimulatorOptions(
        ready_file=folder / "ready.json", time_scale=50.0, config={"throttle_scale": 0}
    )
    with start(options) as simulator:
        original = simulator.tenant.queue.new_incident({"displayName": "one"})
        made = shell.inside("config", "init", "--simulated", "ready.json", "--time-scale", "50")
        simulator.tenant.clock.advance(60)
        synced = shell.inside("sync")
        assert (made.code, synced.code) == (0, 0), made.err + synced.err
        found = Desk(shell, simulator.tenant)
        _fill(found)
        simulator.tenant.queue.comment(original, "one more", "kai@contoso.example")
        simulator.tenant.clock.advance(60)
        yield found


def _fill(desk: Desk) -> None:
    """Let people say so much that there is no room left, where quell has not looked yet."""
    assert not desk.copy.comments
    for number in range(100):
        properties: dict[str, Any] = {"message": f"word {number}", "author": {}}
        name = f"00000000-0000-0000-0000-{number:012}"
        desk.copy.comments[name] = SubResource(name=name, properties=properties)
    desk.tenant.workspaces[0].touch(desk.copy, by="analyst")


def test_without_a_refusal_nothing_is_parked(desk: Desk) -> None:
    shown = desk.quell.inside("sync", "parked")

    assert (shown.code, shown.out.strip()) == (ExitCode.DONE, "nothing is parked")


def test_what_did_not_fit_is_listed_with_what_to_do_and_tried_again_when_told_to(
    desk: Desk,
) -> None:
    # given
    desk.quell.inside("sync")

    # when
    listed = desk.quell.inside("sync", "parked", "--json")
    (row,) = listed.json
    retried = desk.quell.inside("sync", "retry", row["write"])
    after = desk.quell.inside("sync", "parked")
    again = desk.quell.inside("sync", "retry", row["write"])

    # then
    assert listed.code == ExitCode.NO
    assert "there is no room for 1 more comments" in row["reason"]
    assert "security.microsoft.com" in row["reason"]
    assert retried.code == ExitCode.DONE
    assert after.code == ExitCode.DONE
    assert again.code == ExitCode.NO


def test_a_retry_wants_a_write_or_all_of_them(desk: Desk) -> None:
    assert desk.quell.inside("sync", "retry").code == ExitCode.USAGE
    assert desk.quell.inside("sync", "retry", "x", "--all").code == ExitCode.USAGE
