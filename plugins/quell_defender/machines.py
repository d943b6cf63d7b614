"""Machines of Defender for Endpoint and what is done to them: a typed client of its machine API.

https://learn.microsoft.com/defender-endpoint/api/machineaction
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from quell import ConnectorContext
from quell.domain.ports import Clock
from quell.errors import AnswerNotFound, BadAnswer, RequestRefused
from quell_defender.marks import clean, keys_in
from quell_microsoft import EndpointClient, odata_string, quote
from quell_microsoft.lenient import mapping, texts
from quell_microsoft.records import Record, moment, rows, word

__all__ = ["ActionStatus", "Machine", "MachineAction", "MachineActionKind", "MachineClient"]

_MACHINES = "/api/machines"
_ACTIONS = "/api/machineactions"
_READ = "Machine.Read.All"
_ISOLATE = "Machine.Isolate"
#: Assumed: the limit of a comment is not documented; this length is known to pass
COMMENT_LIMIT = 1000


class MachineActionKind(StrEnum):
    """The kinds of machine action that quell asks for, as the product spells them."""

    ISOLATE = "Isolate"
    UNISOLATE = "Unisolate"


class ActionStatus(StrEnum):
    """Where a machine action stands, as the product spells it."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    TIMED_OUT = "TimeOut"
    CANCELLED = "Cancelled"


