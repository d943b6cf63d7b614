"""device.isolate: cut a device off from everything but its sensor's service."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from quell import (
    Call,
    Device,
    Effect,
    Failed,
    Observation,
    Operation,
    Outcome,
    Target,
    action,
    cannot_tell,
)
from quell.errors import ConnectorError, RequestRefused
from quell_defender.machines import COMMENT_LIMIT, MachineActionKind, MachineClient
from quell_defender.marks import sign
from quell_defender.outcomes import outcome_of_write
from quell_device.isolation import isolated, read_isolation
from quell_device.orders import LOOK_AT, accepted, cancel_order, machine_id, poll_order, refused

__all__ = ["IsolateParams", "IsolationMode", "isolate"]


class IsolationMode(StrEnum):
    """How much of the network is cut off."""

    FULL = "full"
    #: mail, chat and calls of Microsoft 365 stay; Windows only
    SELECTIVE = "selective"


class IsolateParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How to isolate."""

    mode: IsolationMode = IsolationMode.FULL


@action(
    "device.isolate",
    system="defender",
    target=Device,
    effect=Effect.CONTAIN,
    params=IsolateParams,
    permissions=("Machine.Isolate", "Machine.Read.All"),
    identity="device",
    reversal="device.release",
    makes="device.isolated",
    docs="https://learn.microsoft.com/defender-endpoint/api/isolate-machine",
)
async def isolate(call: Call[IsolateParams], machines: MachineClient) -> Outcome:
    """Isolate a device from the network; its sensor stays in touch."""
    machine = machine_id(call.target)
    if not machine:
        return Failed(reason="The device has no machine id")
    comment = sign(call.note, call.key, limit=COMMENT_LIMIT)
    is_selective = call.params.mode is IsolationMode.SELECTIVE
    try:
        order = await machines.isolate(machine, comment, selective=is_selective)
    except RequestRefused as error:
        return await refused(error, machine, MachineActionKind.ISOLATE, call.key, machines)
    except ConnectorError as error:
        return outcome_of_write(error, look_at=LOOK_AT)
    return accepted(order, MachineActionKind.ISOLATE, call.key)


@isolate.observe
async def observe_isolated(target: Target, machines: MachineClient) -> Observation:
    """Read from the machine's orders whether it is isolated."""
    machine = machine_id(target)
    if not machine:
        return cannot_tell("The device has no machine id", as_of=machines.now())
    orders = await machines.list_actions(machine)
    return isolated(read_isolation(orders), machines.now())


@isolate.poll
async def poll_isolation(operation: Operation, machines: MachineClient) -> Outcome:
    """Ask where the order stands."""
    return await poll_order(operation, machines)


@isolate.cancel
async def cancel_isolation(operation: Operation, machines: MachineClient) -> None:
    """Cancel the order at the vendor."""
    await cancel_order(operation, machines)
