"""Wrong credentials, missing permissions, no network and wrong clocks: said in one line, then made good."""

from __future__ import annotations

import socket

import pytest
from tests.fault_ground import Ground

from quell_microsoft.simulator.wire import Api

WRONG = "wrong-Secret~value.0123456789abcdef"


def test_a_wrong_secret_is_named_by_its_role_and_never_shown(ground: Ground) -> None:
    # given
    ground.detect("one")
    right = ground.sections["microsoft"]["identities"]["reader"]["client_secret"]
    ground.sections["microsoft"]["identities"]["reader"]["client_secret"] = WRONG
    ground.write_settings()
    # when
    shown = ground.quell("sync", "--json")
    # then: every source that the identity reads is told, each in a line
    assert shown.code == 4
    lines = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert [line.split(":")[1].strip() for line in lines] == ["defender", "sentinel"]
    for line in lines:
        assert "for the role 'reader'" in line
        assert "The client secret is wrong" in line
    assert WRONG not in shown.err + shown.out
    assert "Traceback" not in shown.err
    # and when
    ground.sections["microsoft"]["identities"]["reader"]["client_secret"] = right
    ground.write_settings()
    with ground.runtime() as runtime:
        ground.check_nothing_is_lost(runtime)


def test_an_expired_secret_is_told_apart_from_a_wrong_one(ground: Ground) -> None:
    # given
    ground.detect("one")
    ground.tenant.registrations["reader"].is_secret_expired = True
    # when
    shown = ground.quell("sync")
    # then
    assert shown.code == 4
    lines = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 2
    assert all("The client secret has expired" in line for line in lines)
    # and when
    ground.tenant.registrations["reader"].is_secret_expired = False
    with ground.runtime() as runtime:
        ground.check_nothing_is_lost(runtime)


@pytest.mark.parametrize(
    ("role", "api", "grant"),
    [
        ("reader", Api.GRAPH, "SecurityIncident.Read.All"),
        ("reader", Api.ARM, "Microsoft Sentinel Reader"),
        ("sync", Api.ARM, "Microsoft Sentinel Responder"),
        ("sync", Api.GRAPH, "SecurityIncident.ReadWrite.All"),
    ],
)
def test_a_missing_permission_is_named_and_nothing_waiting_for_it_is_lost(
    ground: Ground, role: str, api: Api, grant: str
) -> None:
    # given: an identity without one of its permissions, and news on both sides
    app = ground.tenant.registrations[role]
    had = app.grants[api]
    original = ground.detect("first")
    assert ground.quell("sync").code == 0
    app.grants[api] = tuple(one for one in had if one != grant)
    ground.detect("second")
    copy = ground.copy_of("first")
    copy.properties.update(severity="Low")
    ground.tenant.workspaces[0].touch(copy, by="analyst")
    # when: another process, which has no token from before
    shown = ground.quell("sync")
    # then
    assert shown.code == 4, shown
    lines = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert lines
    assert all("Grant " in line and grant in line and repr(role) in line for line in lines), lines
    assert "Traceback" not in shown.err
    # and when it is granted
    app.grants[api] = had
    with ground.runtime() as runtime:
        ground.check_nothing_is_lost(runtime)
    assert original.body["severity"] == "low"


def test_a_network_that_is_gone_is_one_line_for_each_source_and_comes_back(
    ground: Ground,
) -> None:
    # given: a port on which nobody listens
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ground.detect("one")
    right = ground.sections["microsoft"]["base_url"]
    ground.sections["microsoft"]["base_url"] = f"https://localhost:{port}"
    ground.write_settings()
    # when
    shown = ground.quell("sync")
    checked = ground.quell("doctor", "--json")
    # then
    assert shown.code == 4
    lines = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 2
    assert all("no connection" in line and "Check the network" in line for line in lines)
    assert checked.code == 1
    wrong = [row for row in checked.json if not row["ok"]]
    assert any("no connection" in row["detail"] and row["remedy"] for row in wrong)
    assert "Traceback" not in shown.err + checked.err
    # and when
    ground.sections["microsoft"]["base_url"] = right
    ground.write_settings()
    with ground.runtime() as runtime:
        ground.check_nothing_is_lost(runtime)


def test_a_server_with_a_certificate_of_nobody_we_trust_gets_no_secret(ground: Ground) -> None:
    # given
    del ground.sections["microsoft"]["ca_file"]
    ground.write_settings()
    # when
    shown = ground.quell("sync")
    # then
    assert shown.code == 4
    assert "microsoft.ca_file" in shown.err
    assert "Traceback" not in shown.err
    assert not any("token" in str(row) for row in ground.tenant.ledger.calls_as_json())


@pytest.mark.parametrize("skew", [3600.0, -3600.0])
def test_a_clock_that_is_an_hour_off_loses_no_incident_and_doctor_says_so(
    ground: Ground, skew: float
) -> None:
    # given
    ground.turn(clock_skew_seconds=skew)
    with ground.runtime() as runtime:
        for number in range(3):
            ground.detect(f"incident {number}")
            ground.pass_once(runtime)
        # when
        copy = ground.copy_of("incident 0")
        copy.properties.update(severity="Low")
        ground.tenant.workspaces[0].touch(copy, by="analyst")
        # then
        ground.check_nothing_is_lost(runtime)
    checked = ground.quell("doctor", "--json")
    assert checked.code == 1
    clocks = [row for row in checked.json if row["what"].startswith("clock against")]
    assert clocks
    assert all(not row["ok"] and "clock" in row["remedy"] for row in clocks)


@pytest.mark.parametrize("minutes", [60, -60])
def test_our_own_clock_being_an_hour_off_makes_no_edit_win_or_lose(
    ground: Ground, minutes: int
) -> None:
    # given: everything that quell notes down is an hour off what the products say
    from datetime import timedelta

    ground.clock.ahead = timedelta(minutes=minutes)
    with ground.runtime() as runtime:
        original = ground.detect("one")
        ground.settle(runtime)
        ground.clock.ahead = timedelta(minutes=minutes)
        # when: a side changes what the other does not
        copy = ground.copy_of("one")
        copy.properties.update(severity="Low")
        ground.tenant.workspaces[0].touch(copy, by="analyst")
        ground.tenant.queue.change_incident(original, {"status": "inProgress"}, "analyst")
        # then
        ground.check_nothing_is_lost(runtime)
    assert (original.body["severity"], original.body["status"]) == ("low", "inProgress")
    assert copy.properties["status"] == "Active"
