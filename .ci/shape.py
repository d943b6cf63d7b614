"""Holds the code to its size (docs: CONTRIBUTING.md) and the tree to what may be in it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

LONGEST_FILE = 450
LONGEST_FUNCTION = 60
#: lines of code that a good function stays below, and how many of them must
USUAL_FUNCTION, SHARE_OF_USUAL = 30, 0.9
MEDIAN_FUNCTION = 10
CODE = ("core", "plugins", "actions", "worker.py")
#: an index belongs to who installs, not to the project
INDEX = re.compile(r"--(?:extra-)?index-url|^\s*-i\s+http|\bfind-links\b", re.MULTILINE)


def tracked() -> list[Path]:
    """List the files that belong to the project; outside of git, those of the code folders."""
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=False)  # noqa: S607 # git as the developer has it
    if listed.returncode == 0 and listed.stdout:
        return [path for line in listed.stdout.splitlines() if (path := Path(line)).is_file()]
    return [path for top in CODE for path in Path(top).rglob("*.py")]


def is_written(path: Path) -> bool:
    """Tell whether a file is code that is written and changed; migrations are frozen lists."""
    return path.parts[0] in CODE and path.suffix == ".py" and "migrations" not in path.parts


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """List the functions of a file with their length."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1


def problems() -> Iterator[str]:
    """Say what is too large, and what may not be there."""
    code = [path for path in tracked() if is_written(path)]
    lengths: list[int] = []
    for path in code:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > LONGEST_FILE:
            yield f"{path}: {lines} lines, at most {LONGEST_FILE}"
        for name, length in functions(path):
            lengths.append(length)
            if length > LONGEST_FUNCTION:
                yield f"{name}: {length} lines, at most {LONGEST_FUNCTION}"
    if lengths and median(lengths) >= MEDIAN_FUNCTION:
        yield f"the median function has {median(lengths)} lines, not under {MEDIAN_FUNCTION}"
    usual = sum(length < USUAL_FUNCTION for length in lengths)
    if lengths and usual < SHARE_OF_USUAL * len(lengths):
        yield f"only {usual} of {len(lengths)} functions are under {USUAL_FUNCTION} lines"
    for folder in ("core", "plugins", "actions"):
        if Path(folder, "__init__.py").exists():
            yield f"{folder} is a folder, not a package: remove its __init__.py"
    yield from _index_problems()


def _index_problems() -> Iterator[str]:
    for path in tracked():
        is_read_by_pip = path.name in {"constraints.txt", "pyproject.toml", "README.md", "justfile"}
        if is_read_by_pip and INDEX.search(path.read_text(encoding="utf-8")):
            yield f"{path}: names a package index"


if __name__ == "__main__":
    found = list(problems())
    print("\n".join(found) or "shape: good")
    sys.exit(1 if found else 0)
