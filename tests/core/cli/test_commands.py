"""Commands at work: a simulated tenant, a journal on disk, and each command as scripts would use it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from quell.cli.outcome import ExitCode
from quell.testing import write_distribution
from quell_microsoft.simulator.server import SimulatorOptions, start

from .conftest import Shell

HELLO = """
quell: 1
playbook: hello
trigger: {incident: created}
when: incident.severity >= severity.high
steps:
  - id: note
    do: incident.comment
    with: {text: "hello"}
"""
#: an incident of the simulator's story with a domain controller and a workstation
INCIDENT = "1002"


@pytest.fixture(scope="module")
def quell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Give a shell whose configuration is of a simulated tenant that has been synced once."""
    folder = tmp_path_factory.mktemp("commands")
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
    (folder / "site").mkdir()
    environ = {"HOME": str(folder / "home"), "PYTHONPATH": str(folder / "site")}
    shell = Shell(folder, {**kept, **environ})
    shell.write({"hello.yml": HELLO, "bad.yml": "quell: 1\nplaybook: Bad\nsurprise: 1\n"})
    options = SimulatorOptions(
        ready_file=folder / "ready.json", story=True, time_scale=50.0, config={"throttle_scale": 0}
    )
    with start(options):
        made = shell("config", "init", "--simulated", "ready.json", "--time-scale", "50")
        synced = shell("sync", "--json")
        assert (made.code, synced.code) == (0, 0), made.err + synced.err
        yield shell


def last(quell: Shell, *arguments: str) -> dict[str, str]:
    rows = quell.inside(*arguments, "--json").json
    assert rows
    found: dict[str, str] = rows[0]
    return found


def test_without_a_tenant_a_command_says_what_to_do(quell: Shell, tmp_path: Path) -> None:
    empty = tmp_path / "empty.toml"
    empty.write_text(f'state_dir = "{tmp_path}"\n')

    for command in (["incidents"], ["up"], ["sync"], ["runs"]):
        shown = quell.inside("--config", str(empty), *command)
        assert shown.code == ExitCode.SETTINGS
        assert "no tenant is configured" in shown.err
        assert "quell config init" in shown.err


def test_incidents_are_listed_filtered_and_shown_by_any_name(quell: Shell) -> None:
    everything = quell.inside("incidents", "--json").json
    severe = quell.inside("incidents", "--severity", "high", "--json").json
    by_number = quell.inside("incidents", "show", INCIDENT, "--json").json
    by_id = quell.inside("incidents", "show", by_number["id"][:8], "--json").json

    assert 0 < len(severe) < len(everything)
    assert {row["severity"] for row in severe} == {"high"}
    assert by_id["id"] == by_number["id"]
    assert {copy["system"] for copy in by_number["copies"]} == {"defender", "sentinel"}
    assert by_number["alerts"]
    assert by_number["entities"]
    assert by_number["revisions"]


def test_an_incident_that_is_not_there_exits_with_1(quell: Shell) -> None:
    shown = quell.inside("incidents", "show", "999999")

    assert shown.code == ExitCode.NO
    assert "There is no incident '999999'" in shown.err


def test_both_queues_agree_and_no_drift_is_left(quell: Shell) -> None:
    assert quell.inside("sync", "compare").code == ExitCode.DONE
    assert quell.inside("sync", "drift").out == "no drift\n"
    assert quell.inside("sync", "status").code == ExitCode.DONE


def test_mistakes_in_playbooks_are_listed_with_their_place(quell: Shell) -> None:
    shown = quell.inside("playbook", "check", "bad.yml", "hello.yml", "nowhere.yml")
    as_json = quell.inside("playbook", "check", "bad.yml", "--json")

    lines = shown.err.splitlines()
    assert shown.code == ExitCode.SETTINGS
    assert any(line.startswith("bad.yml:3:1: ") for line in lines)
    assert any(line.startswith("nowhere.yml:1:1: cannot be read") for line in lines)
    assert not any(line.startswith("hello.yml") for line in lines)
    assert json.loads(as_json.err)["error"]["problems"]