_OPEN = frozenset({ActionStatus.PENDING, ActionStatus.IN_PROGRESS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine record. One host can have several: one for each time it was onboarded."""

    id: str
    dns_name: str
    os: str
    os_version: str
    onboarding: str
    health: str
    entra_id: str
    last_seen: str
    tags: tuple[str, ...]

    @property
    def is_onboarded(self) -> bool:
        """Tell whether the sensor takes orders; older answers leave the field out."""
        return self.onboarding in {"", "Onboarded"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineAction:
    """One order to one machine, with who gave it and where it stands."""

    id: str
    kind: str
    status: str
    machine_id: str
    requestor: str
    comment: str
    cancelled_by: str
    error: str
    created: datetime
    updated: datetime

    @property
    def is_open(self) -> bool:
        """Tell whether the machine may still carry it out."""
        return self.status in _OPEN

    @property
    def keys(self) -> tuple[str, ...]:
        """List the keys of ours in its comment."""
        return keys_in(self.comment)


class MachineClient:
    """Reads machines and their actions, isolates and releases them, for one tenant and identity."""

    def __init__(self, api: EndpointClient, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    @classmethod
    def connect(cls, context: ConnectorContext) -> MachineClient:
        """Build the client for the identity that the context is for."""
        return cls(context.connector(EndpointClient), context.clock)

    def now(self) -> datetime:
        """Tell the time by which answers of this client are dated."""
        return self._clock.now()

    async def get(self, machine_id: str) -> Machine:
        """Read one machine. Raises AnswerNotFound, also for one not seen for a long time."""
        path = f"{_MACHINES}/{quote(machine_id)}"
        body = await self._api.get(path, operation="machines", permission=_READ)
        return _machine(mapping(body))

    async def list_by_entra_id(self, entra_id: str) -> tuple[Machine, ...]:
        """List the records of the machine with that directory device id."""
        return await self._list(f"aadDeviceId eq {odata_string(entra_id)}")

    async def list_by_dns_name(self, dns_name: str) -> tuple[Machine, ...]:
        """List the records whose full name is exactly that, in any case."""
        found = await self._list(f"computerDnsName eq {odata_string(dns_name.lower())}")
        return tuple(machine for machine in found if machine.dns_name.lower() == dns_name.lower())

    async def list_by_host_name(self, host_name: str) -> tuple[Machine, ...]:
        """List the records whose name is that, in whatever domain."""
        wanted = host_name.lower()
        found = await self._list(f"startswith(computerDnsName, {odata_string(wanted)})")
        return tuple(
            machine for machine in found if machine.dns_name.lower().partition(".")[0] == wanted
        )

    async def list_actions(self, machine_id: str) -> tuple[MachineAction, ...]:
        """List what was ordered for a machine, newest first.

        The product promises no order, so all pages are read and sorted here.
        """
        condition = f"machineId eq {odata_string(machine_id)}"
        found = [_action(row) async for row in self._rows(_ACTIONS, condition)]
        mine = (order for order in found if order.machine_id.lower() == machine_id.lower())
        return tuple(sorted(mine, key=lambda order: order.created, reverse=True))

    async def get_action(self, action_id: str) -> MachineAction:
        """Read one order. Raises AnswerNotFound."""
        path = f"{_ACTIONS}/{quote(action_id)}"
        body = await self._api.get(path, operation="machine_actions", permission=_READ)
        return _action(mapping(body))

    async def isolate(self, machine_id: str, comment: str, *, selective: bool) -> MachineAction:
        """Order the machine's isolation. Never repeat it before looking: each call is an order.

        https://learn.microsoft.com/defender-endpoint/api/isolate-machine
        """
        isolation = "Selective" if selective else "Full"
        return await self._order(machine_id, "isolate", comment, {"IsolationType": isolation})

    async def release(self, machine_id: str, comment: str) -> MachineAction:
        """Order the machine's release. Never repeat it before looking: each call is an order.

        https://learn.microsoft.com/defender-endpoint/api/unisolate-machine
        """
        return await self._order(machine_id, "unisolate", comment, {})

    async def cancel(self, action_id: str, comment: str) -> None:
        """Cancel an order unless it is final or gone already; safe to repeat.

        https://learn.microsoft.com/defender-endpoint/api/cancel-machine-action
        """
        try:
            await self._api.post(
                f"{_ACTIONS}/{quote(action_id)}/cancel",
                {"Comment": clean(comment, COMMENT_LIMIT)},
                operation="machine_actions",
                permission=_ISOLATE,
                is_repeatable=True,
            )
        except (AnswerNotFound, RequestRefused):
            return

    async def _order(
        self, machine_id: str, verb: str, comment: str, more: dict[str, str]
    ) -> MachineAction:
        path = f"{_MACHINES}/{quote(machine_id)}/{verb}"
        body = {"Comment": clean(comment, COMMENT_LIMIT), **more}
        answer = await self._api.post(
            path,
            body,
            operation="machine_actions",
            permission=_ISOLATE,
            for_containment=True,
        )
        order = _action(mapping(answer.body))
        if not order.id:
            raise BadAnswer(endpoint=path, status=answer.status, problem="has no action id")
        return order

    async def _list(self, condition: str) -> tuple[Machine, ...]:
        try:
            found = [_machine(row) async for row in self._rows(_MACHINES, condition)]
        except AnswerNotFound:
            # the product answers 404 instead of an empty list when no machine was seen lately
            return ()
        return tuple(found)

    async def _rows(self, path: str, condition: str) -> AsyncIterator[Record]:
        operation = "machines" if path == _MACHINES else "machine_actions"
        query = {"$filter": condition}
        async for page in self._api.pages(path, query, operation=operation, permission=_READ):
            for row in rows(page):
                yield row


def _machine(row: Record) -> Machine:
    return Machine(
        id=word(row, "id"),
        dns_name=word(row, "computerDnsName"),
        os=word(row, "osPlatform"),
        os_version=word(row, "version"),
        onboarding=word(row, "onboardingStatus"),
        health=word(row, "healthStatus"),
        entra_id=word(row, "aadDeviceId"),
        last_seen=word(row, "lastSeen"),
        tags=texts(row.get("machineTags")),
    )


def _action(row: Record) -> MachineAction:
    error = row.get("errorHResult")
    return MachineAction(
        id=word(row, "id"),
        kind=word(row, "type"),
        status=word(row, "status"),
        machine_id=word(row, "machineId"),
        requestor=word(row, "requestor"),
        comment=word(row, "requestorComment"),
        cancelled_by=word(row, "cancellationRequestor"),
        error=str(error) if error else "",
        created=moment(row, "creationDateTimeUtc"),
        # the documentation's own examples spell it differently from the live product
        updated=moment(row, "lastUpdateDateTimeUtc", "lastUpdateTimeUtc"),
    )
