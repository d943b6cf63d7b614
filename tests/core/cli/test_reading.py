"""`quell sync status` and `quell sync backfill` at work on a simulated tenant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from quell.cli.outcome import ExitCode
from quell_microsoft.simulator.server import SimulatorOptions, start

from .conftest import Shell


@dataclass
class Desk:
    """A shell, and the tenant behind it, with two incidents of long ago."""

    quell: Shell
    tenant: Any


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("reading")
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
    shell = Shell(folder, {**kept, "HOME": str(folder / "home")})
    options = SimulatorOptions(
        ready_file=folder / "ready.json", time_scale=50.0, config={"throttle_scale": 0}
    )
    with start(options) as simulator:
        queue = simulator.tenant.queue
        queue.new_incident({"displayName": "now"})
        long_ago = {"createdDateTime": "2001-01-05T09:00:00Z"}
        for number in range(2):
            stamp = f"2001-01-05T10:00:0{number}Z"
            queue.new_incident({"displayName": "old", **long_ago, "lastUpdateDateTime": stamp})
        made = shell.inside("config", "init", "--simulated", "ready.json", "--time-scale", "50")
        simulator.tenant.clock.advance(60)
        synced = shell.inside("sync")
        assert (made.code, synced.code) == (0, 0), made.err + synced.err
        yield Desk(shell, simulator.tenant)


def test_the_status_tells_how_far_each_source_was_read(desk: Desk) -> None:
    shown = desk.quell.inside("sync", "status", "--json")
    assert shown.code == ExitCode.DONE
    rows = {row["source"]: row for row in shown.json}
    assert set(rows) >= {"defender", "sentinel"}
    assert rows["defender"]["read_up_to"]
    assert rows["defender"]["lag"] is not None
    assert rows["defender"]["since_success"] >= 0
    assert rows["sentinel"]["mode"] == "replica"
    assert (rows["sentinel"]["parked"], rows["sentinel"]["problem"]) == ([], "")


def test_a_backfill_reads_the_past_once_and_the_status_tells_of_it(desk: Desk) -> None:
    # when
    first = desk.quell.inside("sync", "backfill", "--since", "2001-01-01", "--source", "defender",
                              "--until", "2001-02-01T00:00:00Z", "--json")  # fmt: skip
    again = desk.quell.inside("sync", "backfill", "--since", "2001-01-01", "--source", "defender",
                              "--until", "2001-02-01T00:00:00Z", "--json")  # fmt: skip
    # then
    assert first.code == ExitCode.DONE, first.err
    assert first.json == [{"source": "defender", "incidents": 2, "changed": 2, "parked": []}]
    assert again.json == [{"source": "defender", "incidents": 2, "changed": 0, "parked": []}]
    rows = desk.quell.inside("sync", "status", "--json").json
    told = next(row["backfill"] for row in rows if row["source"] == "defender")
    assert told == "2 of 2 incidents, 2001-01-01 00:00:00Z to 2001-02-01 00:00:00Z"


@pytest.mark.parametrize(
    "arguments",
    [["--since", "yesterday"], ["--since", "1d", "--source", "nobody"], []],
    ids=lambda arguments: " ".join(arguments) or "nothing",
)
def test_a_time_or_a_source_that_is_none_is_told(desk: Desk, arguments: list[str]) -> None:
    shown = desk.quell.inside("sync", "backfill", *arguments)
    assert shown.code == ExitCode.USAGE
    assert "Error" in shown.err or "error" in shown.err


def test_a_source_that_does_not_answer_is_told_and_what_was_read_stays(desk: Desk) -> None:
    from quell_microsoft.simulator.state.faults import FaultRule

    # given
    rule = FaultRule(kind="503", path="/security/incidents", times=None)
    desk.tenant.faults.replace([rule])
    # when
    shown = desk.quell.inside("sync", "backfill", "--since", "30d", "--source", "defender")
    desk.tenant.faults.replace([])
    # then
    assert shown.code == ExitCode.CONNECTION
    assert "defender" in shown.err
