"""The fleet under test: real Celery workers, each with a line of its own to every dependency."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from tests.chaos.proxy import Proxies, Proxy
from tests.fleet_stage import ROOT, TENANT, spawn

from quell_microsoft.simulated import settings_from

__all__ = ["Lines", "Worker", "configuration", "install_release"]

#: the last version that was released: workers of it go on beside today's during an upgrade
RELEASE = ROOT / "tests" / "releases" / "quell-0.1.0-py3-none-any.whl"
ENOUGH = 1_000_000
PATIENCE = 40.0


@dataclass(frozen=True, slots=True)
class Lines:
    """One worker's lines to what it depends on."""

    postgres: Proxy
    redis: Proxy
    tenant: Proxy

    @classmethod
    def open(cls, proxies: Proxies, postgres: int, redis: int, tenant: int) -> Lines:
        """Open a line to each of these ports."""
        return cls(proxies.open(postgres), proxies.open(redis), proxies.open(tenant))


def configuration(
    state_dir: Path, ready: Mapping[str, Any], *, journal: str, redis_url: str, tenant_port: int
) -> str:
    """Write the settings of a process: everything is allowed, and no limit stands in the way."""
    sections = settings_from(ready)
    sections["microsoft"] |= {"base_url": f"https://localhost:{tenant_port}"}
    content = {
        "state_dir": str(state_dir),
        "journal": journal,
        "redis_url": redis_url,
        "logging": {"format": "json"},
        "sync": {"mode": "replica"},
        "guard": {
            "auto": ["device.isolate"],
            "caps": {"per_run": ENOUGH, "per_hour": ENOUGH, "in_flight": ENOUGH},
        },
        "tenant": {TENANT: {"simulated": True, "quota_scale": 1000.0, **sections}},
    }
    return tomli_w.dumps(content)


def install_release(folder: Path) -> Path:
    """Install the released version beside today's; gives what to put on PYTHONPATH."""
    place = folder / "released"
    if not place.exists():
        offline = ["--no-deps", "--no-index", "--no-compile", "--quiet", "--target", str(place)]
        command = [sys.executable, "-m", "pip", "install", *offline, str(RELEASE)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    return place


class Worker:
    """One place in the fleet: a worker there can be killed, stopped and started again."""

    def __init__(self, name: str, config: Path, lines: Lines, released: Path | None) -> None:
        self.name = name
        self.lines = lines
        self.log = config.with_name(f"{name}.log")
        self._config = config
        self._released = released
        self._process: subprocess.Popen[bytes] | None = None
        self.is_stopped = False

    @property
    def pid(self) -> int:
        """Give the process's number, by which the journal's list of workers names it."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Tell whether there is a process that has not ended by itself."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the worker as documented, today's or the released one."""
        more = {"QUELL_CONFIG": str(self._config)}
        if self._released is not None:
            more["PYTHONPATH"] = str(self._released)
        arguments = ["-m", "celery", "-A", "quell.fleet.app:app", "worker", "-n", f"{self.name}@%h"]
        self._process = spawn(self.log, arguments, cwd=self._config.parent, **more)
        self.is_stopped = False

    def says_it_is_up(self) -> bool:
        """Tell whether its log says that it works."""
        return self.log.exists() and "worker_up" in self.log.read_text(errors="replace")

    def upgrade(self) -> None:
        """Be of today's version from the next start on: the released one opens no newer journal."""
        self._released = None

    def kill(self) -> None:
        """Kill it, at once and with no word."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)

    def stop(self) -> None:
        """Stop it where it stands, as a host that hangs would."""
        os.killpg(self.pid, signal.SIGSTOP)
        self.is_stopped = True

    def go_on(self) -> None:
        """Let it go on from there."""
        if self.is_alive:
            os.killpg(self.pid, signal.SIGCONT)
        self.is_stopped = False

    def end(self) -> int:
        """Stop it in good order; gives its exit code."""
        assert self._process is not None
        process, self._process = self._process, None
        process.terminate()
        return process.wait(PATIENCE)
