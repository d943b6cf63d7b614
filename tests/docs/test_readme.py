"""The README: its playbook checks, its plugin loads and works, its lines are the ones CI runs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quell import Device, Observed, Succeeded
from quell.plugins import Lock, PluginState, enable, list_plugins, load_plugins
from quell.testing import make_call, make_target, write_distribution

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the README's plugin, as its own pyproject lines would."""
    points = re.findall(r'^(\w+) = "(\w+)"$', block("toml"), re.MULTILINE)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    write_distribution(
        tmp_path,
        {f"{module}.py": block("python") for _, module in points},
        name="quell-greet",
        plugins=dict(points),
    )
    yield tmp_path
    sys.modules.pop("quell_greet", None)


def test_the_plugin_is_about_fifteen_lines() -> None:
    lines = [line for line in block("python").splitlines() if line.strip()]

    assert len(lines) <= 15


@pytest.mark.anyio
async def test_the_plugin_is_enabled_offers_its_action_and_greets(installed: Path) -> None:
    lock, _ = enable("greeter", Lock(installed / "plugins.lock"))
    registry = load_plugins(lock, [one for one in list_plugins() if one.name == "greeter"])
    (greet,) = registry.find_actions("device.greet", "greeter")
    target = make_target(Device(host_name="pc-1"))

    before = await greet.observe_function(target) if greet.observe_function else None
    outcome = await greet.call(make_call(greet, target))

    assert [report.state for report in registry.plugins] == [PluginState.ENABLED]
    assert before is not None
    assert before.state is Observed.NOT_SO
    assert outcome == Succeeded(data={"greeting": "hello, device-1"})


def test_the_plugin_passes_the_strict_type_check(installed: Path) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "quell_greet.py"],
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout


def test_the_playbook_has_no_mistakes(tmp_path: Path) -> None:
    (tmp_path / "hello.yml").write_text(block("yaml"), encoding="utf-8")

    checked = subprocess.run(
        [sys.executable, "-m", "quell", "playbook", "check", "hello.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_two_lines_are_there_and_name_no_index() -> None:
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv .venv")]

    assert lines == [
        "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt . "
        "&& .venv/bin/quell demo",
        "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e '.[dev]' "
        "&& .venv/bin/python -m pytest -q -n 2",
    ]


def test_ci_runs_the_readmes_own_test_line() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    pattern = re.search(r"grep -m1 -E '([^']+)'", script)

    assert pattern is not None
    assert len([line for line in README.splitlines() if re.search(pattern[1], line)]) == 1


def test_the_readme_says_what_it_is_in_five_lines() -> None:
    opening = README.split("\n\n")[1]

    assert len(opening.splitlines()) == 5
