"""The wheel: it holds what it must and nothing else, and works where nothing of the checkout is."""

from __future__ import annotations

import ast
import email
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "quell",
    "quell_microsoft",
    "quell_defender",
    "quell_sentinel",
    "quell_device",
    "quell_user",
    "quell_mail",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, with the build tools that are installed here if there are any."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != 0 and "hatchling" in done.stderr:
        pytest.skip(f"the build backend cannot be had here: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_holds_every_package_with_its_type_marker(names: list[str]) -> None:
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}

    assert tops == PACKAGES
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)


def test_the_wheel_holds_every_module_and_file_of_the_packages(names: list[str]) -> None:
    sources = [
        path.relative_to(top).as_posix()
        for top in (ROOT / "core", ROOT / "plugins", ROOT / "actions")
        for path in top.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    ]

    assert [source for source in sources if source not in names] == []


def test_neither_tests_nor_the_door_nor_rubbish_are_in_the_wheel(names: list[str]) -> None:
    unwanted = [
        name
        for name in names
        if name.startswith(("tests", "worker", "docs", "core/", "plugins/", "actions/"))
        or name.endswith((".pyc", ".sqlite3", ".pem", ".log"))
    ]

    assert unwanted == []


def test_the_metadata_names_the_command_the_plugins_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = next(name for name in archive.namelist() if name.endswith("/METADATA")).split("/")[0]
        points = archive.read(f"{info}/entry_points.txt").decode()
        metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
        licences = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]

    assert "quell = quell.cli:main" in points
    assert points.count(" = quell_") == 6
    assert metadata["License-Expression"] == "Apache-2.0"
    assert licences


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an environment with the wheel; its dependencies are those of this one, without quell."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=False)
    site = next((folder / "lib").glob("python*")) / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # a path file comes after the environment's own packages: this wheel's quell is found first,
    # and the editable one of the checkout is not on the path at all
    dependencies = Path(next(path for path in sys.path if path.endswith("site-packages")))
    lines = [
        path.name
        for path in dependencies.iterdir()
        if not path.name.lower().startswith(("quell", "_quell"))
    ]
    shared = folder / "dependencies"
    shared.mkdir()
    for name in lines:
        if not name.endswith(".pth"):
            (shared / name).symlink_to(dependencies / name)
    (site / "dependencies.pth").write_text(f"{shared}\n")
    return folder


def test_an_installed_quell_finds_its_plugins_from_any_folder(clean: Path, tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    code = (
        "import quell, sys; from quell.cli import main; print(quell.__file__); "
        "main(['plugins', '--json'])"
    )

    done = subprocess.run(
        [str(clean / "bin" / "python"), "-I", "-c", code],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    first, _, rest = done.stdout.partition("\n")
    assert first.startswith(str(clean))
    assert rest.count('"state": "enabled"') == 6


def test_the_constraints_pin_every_dependency_and_name_no_index() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for line in text.splitlines() if "==" in line
    }

    missing = [one for one in wanted if normalised(one) not in pinned]

    assert missing == []
    assert "://" not in text
    assert not any(line.startswith("-") for line in text.splitlines())


def normalised(requirement: str) -> str:
    import re

    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return found[0].lower().replace("_", "-")


def test_the_door_for_celery_is_the_fleets_application() -> None:
    tree = ast.parse((ROOT / "worker.py").read_text(encoding="utf-8"))

    imported = {
        f"{node.module}.{name.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }

    assert "quell.fleet.app.app" in imported
    assert all(name.startswith("quell.") for name in imported)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
