"""The units of systemd: read by systemd itself where it is there, and held to the code everywhere."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from tests.deploy.given import DEPLOY, check_command, quell_variables

from quell.settings.model import WorkerSettings

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
#: what any of them must keep to; a unit that forgot one would be open, and look the same
HARDENED = {
    "NoNewPrivileges": "true",
    "ProtectSystem": "strict",
    "ProtectHome": "true",
    "PrivateTmp": "true",
    "PrivateDevices": "true",
    "CapabilityBoundingSet": "",
    "RestrictSUIDSGID": "true",
    "UMask": "0077",
    "StateDirectoryMode": "0700",
}


def read(unit: Path) -> list[tuple[str, str]]:
    """Read the assignments of a unit; a key may come several times."""
    lines = [line.strip() for line in unit.read_text(encoding="utf-8").splitlines()]
    assigned = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return [(key, value) for key, _, value in assigned]


def one(unit: Path, key: str) -> str:
    (value,) = [value for name, value in read(unit) if name == key]
    return value


def command_of(unit: Path) -> list[str]:
    """Give what a unit runs, as systemd would spell it."""
    text = one(unit, "ExecStart").replace("%%", "\x00").replace("%i", "8081").replace("\x00", "%")
    return shlex.split(text)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_that_there_is(unit: Path) -> None:
    program, *words = command_of(unit)
    assert Path(program).name == "quell"
    check_command(words)


def test_a_command_line_that_is_wrong_would_be_seen() -> None:
    for words in (["up", "--fast"], ["wroker"], ["worker", "--no-such-option"]):
        with pytest.raises((click.UsageError, AssertionError)):
            check_command(words)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_sets_only_what_can_be_set(unit: Path) -> None:
    values = [value for key, value in read(unit) if key == "Environment"]
    names = {pair.partition("=")[0] for value in values for pair in shlex.split(value)}
    ours = {name for name in names if name.startswith("QUELL")}
    assert {"QUELL_CONFIG", "QUELL__HTTP__PORT"} <= ours
    assert ours <= quell_variables()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_stop_lets_a_worker_drain_before_it_is_killed(unit: Path) -> None:
    assert one(unit, "KillSignal") == "SIGTERM"
    assert one(unit, "KillMode") == "mixed"
    assert int(one(unit, "TimeoutStopSec")) >= WorkerSettings().grace + 20


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_closed(unit: Path) -> None:
    said = dict(read(unit))
    assert {key: said.get(key) for key in HARDENED} == HARDENED
    assert said["User"] not in {"", "root"}


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not here: the units were only held to the code",
)
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_itself_understands_a_unit_and_finds_it_closed(unit: Path, tmp_path: Path) -> None:
    # given: with a program that is there
    copy = tmp_path / unit.name
    program = command_of(unit)[0]
    copy.write_text(unit.read_text(encoding="utf-8").replace(program, "/bin/true"))

    # when
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(copy)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    # then
    complaints = [line for line in verified.stderr.splitlines() if unit.name in line]
    assert complaints == []
    assert judged.returncode == 0, judged.stdout
    assert re.search(r"exposure level for \S+: [01]\.\d", judged.stdout)
