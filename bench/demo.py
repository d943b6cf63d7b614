"""The README's first line, from nothing to its verdict: a fresh copy, a fresh environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bench.figure import Report, WorkNotDone

__all__ = ["measure"]

ROOT = Path(__file__).parent.parent
#: seconds after which it is given up
PATIENCE = 420
SECONDS = re.compile(r"^\W*seconds\W+([0-9.]+)", re.MULTILINE)


def measure() -> Report:
    """Copy what is in the checkout, and run the line as it stands there."""
    report = Report(
        name="demo",
        rounds=1,
        settings="fresh copy of the checkout, fresh environment, nothing cached by pip; "
        "SQLite file, WAL, synchronous=FULL; tenant's time 60×",
    )
    folder = Path(tempfile.mkdtemp(prefix="quell-bench-"))
    try:
        _copy(folder)
        line = _first_line(folder / "README.md")
        begin = time.perf_counter()
        output = _run(line, folder)
        taken = time.perf_counter() - begin
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    own = _seconds(output)
    report.add("README, first line: from nothing to the verdict", taken, "s")
    # its own help says: in under a minute
    report.add_goal("of that, quell demo itself", own, "s", below=60)
    report.add("of that, environment and packages", taken - own, "s", "depends on the network")
    report.checks.append("the line ended with 0 and said: Both queues agree.")
    return report


def _copy(folder: Path) -> None:
    """Copy every file that git has or would take, so that what is not committed counts too."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def _first_line(readme: Path) -> str:
    block = readme.read_text(encoding="utf-8").split("```sh\n", 1)[1].split("```", 1)[0]
    return block.strip().splitlines()[0]


def _run(line: str, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if _is_neutral(name)}
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**environment, "PIP_NO_CACHE_DIR": "1", "COLUMNS": "200"},
    )
    if done.returncode != 0 or "Both queues agree." not in done.stdout:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise WorkNotDone(f"the line ended with {done.returncode}: {' '.join(last)}")
    return done.stdout


def _is_neutral(name: str) -> bool:
    return not name.startswith(("QUELL_", "VIRTUAL_ENV", "PYTHON"))


def _seconds(output: str) -> float:
    found = SECONDS.search(output)
    if found is None:
        raise WorkNotDone("the verdict has no line with its seconds")
    return float(found[1])