def test_a_playbook_is_planned_activated_run_and_deactivated(quell: Shell) -> None:
    plan = quell.inside("playbook", "plan", "hello.yml", INCIDENT, "--json").json
    early = quell.inside("run", "hello", INCIDENT)
    active = quell.inside("playbook", "activate", "hello.yml", "--json").json
    run = quell.inside("run", "hello", INCIDENT, "--json")
    shown = quell.inside("runs", "show", run.json["run"], "--json").json
    listed = quell.inside("playbook", "list", "--json").json
    gone = quell.inside("playbook", "deactivate", "hello")
    again = quell.inside("playbook", "deactivate", "hello")

    assert (plan["starts"], plan["steps"][0]["does"]) == ("yes", "incident.comment")
    assert early.code == ExitCode.NO
    assert "There is no active playbook 'hello'" in early.err
    assert (run.code, run.json["state"]) == (ExitCode.DONE, "done")
    assert shown["digest"] == active["digest"]
    assert [step["state"] for step in shown["steps"]] == ["done"]
    assert [effect["state"] for effect in shown["effects"]] == ["done"]
    assert [row["active"] for row in listed if row["id"] == "hello"] == [True]
    assert (gone.code, again.code) == (ExitCode.DONE, ExitCode.NO)


def test_a_question_is_asked_listed_and_answered_once(quell: Shell) -> None:
    quell.inside("playbook", "activate", "contain_device")
    run = quell.inside("run", "contain_device", INCIDENT, "--json")
    question = last(quell, "approvals")
    denied = quell.inside("deny", question["id"], "--reason", "a test")
    twice = quell.inside("approve", question["id"])

    assert (run.code, run.json["state"]) == (ExitCode.REFUSED, "waiting")
    assert question["run"] == run.json["run"]
    assert len(question["targets"]) == 1
    assert denied.code == ExitCode.DONE
    assert twice.code == ExitCode.REFUSED
    assert "was settled before (denied)" in twice.err
    assert quell.inside("approvals").out == "no open questions\n"


def test_the_guard_refuses_a_domain_controller_and_says_why(quell: Shell) -> None:
    shown = quell.inside(
        "act", "device.isolate", "srv-dc-01.corp.tailspin.example", "--reason", "a test"
    )

    assert shown.code == ExitCode.REFUSED
    assert "the target is a domain controller" in shown.out


def test_nothing_is_contained_while_halted_and_disarming_stops_too(quell: Shell) -> None:
    command = ("act", "device.isolate", "ws-hr-02.corp.tailspin.example", "--reason", "a test")

    quell.inside("halt", "--reason", "a test")
    halted = quell.inside(*command)
    quell.inside("resume", "--reason", "a test")
    quell.inside("disarm", "--reason", "a test")
    disarmed = quell.inside(*command)
    refused = quell.inside("arm", "--reason", "a test", stdin="n\n")
    armed = quell.inside("arm", "--reason", "a test", "--yes")

    assert (halted.code, disarmed.code) == (ExitCode.REFUSED, ExitCode.REFUSED)
    assert "denied" in halted.out
    assert "denied" in disarmed.out
    assert refused.code == ExitCode.INTERRUPTED
    assert armed.code == ExitCode.DONE
    assert quell.inside("holds").out == "no holds\n"


def test_the_readmes_plugin_acts_through_the_engine_once_enabled(quell: Shell) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    source = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert source is not None
    write_distribution(
        quell.folder / "site",
        {"quell_greet.py": source[1]},
        name="quell-greet",
        plugins={"greeter": "quell_greet"},
    )
    order = ("act", "device.greet", "ws-hr-02.corp.tailspin.example", "--reason", "a test")

    before = quell(*order)
    quell("plugins", "enable", "greeter")
    after = quell(*order, "--json")
    quell("plugins", "disable", "greeter")

    assert before.code == ExitCode.NO
    assert "There is no action 'device.greet'" in before.err
    assert (after.code, after.json[0]["result"]) == (ExitCode.DONE, "done")


