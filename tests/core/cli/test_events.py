"""`quell events` and a plugin's own command, as an operator uses them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from quell.cli.outcome import ExitCode
from quell_microsoft.simulator.server import RunningSimulator, SimulatorOptions, start

from .conftest import Shell


@pytest.fixture
def simulator(quell: Shell) -> Iterator[RunningSimulator]:
    """Run a simulated tenant and write a configuration for it."""
    with start(SimulatorOptions(story=True)) as found:
        quell.write({"ready.json": json.dumps(found.ready())})
        made = quell.inside("config", "init", "--simulated", "ready.json")
        assert made.code == ExitCode.DONE, made.err
        yield found


def choose(quell: Shell, *names: str) -> None:
    path = quell.folder / "quell.toml"
    text = path.read_text(encoding="utf-8")
    chosen = f"[events]\ntables = {json.dumps(names)}\nlookback = 315360000\n"
    path.write_text(f"{text}\n{chosen}", encoding="utf-8")


def test_tables_are_listed_with_their_columns(quell: Shell) -> None:
    shown = quell.inside("events", "tables", "--json")

    rows = {row["table"]: row for row in shown.json}
    assert len(rows) == 24
    assert rows["Evidence"]["group"] == "alerts"
    assert rows["DeviceEvents"]["columns"]["Timestamp"] == "datetime"


def test_nothing_is_streamed_unless_it_is_chosen(quell: Shell, simulator: RunningSimulator) -> None:
    status, sent = quell.inside("events", "status"), quell.inside("events", "send")

    assert (status.code, sent.code) == (ExitCode.DONE, ExitCode.DONE)
    assert "events.tables" in status.out
    assert simulator.tenant.ingested == {}


def test_chosen_tables_are_read_sent_and_shown(quell: Shell, simulator: RunningSimulator) -> None:
    # given
    choose(quell, "Alerts", "Evidence")

    # when
    sent = quell.inside("events", "send")
    status = quell.inside("events", "status", "--json")

    # then
    assert sent.code == ExitCode.DONE, sent.err
    landed = simulator.tenant.ingested["Custom-QuellAlerts_CL"]
    assert len(landed) == len(
        [alert for alert in simulator.tenant.queue.alerts.values() if alert.released]
    )
    assert len(simulator.tenant.ingested["Custom-QuellEvidence_CL"]) > len(landed)
    assert status.code == ExitCode.DONE
    rows = {row["table"]: row for row in status.json}
    assert set(rows) == {"Alerts", "Evidence"}
    assert all(row["read_until"] and not row["waiting_batches"] for row in rows.values())


def test_what_is_refused_is_shown_and_can_be_sent_again_or_given_up(
    quell: Shell, simulator: RunningSimulator
) -> None:
    # given
    choose(quell, "Alerts")
    grants = simulator.tenant.registrations["sync"].grants
    api = next(api for api, held in grants.items() if "Monitoring Metrics Publisher" in held)
    held = grants.pop(api)

    # when
    refused = quell.inside("events", "send")
    status = quell.inside("events", "status")
    grants[api] = held
    again = quell.inside("events", "retry", "--json")
    sent = quell.inside("events", "send")
    nothing = quell.inside("events", "drop", "--yes", "--json")

    # then
    assert refused.code == ExitCode.CONNECTION
    assert "Monitoring Metrics Publisher" in refused.err
    assert status.code == ExitCode.NO
    assert (again.json, nothing.json) == ({"batches": 1}, {"batches": 0})
    assert sent.code == ExitCode.DONE
    assert simulator.tenant.ingested["Custom-QuellAlerts_CL"] != []


def test_the_doctor_says_which_rule_is_not_permitted_and_sends_no_row(
    quell: Shell, simulator: RunningSimulator
) -> None:
    # given
    choose(quell, "Alerts")
    grants = simulator.tenant.registrations["sync"].grants
    api = next(api for api, held in grants.items() if "Monitoring Metrics Publisher" in held)

    # when
    good = quell.inside("doctor", "--json")
    grants.pop(api)
    bad = quell.inside("doctor", "--json")

    # then
    what = "events to sentinel alerts/Custom-QuellAlerts_CL"
    assert (good.code, bad.code) == (ExitCode.DONE, ExitCode.NO)
    assert [row["ok"] for row in good.json if row["what"] == what] == [True]
    (wrong,) = [row for row in bad.json if not row["ok"]]
    assert wrong["what"] == what
    assert "Monitoring Metrics Publisher" in wrong["remedy"]
    assert not any(simulator.tenant.ingested.values())


def test_what_events_need_is_listed_with_the_other_permissions(quell: Shell) -> None:
    shown = quell.inside("permissions", "--json")

    needs = {(row["identity"], row["permission"]): row["for"] for row in shown.json}
    publisher = "Monitoring Metrics Publisher on the data collection rules"
    assert needs["sync", publisher] == ["events: all tables"]
    assert "events: all other tables" in needs["reader", "ThreatHunting.Read.All"]
    assert ("sync", "SecurityIncident.ReadWrite.All") in needs


def test_a_stream_that_is_not_there_can_be_neither_retried_nor_dropped(
    quell: Shell, simulator: RunningSimulator
) -> None:
    choose(quell, "Alerts")

    for command in ("retry", "drop"):
        refused = quell.inside("events", command, "--stream", "alerts/Martians")

        assert refused.code == ExitCode.NO
        assert "quell events status" in refused.err


def test_a_table_that_nobody_has_is_a_wrong_setting(
    quell: Shell, simulator: RunningSimulator
) -> None:
    choose(quell, "Martians")

    for command in (("events", "status"), ("config", "check")):
        shown = quell.inside(*command)

        assert shown.code == ExitCode.SETTINGS
        assert "events.tables" in shown.err
        assert "quell events tables" in shown.err


def test_a_bundled_plugins_command_is_listed_and_run_unless_the_plugin_is_disabled(
    quell: Shell,
) -> None:
    # when
    help_before = quell.inside("--help")
    ran = quell.inside("sentinel", "tables", "--table", "Alerts")
    disabled = quell.inside("plugins", "disable", "sentinel")
    help_after = quell.inside("--help")
    gone = quell.inside("sentinel", "tables")

    # then
    assert "before events can be streamed" in " ".join(help_before.out.split())
    assert "QuellAlerts_CL" in ran.out
    assert disabled.code == ExitCode.DONE
    assert "before events can be streamed" not in " ".join(help_after.out.split())
    assert gone.code == ExitCode.USAGE
