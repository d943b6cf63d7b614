"""`quell sync mode` and `quell sync drift` at work, and what `quell config check` says of rules."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from quell.cli.outcome import ExitCode
from quell_microsoft.simulator.server import RunningSimulator, SimulatorOptions, start

from .conftest import Shell

RULES = """
[tenant.contoso.sync]
filter = '''
"vip" in incident.tags ||
  incident.sevrity == "high"'''
"""


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSimulator]:
    folder = tmp_path_factory.mktemp("simulated")
    options = SimulatorOptions(
        ready_file=folder / "ready.json", time_scale=50.0, config={"throttle_scale": 0}
    )
    with start(options) as running:
        yield running


@pytest.fixture
def quell(simulator: RunningSimulator, tmp_path: Path) -> Shell:
    """Give a shell whose configuration is of an empty simulated tenant, synced once."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
    shell = Shell(tmp_path, {**kept, "HOME": str(tmp_path / "home")})
    ready = simulator.options.ready_file
    made = shell.inside("config", "init", "--simulated", str(ready), "--time-scale", "50")
    assert made.code == ExitCode.DONE, made.err
    assert shell.inside("sync").code == ExitCode.DONE
    return shell


def test_the_mode_is_shown_with_its_reason_and_switched(quell: Shell) -> None:
    # when
    (before,) = quell.inside("sync", "mode", "--json").json
    switched = quell.inside("sync", "mode", "sentinel", "overlay", "--yes")
    (after,) = quell.inside("sync", "mode", "--json").json

    # then
    assert (before["source"], before["mode"], before["set_by"]) == ("sentinel", "replica", "auto")
    assert "made by the product's own connector" in before["why"]
    assert switched.code == ExitCode.DONE, switched.err
    assert after["mode"] == "overlay"
    assert after["set_by"] != "auto"
    assert quell.inside("audit", "--json") is not None


def test_a_source_without_a_mode_is_a_mistake_in_the_command(quell: Shell) -> None:
    # when
    alone = quell.inside("sync", "mode", "sentinel")
    unknown = quell.inside("sync", "mode", "defender", "overlay", "--yes")

    # then
    assert "overlay or replica" in alone.err
    assert unknown.code == ExitCode.NO
    assert "There are: sentinel." in unknown.err


def test_a_mode_that_is_set_is_not_switched(quell: Shell) -> None:
    # when
    shown = quell.inside(
        "sync", "mode", "sentinel", "overlay", "--yes", QUELL__SYNC__MODE="replica"
    )

    # then
    assert shown.code == ExitCode.SETTINGS
    assert "tenant.simulated.sync.mode" in shown.err


def test_what_would_be_written_is_listed_before_it_is(
    quell: Shell, simulator: RunningSimulator
) -> None:
    # given
    none = quell.inside("sync", "drift")
    assert quell.inside("sync", "mode", "sentinel", "overlay", "--yes").code == ExitCode.DONE
    simulator.tenant.queue.new_incident({"displayName": "one"})
    assert quell.inside("sync").code == ExitCode.DONE

    # when
    shown = quell.inside("sync", "drift", "--json")
    table = quell.inside("sync", "drift")

    # then
    assert (none.code, none.out) == (ExitCode.DONE, "no drift\n")
    assert shown.code == table.code == ExitCode.NO
    (row,) = shown.json
    assert (row["kind"], row["source"], row["field"]) == ("create", "sentinel", "created_for")
    assert row["would_write"].startswith("simulated/defender/")
    assert row["waits_for"]
    assert "created_for" in table.out


def test_a_rule_that_cannot_be_meant_is_told_with_its_place(tmp_path: Path) -> None:
    # given
    shell = Shell(tmp_path, {"HOME": str(tmp_path)})
    shell.write({"quell.toml": RULES})

    # when
    shown = shell.inside("config", "check")

    # then
    assert shown.code == ExitCode.SETTINGS
    assert "tenant.contoso.sync.filter" in shown.err
    assert "line 2, column 12" in shown.err
    assert 'did you mean "severity"' in shown.err


def test_rules_in_the_file_decide_what_is_copied(quell: Shell, simulator: RunningSimulator) -> None:
    # given
    rules = """
[tenant.simulated.sync]
filter = 'incident.title != "left out"'
[[tenant.simulated.sync.routes]]
to = ["sentinel"]
when = 'incident.severity == "high"'
"""
    path = quell.folder / "quell.toml"
    path.write_text(path.read_text(encoding="utf-8") + rules, encoding="utf-8")
    for title, severity in (("left out", "high"), ("too low", "low"), ("chosen", "high")):
        simulator.tenant.queue.new_incident({"displayName": title, "severity": severity})

    # when
    synced = quell.inside("sync")
    listed = quell.inside("incidents", "--json").json
    rows = {row["title"]: {copy.split()[0] for copy in row["copies"]} for row in listed}

    # then
    assert synced.code == ExitCode.DONE, synced.err
    assert rows["chosen"] == {"defender", "sentinel"}
    assert rows["too low"] == rows["left out"] == {"defender"}


def test_a_route_to_nowhere_is_refused_at_the_start(quell: Shell) -> None:
    # given
    path = quell.folder / "quell.toml"
    route = '\n[[tenant.simulated.sync.routes]]\nto = ["sentinal"]\n'
    path.write_text(path.read_text(encoding="utf-8") + route, encoding="utf-8")

    # when
    shown = quell.inside("sync")

    # then
    assert shown.code == ExitCode.SETTINGS
    assert "tenant.simulated.sync.routes[0].to" in shown.err
    assert "They can be made in: sentinel." in shown.err
