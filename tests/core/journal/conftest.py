"""Databases of every engine, and the program of the release before."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.servers import fresh_database

RELEASE = Path(__file__).parents[2] / "releases" / "quell-0.1.0-py3-none-any.whl"

RunReleased = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of an empty database, on each engine in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'quell.sqlite3'}"
        return
    with fresh_database(request.getfixturevalue("postgres")) as fresh:
        yield fresh


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> RunReleased:
    """Run a script with the packages of the release before, in a process of its own."""
    folder = tmp_path_factory.mktemp("released")
    with zipfile.ZipFile(RELEASE) as wheel:
        wheel.extractall(folder)

    def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", script, *arguments],
            # its folder comes before the checkout, which is installed beside it
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
