"""`quell conflicts` at work: two people change one field at once, a third one settles it."""

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
    """A shell, and the two queues behind it."""

    quell: Shell
    tenant: Any
    original: Any

    @property
    def copy(self) -> Any:
        (copy,) = self.tenant.workspaces[0].incidents.values()
        return copy

    def disagree(self, name: str) -> None:
        """Let both sides give the incident another title at once."""
        change = {"displayName": f"{name} of Defender"}
        self.tenant.queue.change_incident(self.original, change, "ada@contoso.example")
        self.copy.properties["title"] = f"{name} of Sentinel"
        self.tenant.workspaces[0].touch(self.copy, by="bob@contoso.example")
        self.tenant.clock.advance(60)
        assert self.quell.inside("sync").code == 0


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("conflicts")
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
    shell = Shell(folder, {**kept, "HOME": str(folder / "home")})
    options = SimulatorOptions(
        ready_file=folder / "ready.json", time_scale=50.0, config={"throttle_scale": 0}
    )
    with start(options) as simulator:
        original = simulator.tenant.queue.new_incident({"displayName": "one"})
        made = shell.inside("config", "init", "--simulated", "ready.json", "--time-scale", "50")
        simulator.tenant.clock.advance(60)
        synced = shell.inside("sync", "--json")
        assert (made.code, synced.code) == (0, 0), made.err + synced.err
        yield Desk(shell, simulator.tenant, original)


def the_open_one(desk: Desk) -> dict[str, Any]:
    (row,) = desk.quell.inside("conflicts", "--json").json
    found: dict[str, Any] = row
    return found


def test_without_a_disagreement_there_is_nothing_to_list(desk: Desk) -> None:
    shown = desk.quell.inside("conflicts")

    assert (shown.code, shown.out.strip()) == (ExitCode.DONE, "no conflicts")


def test_a_conflict_is_listed_shown_and_settled_by_keeping_what_won(desk: Desk) -> None:
    # given
    desk.disagree("kept")

    # when
    listed = desk.quell.inside("conflicts")
    row = the_open_one(desk)
    shown = desk.quell.inside("conflicts", "show", row["id"][:8], "--json").json
    settled = desk.quell.inside("conflicts", "resolve", row["id"][:8])
    again = desk.quell.inside("conflicts", "resolve", row["id"])

    # then
    assert listed.code == ExitCode.NO
    assert "both_changed" in listed.out
    assert {side["value"] for side in shown["sides"]} == {"kept of Defender", "kept of Sentinel"}
    assert {side["by"] for side in shown["sides"]} >= {"ada@contoso.example"}
    assert (settled.code, again.code) == (ExitCode.DONE, ExitCode.REFUSED)
    assert desk.quell.inside("conflicts").code == ExitCode.DONE
    assert len(desk.quell.inside("conflicts", "--all", "--json").json) == 1


def test_the_other_sides_value_can_be_written_to_both(desk: Desk) -> None:
    # given
    desk.disagree("taken")
    row = the_open_one(desk)
    loser = next(one for one in row["body"]["sides"] if one["system"] != row["won"])

    # when
    wrong = desk.quell.inside("conflicts", "resolve", row["id"], "--take", "nobody", "--yes")
    done = desk.quell.inside("conflicts", "resolve", row["id"], "--take", loser["source"], "--yes")
    desk.quell.inside("sync")

    # then
    assert wrong.code == ExitCode.USAGE
    assert done.code == ExitCode.DONE, done.err
    assert desk.original.body["displayName"] == loser["value"]
    assert desk.copy.properties["title"] == loser["value"]
    (first, *_) = desk.quell.inside("conflicts", "--all", "--json").json
    assert first["settled_by"]


def test_another_value_can_be_written_and_what_is_no_value_is_refused(desk: Desk) -> None:
    # given
    desk.disagree("other")
    row = the_open_one(desk)

    # when
    broken = desk.quell.inside("conflicts", "resolve", row["id"], "--value", "no json", "--yes")
    misfit = desk.quell.inside("conflicts", "resolve", row["id"], "--value", "[1]", "--yes")
    still_open = the_open_one(desk)
    done = desk.quell.inside("conflicts", "resolve", row["id"], "--value", '"third"', "--yes")
    desk.quell.inside("sync")

    # then
    assert (broken.code, misfit.code) == (ExitCode.USAGE, ExitCode.REFUSED)
    assert still_open["id"] == row["id"]
    assert done.code == ExitCode.DONE
    assert desk.original.body["displayName"] == desk.copy.properties["title"] == "third"


def test_another_choice_after_a_command_that_broke_off_is_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: the first choice was written, and not put on record as the answer
    desk.disagree("broken")
    row = the_open_one(desk)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("quell.cli.conflicts._settle", die)
        desk.quell.inside("conflicts", "resolve", row["id"], "--value", '"one"', "--yes")
    assert desk.original.body["displayName"] == "one"

    # when
    done = desk.quell.inside("conflicts", "resolve", row["id"], "--value", '"two"', "--yes")

    # then
    assert done.code == ExitCode.DONE, done.err
    assert desk.original.body["displayName"] == "two"


def test_a_conflict_that_is_not_there_is_said_to_be_missing(desk: Desk) -> None:
    shown = desk.quell.inside("conflicts", "show", "nothing")

    assert shown.code == ExitCode.NO
    assert "quell conflicts --all" in shown.err
