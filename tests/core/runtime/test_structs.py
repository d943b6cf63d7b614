"""Structs are known to msgspec before threads convert to them side by side."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from quell.runtime.structs import prepare_structs

#: threads that convert to structs that nobody has converted to yet
RACE = """
import sys, threading
import msgspec
from quell.runtime.structs import prepare_structs

def declare():
    inner = msgspec.defstruct("Inner", [("number", "int", 0), ("text", "str", "")])
    fields = [("inner", tuple[inner, ...], ()), ("other", "dict[str, int]", {})]
    return msgspec.defstruct("Outer", fields)

def race(struct):
    barrier = threading.Barrier(8)
    def convert():
        barrier.wait()
        msgspec.convert({"inner": [{"number": 1}], "other": {}}, struct)
    threads = [threading.Thread(target=convert) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

structs = [declare() for _ in range(200)]
PREPARE
sys.setswitchinterval(1e-6)
for struct in structs:
    race(struct)
"""


def race(prepare: str) -> int:
    script = RACE.replace("PREPARE", prepare)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    return ended.returncode


def test_threads_that_convert_to_a_struct_for_the_first_time_do_not_crash_the_process() -> None:
    assert race("prepare_structs()") == 0


def test_every_struct_that_is_declared_is_prepared() -> None:
    before = prepare_structs()

    declared = msgspec.defstruct("Declared", [("number", int)])

    assert prepare_structs() == before + 1
    assert declared(number=1)
