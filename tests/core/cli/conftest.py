"""Running `quell` as a person does: arguments in, output and exit code out."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from quell.cli.invocation import Invocation
from quell.cli.program import run


@dataclass(frozen=True, slots=True)
class Shown:
    """What one invocation left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(slots=True)
class Shell:
    """A folder with a configuration, in which `quell` is run in a process of its own."""

    folder: Path
    environ: dict[str, str]

    def __call__(self, *arguments: str, stdin: str = "", **environ: str) -> Shown:
        done = subprocess.run(
            [sys.executable, "-m", "quell", *arguments],
            cwd=self.folder,
            env={**self.environ, **environ},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Shown(done.returncode, done.stdout, done.stderr)

    def inside(self, *arguments: str, stdin: str = "", **environ: str) -> Shown:
        """Run it in this process, which saves its start; only for commands that end by themselves."""
        out, err, before = io.StringIO(), io.StringIO(), (os.environ.copy(), Path.cwd(), sys.stdin)
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        try:
            os.environ.clear()
            os.environ.update({**self.environ, **environ})
            os.chdir(self.folder)
            sys.stdin = io.StringIO(stdin)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = run(Invocation(environ=dict(os.environ)), arguments)
        finally:
            os.environ.clear()
            os.environ.update(before[0])
            os.chdir(before[1])
            sys.stdin = before[2]
            root.handlers[:] = handlers
            root.setLevel(level)
            structlog.reset_defaults()
        return Shown(code, out.getvalue(), err.getvalue())

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            (self.folder / name).write_text(text, encoding="utf-8")


@pytest.fixture
def quell(tmp_path: Path) -> Shell:
    """Give a shell in an empty folder, with a home of its own."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
    environ = {**kept, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(tmp_path / "site")}
    (tmp_path / "here").mkdir()
    (tmp_path / "site").mkdir()
    return Shell(tmp_path / "here", environ)
