"""A simulated tenant and a whole quell beside it, with everything that can go wrong at hand.

The tenant answers over real HTTPS. quell is either a runtime of this process, whose journal's clock
can be moved on, or the program `quell` in a process of its own, as an operator starts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import tomli_w

from quell.cli.activation import activate_file
from quell.domain.run import RunState
from quell.domain.simulator import TenantFacts
from quell.journal import Journal, incident_writes, incidents, runs
from quell.journal.runs import RunRow
from quell.plugins import Lock, load_plugins
from quell.runtime import PassReport, Runtime, TenantRuntime
from quell.settings import load_settings, lock_path
from quell.sync import BUILTIN_ACTIONS
from quell_microsoft.simulated import settings_from
from quell_microsoft.simulator.config import changed
from quell_microsoft.simulator.control import read_facts
from quell_microsoft.simulator.server import RunningSimulator
from quell_microsoft.simulator.state.faults import FaultRule

#: the tenant's name in the configuration
TENANT = "t"
#: seconds that anything may take on a busy machine
PATIENCE = 60.0

CONTAIN = """\
quell: 1
playbook: contain
trigger: {incident: [created, alerts_added]}
when: incident.severity >= severity.low
steps:
  - id: isolate
    do: device.isolate
    to: incident.devices
"""


class MovedClock:
    """The wall clock, moved on at will: what quell postpones comes due at once."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        """Tell the time."""
        return datetime.now(UTC) + self.ahead

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.ahead += timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Shown:
    """What one invocation of `quell` left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Read what it printed."""
        return json.loads(self.out)

    def check_is_clear(self, code: int, *words: str) -> None:
        """Say that it ended in one line of what is wrong, one of what to do, and nothing raw."""
        remedies = [line for line in self.err.splitlines() if line.startswith("  do:  ")]
        assert len(remedies) == 1, self.err
        assert len(remedies[0]) > 20, self.err
        self.check_is_one_line(code, *words)

    def check_is_one_line(self, code: int, *words: str) -> None:
        """Say that it ended in one line of what is wrong, and nothing raw."""
        assert self.code == code, self
        errors = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, self.err
        for word in words:
            assert word in self.err, self.err
        assert "Traceback" not in self.err + self.out
        assert "quell broke" not in self.err


class Ground:
    """One tenant, one configuration, and as many quells as a test wants."""

    def __init__(self, simulator: RunningSimulator, folder: Path) -> None:
        self.simulator = simulator
        self.tenant = simulator.tenant
        self.folder = folder
        self.config = folder / "quell.toml"
        self.clock = MovedClock()
        self.sections: dict[str, Any] = settings_from(simulator.ready())
        # repeated tries only make tests of faults slow; what is tested is what comes after them
        self.sections["microsoft"] |= {"attempts": 1, "read_timeout": 10.0}
        self.own: dict[str, Any] = {
            "state_dir": str(folder / "state"),
            "sync": {"mode": "replica"},
            "logging": {"level": "info", "format": "json"},
        }
        self.write_settings()

    def write_settings(self) -> None:
        """Write the configuration as `sections` and `own` have it now."""
        tenant = {"simulated": True, "quota_scale": 1000.0, **self.sections}
        self.config.touch(mode=0o600)
        self.config.write_text(tomli_w.dumps({**self.own, "tenant": {TENANT: tenant}}))

    # -- the tenant ----------------------------------------------------------------------------

    def detect(
        self,
        title: str,
        *,
        alerts: int = 1,
        evidence: Sequence[Mapping[str, Any]] = (),
        **fields: Any,
    ) -> Any:
        """Let Defender find something; gives the incident as the tenant keeps it."""
        queue = self.tenant.queue
        incident = queue.new_incident({"displayName": title, "severity": "high", **fields})
        for number in range(alerts):
            alert_id = f"da{self.tenant.guid()}"
            incident_id = incident.body["id"]
            now = incident.body["createdDateTime"]
            body = {
                "id": alert_id,
                "providerAlertId": alert_id[2:],
                "incidentId": incident_id,
                "status": "new",
                "severity": "high",
                "serviceSource": "microsoftDefenderForEndpoint",
                "detectionSource": "microsoftDefenderForEndpoint",
                "title": f"Alert {number}",
                "createdDateTime": now,
                "lastUpdateDateTime": now,
                "comments": [],
                "evidence": [dict(one) for one in evidence],
            }
            queue.add_alert(body, incident_id)
        return incident

    def fail(self, **rule: Any) -> None:
        """Order a fault beside those that are in force."""
        self.tenant.faults.replace([*self.tenant.faults.rules, FaultRule(**rule)])

    def mend(self) -> None:
        """Take all faults away."""
        self.tenant.faults.replace([])

    def turn(self, **knobs: Any) -> None:
        """Turn knobs of the tenant."""
        self.tenant.configure(changed(self.tenant.config, knobs))

    @property
    def copies(self) -> list[Any]:
        """List the tenant's Sentinel incidents, all of which are copies."""
        return list(self.tenant.workspaces[0].incidents.values())

    def copy_of(self, title: str) -> Any:
        """Give the one copy with a title."""
        (found,) = [copy for copy in self.copies if copy.properties["title"] == title]
        return found

    def facts(self) -> TenantFacts:
        """Read what the tenant says of itself."""
        import httpx

        ready = self.simulator.ready()
        with httpx.Client(
            base_url=f"{ready['base_url']}/_simulator",
            verify=self.simulator.ssl_context,
            headers={"X-Simulator-Token": ready["control_token"]},
        ) as client:
            return read_facts(client.get("/facts").json(), client.get("/story").json())

    # -- quell ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def runtime(self) -> Generator[Runtime]:
        """Open what the configuration says, as `open_runtime` does, with a clock to move."""
        registry = load_plugins(Lock.read(lock_path(self.config))).with_actions(BUILTIN_ACTIONS)
        settings = load_settings(self.config, {}, registry.sections)
        runtime = Runtime(settings, registry, Journal.open(settings.journal_url, clock=self.clock))
        try:
            yield runtime
        finally:
            runtime.close()

    def quell(self, *arguments: str, timeout: float = PATIENCE, **environ: str) -> Shown:
        """Run the program to its end."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Shown(done.returncode, done.stdout, done.stderr)

    @contextlib.contextmanager
    def up(self, name: str = "up") -> Generator[subprocess.Popen[bytes]]:
        """Run `quell up` beside the test; its output is in the file `NAME.log`."""
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                self.command("up"),
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            end(process)

    def command(self, *arguments: str) -> list[str]:
        """Give the command line of an invocation."""
        return [sys.executable, "-m", "quell", "--config", str(self.config), *arguments]

    def log(self, name: str = "up") -> Path:
        """Give the file with what a `quell up` said."""
        return self.folder / f"{name}.log"

    @property
    def environ(self) -> dict[str, str]:
        """Give the environment of a process of quell."""
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
        return {**kept, "HOME": str(self.folder), "PYTHONPATH": str(self.folder / "site")}

    # -- both ----------------------------------------------------------------------------------

    def pass_once(self, runtime: Runtime) -> PassReport:
        """Let an hour pass for what was postponed, then make one pass."""
        self.clock.ahead += timedelta(hours=1)
        self.tenant.clock.advance(30)
        return runtime.run(runtime.tenant(TENANT).pass_once())

    def settle(self, runtime: Runtime, passes: int = 12) -> None:
        """Make passes until nothing is left to do."""
        report = None
        for _ in range(passes):
            report = self.pass_once(runtime)
            if not report.problems and not report.changed and not _has_writes(runtime):
                return
        raise AssertionError(f"it does not come to rest: {report}")

    def check_nothing_is_lost(self, runtime: Runtime) -> None:
        """Say that every incident has one copy that agrees with it, read afresh from both."""
        self.settle(runtime)
        comparison = runtime.run(runtime.tenant(TENANT).sync.compare())
        assert comparison.disagreements == ()
        detected = [one for one in self.tenant.queue.incidents.values() if one.released]
        assert comparison.pairs == len(detected) == len(self.copies)
        assert runtime.journal.ask_now(incidents.unmatched(runtime.tenant(TENANT).id)) == []


def _has_writes(runtime: Runtime) -> bool:
    return runtime.journal.ask_now(incident_writes.has_open(runtime.tenant(TENANT).id))


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process of ours in good order, or at all."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(holds: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until something holds; it has to."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.1)


def activate(runtime: Runtime, folder: Path, text: str) -> None:
    """Write a playbook and make it active."""
    name = re.search(r"playbook: (\w+)", text)
    assert name is not None
    path = folder / f"{name[1]}.yml"
    path.write_text(text, encoding="utf-8")
    activate_file(runtime, TENANT, path, by="tests")


async def all_runs(runtime: Runtime) -> list[RunRow]:
    """List all runs."""
    return await runtime.journal.ask(runs.listed(runtime.tenant(TENANT).id, limit=1000))


async def drive_until(
    runtime: Runtime, holds: Callable[[TenantRuntime], Any], what: str = "the runs end"
) -> None:
    """Do every duty, as `quell up` does, until something holds."""
    stop = asyncio.Event()
    working = asyncio.create_task(runtime.up(stop))
    try:
        deadline = time.monotonic() + PATIENCE
        while not await holds(runtime.tenant(TENANT)):
            assert not working.done(), f"it stopped by itself: {working}"
            assert time.monotonic() < deadline, f"waited in vain: {what}"
            await asyncio.sleep(0.1)
    finally:
        stop.set()
        await working


def has_ended(runtime: Runtime, count: int) -> Callable[[TenantRuntime], Any]:
    """Ask whether so many runs have come to an end, or to a person."""

    async def holds(_: TenantRuntime) -> bool:
        found = await all_runs(runtime)
        return len(found) >= count and all(
            run.state.is_final or run.state is RunState.PARKED for run in found
        )

    return holds


def device_evidence(machine_id: str, name: str = "ws.corp.example") -> dict[str, Any]:
    """Name a device as an alert's evidence does."""
    return {
        "@odata.type": "#microsoft.graph.security.deviceEvidence",
        "mdeDeviceId": machine_id,
        "deviceDnsName": name,
        "roles": ["compromised"],
        "verdict": "malicious",
        "remediationStatus": "none",
        "createdDateTime": "2026-01-01T00:00:00Z",
    }
