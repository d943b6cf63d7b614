"""Defender for Endpoint: machines, and machine actions that take their time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from quell_microsoft.simulator.config import SimulatorConfig
from quell_microsoft.simulator.wire import Json, new_guid

from .clock import SimulatedClock, stamp

FINAL = frozenset({"Succeeded", "Failed", "TimeOut", "Cancelled"})


@dataclass(slots=True, kw_only=True)
class Machine:
    """A device: what the API shows, and what only the tenant knows."""

    body: Json
    is_online: bool = True
    is_isolated: bool = False
    is_restricted: bool = False
    #: how many requests were accepted, and how many took effect, by action type
    accepted: Counter[str] = field(default_factory=Counter[str])
    completed: Counter[str] = field(default_factory=Counter[str])


class Devices:
    """All machines and machine actions of the tenant."""

    def __init__(self, clock: SimulatedClock, config: SimulatorConfig) -> None:
        self.clock = clock
        self.config = config
        self.machines: dict[str, Machine] = {}
        self.actions: dict[str, Json] = {}
        self._waiting: set[str] = set()

    def add_machine(self, fields: Json) -> Machine:
        """Put a machine in; `id` and `computerDnsName` are needed, the rest has defaults."""
        now = stamp(self.clock.shown())
        body: Json = {
            "id": "",
            "computerDnsName": "",
            "firstSeen": "2026-01-12T08:30:00Z",
            "lastSeen": now,
            "osPlatform": "Windows11",
            "osVersion": None,
            "osProcessor": "x64",
            "version": "24H2",
            "lastIpAddress": "10.20.0.10",
            "lastExternalIpAddress": "203.0.113.10",
            "osBuild": 26100,
            "osArchitecture": "64-bit",
            "healthStatus": "Active",
            "deviceValue": "Normal",
            "rbacGroupId": 75,
            "rbacGroupName": "Workstations",
            "riskScore": "Medium",
            "exposureLevel": "Medium",
            "isAadJoined": True,
            "aadDeviceId": new_guid(),
            "machineTags": [],
            "onboardingStatus": "Onboarded",
            "defenderAvStatus": "Updated",
            "ipAddresses": [],
        }
        machine = Machine(body={**body, **fields})
        self.machines[machine.body["id"]] = machine
        return machine

    def find_open(self, machine_id: str, kind: str) -> Json | None:
        """Find an action of that type on that machine that is not final."""
        return next(
            (
                action
                for action in self.actions.values()
                if action["machineId"] == machine_id
                and action["type"] == kind
                and action["status"] not in FINAL
            ),
            None,
        )

    def start(
        self,
        machine: Machine,
        kind: str,
        *,
        requestor: str,
        comment: str,
        scope: str | None = None,
        sha1: str | None = None,
    ) -> Json:
        """Accept an action; it runs on tenant time and waits for a device that is offline."""
        now = stamp(self.clock.shown())
        action: Json = {
            "id": new_guid(),
            "type": kind,
            "title": None,
            "requestor": requestor,
            "requestorComment": comment,
            "status": "Pending",
            "machineId": machine.body["id"],
            "computerDnsName": machine.body["computerDnsName"],
            "creationDateTimeUtc": now,
            "lastUpdateDateTimeUtc": now,
            "cancellationRequestor": None,
            "cancellationComment": None,
            "cancellationDateTimeUtc": None,
            "errorHResult": 0,
            "scope": scope,
            "externalId": None,
            "requestSource": "PublicApi",
            "relatedFileInfo": _file_info(sha1),
            "commands": [],
            "troubleshootInfo": None,
        }
        self.actions[action["id"]] = action
        machine.accepted[kind] += 1
        self._plan(machine, action)
        return action

    def cancel(self, action: Json, *, requestor: str, comment: str) -> None:
        """Cancel an action that is not final."""
        action["cancellationRequestor"] = requestor
        action["cancellationComment"] = comment
        action["cancellationDateTimeUtc"] = stamp(self.clock.shown())
        self._move(action, "Cancelled")

    def set_online(self, machine: Machine, is_online: bool) -> None:
        """Connect or disconnect a device; what waited for it starts when it is back."""
        machine.is_online = is_online
        machine.body["healthStatus"] = "Active" if is_online else "Inactive"
        if is_online:
            machine.body["lastSeen"] = stamp(self.clock.shown())
            for action in self.actions.values():
                if action["id"] in self._waiting and action["machineId"] == machine.body["id"]:
                    self._plan(machine, action)

    def _plan(self, machine: Machine, action: Json) -> None:
        self._waiting.discard(action["id"])
        self.clock.after(self.config.action_pending_seconds, lambda: self._begin(machine, action))
        self.clock.after(self.config.action_timeout_seconds, lambda: self._time_out(action))

    def _begin(self, machine: Machine, action: Json) -> None:
        if action["status"] != "Pending":
            return
        if not machine.is_online:
            self._waiting.add(action["id"])
            return
        self._move(action, "InProgress")
        self.clock.after(self.config.action_running_seconds, lambda: self._end(machine, action))

    def _end(self, machine: Machine, action: Json) -> None:
        if action["status"] != "InProgress":
            return
        result = self.config.action_results.get(action["type"], "Succeeded")
        self._move(action, result)
        if result == "Succeeded":
            self._take_effect(machine, action["type"])
        else:
            action["errorHResult"] = -2147024891

    def _take_effect(self, machine: Machine, kind: str) -> None:
        machine.completed[kind] += 1
        if kind in ("Isolate", "Unisolate"):
            machine.is_isolated = kind == "Isolate"
        if kind in ("RestrictCodeExecution", "UnrestrictCodeExecution"):
            machine.is_restricted = kind == "RestrictCodeExecution"

    def _time_out(self, action: Json) -> None:
        if action["status"] == "Pending":
            self._waiting.discard(action["id"])
            self._move(action, "TimeOut")

    def _move(self, action: Json, status: str) -> None:
        action["status"] = status
        action["lastUpdateDateTimeUtc"] = stamp(self.clock.shown())


def _file_info(sha1: str | None) -> Json | None:
    return None if sha1 is None else {"fileIdentifier": sha1, "fileIdentifierType": "Sha1"}
