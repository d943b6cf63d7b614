"""Bundled plugins are a stranger's plugins: they use what a stranger may use, and nothing else."""

from __future__ import annotations

import ast
import importlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: what a plugin may import from; below `quell.domain`, every module
PUBLIC = {"quell", "quell.domain", "quell.errors", "quell.testing", "quell.web"}
PLUGINS = sorted((*ROOT.glob("plugins/quell_*"), *ROOT.glob("actions/quell_*")))


def imported(source: str) -> Iterator[tuple[str, str]]:
    """List what a file imports from the core: the module, and the name, empty for all of it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)


def problems(source: str) -> list[str]:
    """Say which imports a stranger's plugin could not rely on."""
    found = list[str]()
    for module, name in imported(source):
        if module.partition(".")[0] != "quell":
            continue
        if module not in PUBLIC and not module.startswith("quell.domain."):
            found.append(f"{module} is not public")
        elif name and name not in importlib.import_module(module).__all__:
            found.append(f"{module} does not offer {name}")
    return found


@pytest.mark.parametrize("plugin", PLUGINS, ids=[one.name for one in PLUGINS])
def test_a_bundled_plugin_uses_only_names_that_are_offered_to_everybody(plugin: Path) -> None:
    # when
    found = {
        str(path.relative_to(ROOT)): problems(path.read_text(encoding="utf-8"))
        for path in plugin.rglob("*.py")
    }

    # then
    assert found
    assert {path: each for path, each in found.items() if each} == {}


@pytest.mark.parametrize(
    "line",
    [
        "from quell.telemetry import traces",
        "from quell.meters import COUNTERS",
        "import quell.journal",
        "from quell.web import relay",
        "from quell.errors import _rebuild",
        "from quell import web",
    ],
)
def test_what_is_not_offered_is_noticed(line: str) -> None:
    assert problems(line)


def test_every_module_of_the_core_is_either_public_or_forbidden_to_bundled_plugins() -> None:
    # given
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (contract,) = [one for one in contracts if "public face" in one["name"]]
    there = {
        f"quell.{path.stem}"
        for path in (ROOT / "core/quell").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    } - {"quell.__init__"}

    # then
    assert set(contract["forbidden_modules"]) == there - PUBLIC
    assert set(contract["source_modules"]) == {one.name for one in PLUGINS}
