"""A simulated tenant in a process of its own: filled, changed and asked over a pipe."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

from quell_microsoft.simulator.server import RunningSimulator, SimulatorOptions, start
from quell_microsoft.simulator.state.clock import SimulatedClock, stamp
from quell_microsoft.simulator.state.ledger import Ledger
from quell_microsoft.stamps import parse_stamp

__all__ = ["SimulatedTenant", "alert_of", "simulated_tenant"]

#: what an analyst sets an incident to, by turns
SEVERITIES = ("low", "medium", "high")
#: limits are switched off: what is measured is quell, not Microsoft's patience
KNOBS = {"throttle_scale": 0}
#: seconds that the process may take to answer
PATIENCE = 120.0
#: what the title of an incident begins with once it was changed
STIRRED = "changed "


@dataclass(frozen=True, slots=True)
class SimulatedTenant:
    """The tenant as the measurement sees it: only through its pipe, and its HTTPS address."""

    _pipe: Connection

    def ready(self) -> dict[str, Any]:
        """Give what a client needs to know."""
        return dict(self._ask("ready"))

    def fill(self, count: int) -> None:
        """Let so many incidents come about, each with one alert."""
        self._ask("fill", count)

    def fill_past(self, count: int) -> None:
        """Let so many incidents have come about, one a second until now, each with one alert."""
        self._ask("fill past", count)

    def change(self, turn: int) -> str:
        """Let an analyst change the severity of every incident; gives the new one."""
        return str(self._ask("change", turn))

    def change_last(self, severity: str) -> None:
        """Let an analyst change the severity of the newest incident."""
        self._ask("change last", severity)

    def calls(self) -> dict[str, int]:
        """Give how many calls were answered so far, by method and route."""
        return dict(self._ask("calls"))

    def copies(self, severity: str) -> int:
        """Count the copies in Sentinel that have a severity."""
        return int(self._ask("copies", severity))

    def said(self) -> int:
        """Count the comments on incidents in Defender."""
        return int(self._ask("said"))

    def stir(self, rate: float) -> None:
        """Begin to change every incident once, so many a second."""
        self._ask("stir", rate)

    def equip(self, count: int) -> None:
        """Let the devices be onboarded that the alerts of the first so many incidents name."""
        self._ask("equip", count)

    def orders(self) -> dict[str, float]:
        """Give when each order for a machine arrived, in seconds by the host's clock, by machine."""
        return dict(self._ask("orders"))

    def lags(self) -> list[float]:
        """Give, for each change that has come across, the seconds from the change to its copy."""
        return list(self._ask("lags"))

    def _ask(self, what: str, argument: Any = None) -> Any:
        self._pipe.send((what, argument))
        if not self._pipe.poll(PATIENCE):
            raise TimeoutError(f"the simulated tenant did not answer {what}")
        return self._pipe.recv()


@contextlib.contextmanager
def simulated_tenant() -> Generator[SimulatedTenant, None, None]:
    """Run a tenant until the block ends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield SimulatedTenant(ours)
    finally:
        ours.close()
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()


class TimedLedger(Ledger):
    """The tenant's ledger; it notes orders for machines more finely than a stamp can say it."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.orders: dict[str, float] = {}

    def record(self, **write: Any) -> None:
        """Write one accepted write down, and when an order for a machine was taken."""
        super().record(**write)
        _, machines, order = str(write["path"]).partition("/machines/")
        if machines:
            self.orders[order.partition("/")[0]] = time.time()


def _serve(pipe: Connection) -> None:
    os.environ.pop("REQUESTS_CA_BUNDLE", None)
    with start(SimulatorOptions(config=KNOBS)) as simulator, contextlib.suppress(EOFError):
        simulator.tenant.ledger = TimedLedger(simulator.tenant.clock)
        while True:
            what, argument = pipe.recv()
            pipe.send(_answer(simulator, what, argument))


def _answer(simulator: RunningSimulator, what: str, argument: Any) -> Any:
    match what:
        case "ready":
            return simulator.ready()
        case "fill":
            return _fill(simulator, argument)
        case "fill past":
            return _fill(simulator, argument, every=1.0)
        case "change":
            return _change(simulator, argument)
        case "change last":
            queue = simulator.tenant.queue
            last = list(queue.incidents.values())[-1]
            return queue.change_incident(last, {"severity": argument}, "analyst@contoso.example")
        case "said":
            found = list(simulator.tenant.queue.incidents.values())
            return sum(len(one.body.get("comments") or ()) for one in found)
        case "stir":
            return threading.Thread(target=_stir, args=(simulator, argument), daemon=True).start()
        case "lags":
            return _lags(simulator)
        case "equip":
            return _equip(simulator, argument)
        case "orders":
            ledger = simulator.tenant.ledger
            return ledger.orders if isinstance(ledger, TimedLedger) else {}
        case "calls":
            return _calls(simulator)
        case _:
            return _copies(simulator, argument)


