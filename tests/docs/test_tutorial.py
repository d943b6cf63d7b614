"""The tutorial, done from top to bottom as it is written, against the simulated tenant."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "first-steps.md"
TEXT = TUTORIAL.read_text(encoding="utf-8")
EXPECTED = re.compile(r"# exits with (\d+)$")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def script() -> Iterator[str]:
    """Write the commands as one shell session in which each has to end as the page says."""
    for line in (line for block in blocks("sh") for line in block.splitlines()):
        expected = EXPECTED.search(line)
        code = expected[1] if expected else "0"
        yield line
        if not line.startswith("wait"):
            failed = f"echo FAILED $code: {shlex.quote(line)}; kill $(jobs -p); exit 99"
            yield f"code=$?; [ $code -eq {code} ] || {{ {failed}; }}"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "hello.yml").write_text(blocks("yaml")[0], encoding="utf-8")
    bin_folder = Path(sys.executable).parent
    environ = {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
    }
    shell = subprocess.Popen(
        ["bash", "-c", "\n".join(script())],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        shown, _ = shell.communicate(timeout=300)
    finally:
        # whatever the page left running, in the background too
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(shell.args, shell.returncode, shown)


def test_every_command_of_the_tutorial_ends_as_it_says(
    session: subprocess.CompletedProcess[str],
) -> None:
    assert "FAILED" not in session.stdout, session.stdout[-3000:]
    assert session.returncode == 0, session.stdout[-3000:]


def test_what_the_tutorial_shows_is_what_is_printed(
    session: subprocess.CompletedProcess[str],
) -> None:
    wanted = [line for block in blocks("text") for line in block.splitlines()]

    missing = [
        line
        for line in wanted
        if not re.search(".*".join(map(re.escape, line.split("…"))), session.stdout)
    ]

    assert wanted
    assert missing == [], session.stdout[-3000:]
