"""Measures the tests of sync's pure rules: `python -m tests.mutation` prints which wrong change
of the code no test noticed, and the share that was noticed.

Each wrong change is tried in a process of its own, forked from one that has everything loaded:
the functions of the module get the changed code, whoever has imported them.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
import types
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from tests.mutation.changes import Mutant, mutants

#: what is changed, and the tests that must notice
MODULES = (
    "quell.sync.absorb.reconcile",
    "quell.sync.absorb.first_contact",
    "quell.sync.plan.fields",
    "quell.sync.absorb.absorb",
    "quell.sync.absorb.merge",
)
TESTS = ("tests/core/sync/pure",)
#: a change that makes tests go round in circles is noticed too
SECONDS = 60
PROCESSES = 2


def main() -> int:
    """Try every change; 1 when the tests fail without any, or too few are noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(MODULES))
    parser.add_argument("--at-least", type=float, default=0.0, metavar="SHARE")
    asked = parser.parse_args()
    if _run_tests() != 0:
        print("the tests fail without any change")
        return 1
    noticed = total = 0
    for name in asked.modules:
        found, survivors = _try_module(name)
        noticed, total = noticed + found - len(survivors), total + found
        print(f"{name}: {found - len(survivors)} of {found} noticed", flush=True)
        for one in survivors:
            print(f"  line {one.line}, {one.function}: {one.change}", flush=True)
    share = noticed / total
    print(f"{noticed} of {total} wrong changes noticed: {share:.1%}")
    return 0 if share >= asked.at_least else 1


def _try_module(name: str) -> tuple[int, list[Mutant]]:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    changed = list(mutants(Path(module.__file__).read_text(encoding="utf-8")))
    with ThreadPoolExecutor(PROCESSES) as pool:
        survived = list(pool.map(partial(_survives, module), changed))
    return len(changed), [one for one, is_alive in zip(changed, survived, strict=True) if is_alive]


def _survives(module: types.ModuleType, mutant: Mutant) -> bool:
    """Try one change in a fork; True when no test noticed it."""
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        try:
            _change(module, mutant.source)
            os._exit(_run_tests())
        except BaseException:  # noqa: BLE001 # whatever breaks is noticed, and the fork ends here
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _change(module: types.ModuleType, source: str) -> None:
    """Give a module's functions other code; everybody who has them sees it."""
    scratch = dict(module.__dict__)
    exec(compile(source, str(module.__file__), "exec"), scratch)
    for name, value in list(vars(module).items()):
        other = scratch.get(name)
        is_function = isinstance(value, types.FunctionType) and value.__module__ == module.__name__
        if is_function and isinstance(other, types.FunctionType):
            value.__code__ = other.__code__


def _run_tests(tests: Sequence[str] = TESTS) -> int:
    options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:randomly"]
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        return int(pytest.main([*options, *tests]))


if __name__ == "__main__":
    sys.exit(main())