def test_a_reading_action_gives_what_it_found(quell: Shell) -> None:
    user = next(
        one["name"]
        for one in quell.inside("incidents", "show", INCIDENT, "--json").json["entities"]
        if one["kind"] == "user"
    )

    missing = quell.inside("act", "user.get", "nobody@nowhere.example", "--reason", "a test")

    assert user
    assert missing.code != ExitCode.DONE


def test_a_run_can_be_cancelled_once(quell: Shell) -> None:
    quell.inside("playbook", "activate", "hello.yml")
    run = quell.inside("run", "hello", INCIDENT, "--detach", "--json").json["run"]

    cancelled = quell.inside("runs", "cancel", run)
    again = quell.inside("runs", "cancel", run)

    assert cancelled.code == ExitCode.DONE
    assert again.code == ExitCode.REFUSED
    assert last(quell, "runs", "--state", "cancelled")["id"] == run


def test_why_names_each_active_playbook_with_its_answer(quell: Shell) -> None:
    quell.inside("playbook", "activate", "purge_phish")

    rows = quell.inside("why", INCIDENT, "--json").json

    answers = {row["playbook"]: row for row in rows if row["answer"] != "started"}
    assert "purge_phish" in answers
    assert answers["purge_phish"]["reason"]


def test_the_doctor_finds_all_well_and_names_what_is_not(quell: Shell) -> None:
    good = quell.inside("doctor", "--json")
    broken = quell.inside(
        "doctor", "--json", QUELL__TENANT__SIMULATED__MICROSOFT__CA_FILE="nowhere.pem"
    )

    assert good.code == ExitCode.DONE, good.out
    assert broken.code == ExitCode.NO
    assert any(not row["ok"] for row in broken.json)


def test_actions_and_permissions_say_what_can_be_done_and_what_it_needs(quell: Shell) -> None:
    names = {row["action"] for row in quell.inside("actions", "--json").json}
    (isolate,) = quell.inside("actions", "show", "device.isolate", "--json").json
    needed = {
        row["permission"]
        for row in quell.inside("permissions", "--identity", "device", "--json").json
    }

    assert {"device.isolate", "user.disable", "mail.purge", "incident.comment"} <= names
    assert isolate["taken_back_by"] == "device.release"
    assert set(isolate["permissions"]) <= needed


def test_every_listing_is_json_on_demand(quell: Shell) -> None:
    listings = (
        ["incidents"],
        ["runs"],
        ["holds"],
        ["held"],
        ["approvals"],
        ["playbook", "list"],
        ["plugins"],
        ["actions"],
        ["permissions"],
        ["sync", "drift"],
        ["sync", "status"],
        ["config", "show"],
    )

    for words in listings:
        assert isinstance(quell.inside(*words, "--json").json, list), words


def test_a_journal_that_cannot_be_used_exits_with_5(quell: Shell, tmp_path: Path) -> None:
    broken = tmp_path / "broken.sqlite3"
    broken.write_bytes(b"this is no database, and never was one" * 100)

    shown = quell.inside("runs", QUELL__JOURNAL=f"sqlite:///{broken}")

    assert shown.code == ExitCode.JOURNAL
    assert "cannot be used" in shown.err
    assert shown.err.count("\n") == 2


def test_a_tenant_that_cannot_be_reached_is_one_line_and_exit_code_4(
    quell: Shell, tmp_path: Path
) -> None:
    shown = quell.inside(
        "sync",
        QUELL__TENANT__SIMULATED__MICROSOFT__BASE_URL="https://localhost:9",
        QUELL__TENANT__SIMULATED__MICROSOFT__ATTEMPTS="1",
        QUELL__JOURNAL=f"sqlite:///{tmp_path / 'new.sqlite3'}",
    )

    errors = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert shown.code == ExitCode.CONNECTION, shown.err
    assert errors
    assert "Traceback" not in shown.err, shown.err
