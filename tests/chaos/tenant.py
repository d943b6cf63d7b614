"""A simulated tenant in a process of its own: `python -m tests.chaos.tenant READY DEVICES INCIDENTS`.

Half of what could go wrong is a second order for what is ordered already: this tenant takes it,
and counts it.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from quell_microsoft.simulator.server import RunningSimulator, SimulatorOptions, start

__all__ = ["device_id", "incident_device_id", "main"]

#: limits do not matter here; a second order is taken and counted, where it would be refused
KNOBS = {
    "throttle_scale": 0,
    "duplicate_action": "accept",
    "action_pending_seconds": 0.2,
    "action_running_seconds": 0.3,
}


def device_id(number: int) -> str:
    """Give the id of a device that is to be isolated by order."""
    return f"{number:040x}"


def incident_device_id(number: int) -> str:
    """Give the id of the device that an incident is about."""
    return f"f{number:039x}"


def main() -> None:
    """Serve until told to stop."""
    ready_file, devices, incidents = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopped.set())
    with start(SimulatorOptions(config=KNOBS)) as running:
        for number in range(devices):
            _add_device(running, device_id(number), f"ws-{number}")
        for number in range(incidents):
            _add_device(running, incident_device_id(number), f"inc-{number}")
            _add_incident(running, number)
        part = ready_file.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps(running.ready()))
        part.replace(ready_file)
        while not stopped.wait(1) and running.is_alive:
            pass


def _add_device(running: RunningSimulator, machine_id: str, name: str) -> None:
    running.tenant.devices.add_machine({"id": machine_id, "computerDnsName": f"{name}.example"})


def _add_incident(running: RunningSimulator, number: int) -> None:
    queue = running.tenant.queue
    fields = {"displayName": f"Incident {number}", "severity": "high"}
    incident = queue.new_incident(fields, released=False)
    now = incident.body["createdDateTime"]
    alert: dict[str, Any] = {
        "id": f"da{number:036x}",
        "providerAlertId": f"{number:036x}",
        "incidentId": incident.body["id"],
        "status": "new",
        "severity": "high",
        "serviceSource": "microsoftDefenderForEndpoint",
        "detectionSource": "microsoftDefenderForEndpoint",
        "title": f"Alert {number}",
        "createdDateTime": now,
        "lastUpdateDateTime": now,
        "comments": [],
        "evidence": [_evidence(number, now)],
    }
    queue.add_alert(alert, incident.body["id"], released=False)


def _evidence(number: int, at: str) -> dict[str, Any]:
    return {
        "@odata.type": "#microsoft.graph.security.deviceEvidence",
        "mdeDeviceId": incident_device_id(number),
        "deviceDnsName": f"inc-{number}.example",
        "roles": ["compromised"],
        "verdict": "malicious",
        "remediationStatus": "none",
        "createdDateTime": at,
    }


if __name__ == "__main__":
    main()
