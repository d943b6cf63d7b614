"""The reference: it says what the code does, all of it, and nothing else."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from quell.cli.program import program
from quell.hookspecs import Hooks

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
HOOKS = [name for name in vars(Hooks) if name.startswith("quell_")]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_generate"] = module
    spec.loader.exec_module(module)
    return module


def test_the_generated_pages_are_what_the_code_gives_today() -> None:
    # a process of its own: a command keeps the help options of whoever called it first
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, f"run `python docs/generate.py`: {done.stdout}{done.stderr}"


def test_each_setting_has_a_sentence(generator: Any) -> None:
    rows = generator.bundled_rows()

    assert len(rows) > 40
    assert [row.name for row in rows if not row.text] == []


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_is_documented_with_its_exact_signature(hook: str) -> None:
    page = (REFERENCE / "hooks.md").read_text(encoding="utf-8")
    function = getattr(Hooks, hook)

    signature = str(inspect.signature(function)).replace("'", "")

    assert f"## `{hook}`\n\n```python\ndef {hook}{signature}\n```\n" in page


def test_no_hook_is_documented_that_does_not_exist() -> None:
    page = (REFERENCE / "hooks.md").read_text(encoding="utf-8")

    assert re.findall(r"^## `(quell_\w+)`$", page, re.MULTILINE) == HOOKS


def commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group, info_name="quell")
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*words, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))


COMMAND = re.compile(r"`quell ((?:[a-z]+)(?: [a-z]+)?)")


def mentions(path: Path, groups: set[str]) -> Iterator[tuple[str, ...]]:
    """List the commands that a file tells people to run."""
    for match in COMMAND.finditer(path.read_text(encoding="utf-8")):
        words = tuple(match[1].split())
        yield words if words[0] in groups else words[:1]


def test_every_command_that_code_or_documentation_tells_people_to_run_exists() -> None:
    files = [
        *(path for top in ("core", "plugins", "actions") for path in (ROOT / top).rglob("*.py")),
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
    ]
    known = set(commands(program))
    groups = {words[0] for words in known if len(words) > 1}

    unknown = {
        f"{path.relative_to(ROOT)}: quell {' '.join(words)}"
        for path in files
        for words in mentions(path, groups)
        if words not in known
    }

    assert unknown == set()


def links(path: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            yield target


def test_every_link_inside_the_documentation_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]

    broken = {
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in links(page)
        if not (page.parent / target).exists()
    }

    assert broken == set()
