"""The demo's stage: a simulated tenant and a worker, each a process of its own, in a folder that goes.

The worker is started the way an operator starts it, so that killing it is the real thing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import tomli_w

from quell.errors import StateError

__all__ = ["TENANT", "Stage"]

#: the demo's tenant, as its configuration names it
TENANT = "demo"
#: seconds that a process may take to come up or to stop
PATIENCE = 30.0


class Stage:
    """Owns the demo's folder and processes. Leaving it ends and removes them all."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="quell-demo-"))
        self.config = self.folder / "quell.toml"
        self._simulator: subprocess.Popen[bytes] | None = None
        self._worker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Stage:
        # told to stop, the demo still ends its processes and removes its folder
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _leave)
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._worker, self._simulator):
            if process is not None:
                _end(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_simulator(self, *, name: str, time_scale: float, load: Path | None) -> dict[str, Any]:
        """Start the simulated tenant and wait until it answers; gives its ready file."""
        ready_file = self.folder / "ready.json"
        source = ["--load", str(load)] if load is not None else ["--story", "--queued"]
        self._simulator = self._spawn(
            "simulator",
            ["simulate", name, "--ready-file", str(ready_file)],
            ["--time-scale", str(time_scale), *source],
        )
        _wait_for(ready_file.exists, self._simulator, "The simulator", self._log("simulator"))
        ready: dict[str, Any] = json.loads(ready_file.read_text())
        return ready

    def write_settings(
        self, sections: Mapping[str, Any], own: Mapping[str, Any], *, time_scale: float
    ) -> None:
        """Write the configuration that worker and demo share; secrets stay in the demo's folder."""
        # the tenant's limits are so many calls in so much of its own, faster time
        tenant = {"simulated": True, "quota_scale": time_scale, **sections}
        content = {"state_dir": str(self.folder / "state"), **own, "tenant": {TENANT: tenant}}
        self.config.touch(mode=0o600)
        self.config.write_text(tomli_w.dumps(content))

    def start_worker(self) -> None:
        """Start a worker on the demo's configuration."""
        self._worker = self._spawn("worker", ["--config", str(self.config), "up"])

    def kill_worker(self) -> None:
        """Kill the worker as a crash would: at once, with no word."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait(PATIENCE)

    def stop_worker(self) -> None:
        """Stop the worker in good order."""
        if self._worker is not None:
            _end(self._worker)
            self._worker = None

    def check_worker(self) -> None:
        """Raise StateError when the worker has died by itself."""
        if self._worker is not None and self._worker.poll() is not None:
            raise _died("The worker", self._log("worker"))

    def _spawn(self, name: str, *arguments: list[str]) -> subprocess.Popen[bytes]:
        # a session of its own: an interrupt at the terminal reaches the demo, which then ends it
        with self._log(name).open("ab") as log:
            return subprocess.Popen(  # noqa: S603 # our own program, and arguments of our own
                [sys.executable, "-m", "quell", *chain.from_iterable(arguments)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=_environment(),
            )

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _environment() -> dict[str, str]:
    # settings of the person who runs the demo must not leak into it
    return {name: value for name, value in os.environ.items() if not name.startswith("QUELL_")}


def _wait_for(is_there: Any, process: subprocess.Popen[bytes], who: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_there():
        if process.poll() is not None or time.monotonic() > deadline:
            raise _died(who, log)
        time.sleep(0.05)


def _died(who: str, log: Path) -> StateError:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    last = lines[-1] if lines else "it said nothing"
    return StateError(
        what=who, problem=f"did not come up or died: {last}", remedy="Try `quell doctor`."
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
