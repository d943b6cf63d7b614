"""How long `quell --help` takes, beside an interpreter that does nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.figure import Report, WorkNotDone, median, spread

__all__ = ["measure"]

ROUNDS = 15
QUELL = str(Path(sys.executable).parent / "quell")
#: command, and what its output must hold
COMMANDS: dict[str, tuple[Sequence[str], str]] = {
    "python -c pass": ((sys.executable, "-c", "print('nothing')"), "nothing"),
    "python -c 'import quell'": ((sys.executable, "-c", "import quell; print(quell)"), "quell"),
    "quell --help": ((QUELL, "--help"), "Commands"),
    "quell runs --help": ((QUELL, "runs", "--help"), "Usage"),
}
#: loaded by commands that need them, never by `--help`
HEAVY = ("sqlalchemy", "celery", "httpx", "aiohttp", "msal", "cel_expr_python", "rich", "uvicorn")


def measure() -> Report:
    """Run each command once a round, one after the other."""
    report = Report(name="startup", rounds=ROUNDS, settings="files cached, one process at a time")
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, (command, wanted) in COMMANDS.items():
            taken[name].append(_run(command, wanted))
    for name, seconds in taken.items():
        milliseconds = [1000 * one for one in seconds]
        report.add(name, median(milliseconds), "ms", spread(milliseconds))
    pairs = zip(taken["quell --help"], taken["python -c pass"], strict=True)
    ratios = [one / bare for one, bare in pairs]
    report.add("quell --help / python -c pass", median(ratios), "×", spread(ratios))
    heavy, modules = _loaded()
    report.add("modules loaded by quell --help", modules, "modules")
    report.add("heavy libraries among them", len(heavy), f"of {len(HEAVY)}", ", ".join(heavy))
    report.checks.append("every command ended with 0 and printed what it should")
    return report


def _run(command: Sequence[str], wanted: str) -> float:
    begin = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=_environment()
    )
    taken = time.perf_counter() - begin
    if done.returncode != 0 or wanted not in done.stdout:
        raise WorkNotDone(f"{' '.join(command[-2:])} ended with {done.returncode}")
    return taken


def _loaded() -> tuple[list[str], int]:
    """List what `quell --help` imports, as the interpreter tells it."""
    command = (sys.executable, "-X", "importtime", "-m", "quell", "--help")
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=_environment()
    )
    names = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line]
    roots = {name.partition(".")[0] for name in names}
    return [name for name in HEAVY if name in roots], len(names) - 1


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("QUELL_")}
