"""The program: its table, its help, its exit codes, and how failures look."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from quell import errors
from quell.cli.outcome import CODES, ExitCode, exit_code_of
from quell.cli.program import COMMANDS, program
from quell.testing import write_distribution

from .conftest import Shell

#: nothing of these may be loaded to print a help text
HEAVY = ("sqlalchemy", "celery", "redis", "httpx", "msal", "rich", "yaml", "jsonschema", "asyncio")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_of_each_command_what_the_command_says_of_itself(name: str) -> None:
    context = click.Context(program)

    command = program.get_command(context, name)

    assert command is not None
    assert command.name == name
    assert inspect_summary(command) == COMMANDS[name].summary


def inspect_summary(command: click.Command) -> str:
    return (command.help or "").strip().splitlines()[0]


def test_help_loads_no_command_and_nothing_heavy() -> None:
    code = (
        "import sys\nfrom quell.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print(sorted(m for m in {HEAVY!r} if m in sys.modules), file=sys.stderr)\n"
        "print(sorted(m for m in sys.modules if m.startswith('quell_')), file=sys.stderr)\n"
    )

    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert shown.stderr.splitlines() == ["[]", "[]"]
    assert all(name in shown.stdout for name in COMMANDS)


def test_a_plugins_command_is_listed_from_the_lock_and_run_from_the_plugin(quell: Shell) -> None:
    source = (
        "import click\nfrom quell import hookimpl\n"
        "@click.command()\ndef wave():\n  '''Wave at somebody.'''\n  click.echo('waving')\n"
        "@hookimpl\ndef quell_commands(): return [wave]\n"
    )
    write_distribution(
        quell.folder.parent / "site",
        {"waver.py": source},
        name="waver",
        plugins={"waver": "waver"},
    )

    before = quell("--help")
    enabled = quell("plugins", "enable", "waver")
    after = quell("--help")
    waved = quell("wave")

    assert "wave" not in before.out
    assert enabled.code == ExitCode.DONE
    assert "Wave at somebody." in after.out
    assert (waved.code, waved.out) == (0, "waving\n")


def test_a_command_of_a_plugin_that_changed_is_refused_with_the_reason(quell: Shell) -> None:
    site = quell.folder.parent / "site"
    source = (
        "import click\nfrom quell import hookimpl\n@click.command()\ndef wave(): pass\n"
        "@hookimpl\ndef quell_commands(): return [wave]\n"
    )
    write_distribution(site, {"waver.py": source}, name="waver", plugins={"waver": "waver"})
    quell("plugins", "enable", "waver")
    (site / "waver.py").write_text(source + "# changed\n")

    refused = quell("wave")

    assert refused.code == ExitCode.SETTINGS
    assert "files changed since it was enabled" in refused.err


def test_an_error_is_one_line_and_what_to_do(quell: Shell) -> None:
    shown = quell("--config", "nowhere.toml", "config", "show")

    assert shown.code == ExitCode.SETTINGS
    assert shown.out == ""
    first, second = shown.err.splitlines()
    assert first.startswith("error: Setting --config (from nowhere.toml): cannot be read")
    assert second.startswith("  do:  Name another file")


def test_an_error_can_be_read_by_a_machine(quell: Shell) -> None:
    import json

    shown = quell("--config", "nowhere.toml", "config", "show", "--json")

    error = json.loads(shown.err)["error"]
    assert shown.code == ExitCode.SETTINGS
    assert error["code"] == "settings_invalid"
    assert error["remedy"]


def test_wrong_usage_exits_with_2(quell: Shell) -> None:
    assert quell("nonsense").code == ExitCode.USAGE
    assert quell("plugins", "enable").code == ExitCode.USAGE


def test_the_version_is_the_distributions(quell: Shell) -> None:
    from importlib.metadata import version

    assert quell("--version").out.strip() == f"quell {version('quell')}"


def test_output_into_a_closed_pipe_ends_quietly(quell: Shell) -> None:
    script = f"{sys.executable} -m quell config show --all | true"

    done = subprocess.run(
        ["bash", "-c", script],
        cwd=quell.folder,
        env=quell.environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""


def test_every_error_has_an_exit_code_of_its_family() -> None:
    expected = {
        errors.SettingsError: ExitCode.SETTINGS,
        errors.PluginError: ExitCode.SETTINGS,
        errors.PlaybookError: ExitCode.SETTINGS,
        errors.NotFoundError: ExitCode.NO,
        errors.StateError: ExitCode.REFUSED,
        errors.JournalError: ExitCode.JOURNAL,
        errors.ConnectorError: ExitCode.CONNECTION,
    }

    assert dict(CODES) == expected
    assert exit_code_of(errors.PermissionMissing(endpoint="x")) is ExitCode.CONNECTION
    assert exit_code_of(errors.FenceLost(run_id="r")) is ExitCode.JOURNAL


def test_the_help_names_each_exit_code(quell: Shell) -> None:
    text = " ".join(quell("--help").out.split())

    assert all(f"{code.value} " in text for code in ExitCode)


def test_a_broken_lock_does_not_hide_the_commands(quell: Shell, tmp_path: Path) -> None:
    quell.write({"quell.toml": "", "plugins.lock": "not toml"})

    shown = quell("plugins")

    assert shown.code == ExitCode.SETTINGS
    assert "plugins.lock" in shown.err