def _equip(simulator: RunningSimulator, count: int) -> None:
    for number in range(count):
        name = f"ws-{number:05}.contoso.example"
        simulator.tenant.devices.add_machine({"id": f"{number:040x}", "computerDnsName": name})


def _fill(simulator: RunningSimulator, count: int, *, every: float | None = None) -> None:
    queue, now = simulator.tenant.queue, simulator.tenant.clock.shown()
    first = len(queue.incidents)
    for number in range(first, first + count):
        fields = {"displayName": f"Beacon on ws-{number:05}", "severity": "medium"}
        if every is not None:
            happened = stamp(now - timedelta(seconds=(first + count - number) * every))
            fields |= {"createdDateTime": happened, "lastUpdateDateTime": happened}
        body = queue.new_incident(fields).body
        queue.add_alert(alert_of(body["id"], number, body["createdDateTime"]), body["id"])


def alert_of(incident_id: str, number: int, stamp: str) -> dict[str, Any]:
    """Make the JSON of an alert about one device."""
    return {
        "@odata.type": "#microsoft.graph.security.alert",
        "id": f"da{number:08}",
        "incidentId": incident_id,
        "title": "Command and control beacon",
        "severity": "medium",
        "status": "new",
        "serviceSource": "microsoftDefenderForEndpoint",
        "category": "CommandAndControl",
        "createdDateTime": stamp,
        "lastUpdateDateTime": stamp,
        "evidence": [
            {
                "@odata.type": "#microsoft.graph.security.deviceEvidence",
                "createdDateTime": stamp,
                "verdict": "suspicious",
                "remediationStatus": "none",
                "roles": ["compromised"],
                "mdeDeviceId": f"{number:040x}",
                "deviceDnsName": f"ws-{number:05}.contoso.example",
            }
        ],
    }


def _change(simulator: RunningSimulator, turn: int) -> str:
    queue = simulator.tenant.queue
    severity = SEVERITIES[turn % len(SEVERITIES)]
    for incident in queue.incidents.values():
        queue.change_incident(incident, {"severity": severity}, "analyst@contoso.example")
    return severity


def _stir(simulator: RunningSimulator, rate: float) -> None:
    queue = simulator.tenant.queue
    begin = time.monotonic()
    for number, incident in enumerate(list(queue.incidents.values())):
        time.sleep(max(0.0, begin + number / rate - time.monotonic()))
        title = {"displayName": f"{STIRRED}{incident.body['id']}"}
        queue.change_incident(incident, title, "analyst@contoso.example")


def _lags(simulator: RunningSimulator) -> list[float]:
    tenant = simulator.tenant
    changed = {
        str(one.body["displayName"]): parse_stamp(str(one.body["lastUpdateDateTime"]))
        for one in list(tenant.queue.incidents.values())
    }
    copies = [one.properties for one in list(tenant.workspaces[0].incidents.values())]
    found = [
        (changed[str(one["title"])], parse_stamp(str(one["lastModifiedTimeUtc"])))
        for one in copies
        if str(one["title"]).startswith(STIRRED)
    ]
    return [(after - before).total_seconds() for before, after in found if before and after]


def _calls(simulator: RunningSimulator) -> dict[str, int]:
    found: dict[str, int] = {}
    for (method, route, _), count in list(simulator.tenant.ledger.calls.items()):
        name = f"{method} {_short(route)}"
        found[name] = found.get(name, 0) + count
    return found


def _short(route: str) -> str:
    """Name the product, and leave out what all its routes have in common."""
    for product, begin in (
        ("defender", "/v1.0/security"),
        ("sentinel", "Microsoft.SecurityInsights"),
    ):
        if begin in route:
            return product + route.partition(begin)[2]
    return route


def _copies(simulator: RunningSimulator, severity: str) -> int:
    workspace = simulator.tenant.workspaces[0]
    return sum(
        str(one.properties.get("severity")).lower() == severity
        for one in workspace.incidents.values()
    )
