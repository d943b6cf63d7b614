"""What holds a process: its own session, resource limits, and an end with whoever made it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from functools import cache
from pathlib import Path

from quell.isolation.wire import Limits

__all__ = ["adopt_orphans", "hold", "list_orphans", "silence"]

# from <linux/prctl.h>
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def hold(limits: Limits, maker: int) -> None:
    """Hold this process to its limits, in a session of its own that ends with its maker."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != maker:
        os._exit(0)  # the maker died before it could be tied to
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    _lower(resource.RLIMIT_NOFILE, limits.open_files)
    _lower(resource.RLIMIT_AS, _address_space() + limits.memory_mb * 1024**2)


def _lower(kind: int, wanted: int) -> None:
    _, hard = resource.getrlimit(kind)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (most, most))


def _address_space() -> int:
    """Tell how much is mapped already: what was loaded is not the call's own."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 512 * 1024**2
    return pages * resource.getpagesize()


def adopt_orphans() -> None:
    """Become the parent of whatever processes below this one lose theirs."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def list_orphans(known: set[int]) -> set[int]:
    """List the children of this process that it did not make itself."""
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError, ValueError):
            found |= {int(pid) for pid in path.read_text(encoding="ascii").split()}
    return found - known


def silence() -> None:
    """Read nothing and print nowhere: what a plugin prints may hold anything."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)  # found once by the stem process, for all its children


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        _libc().prctl(option, value, 0, 0, 0)
