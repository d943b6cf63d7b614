"""device.release: connect an isolated device again."""

from __future__ import annotations

from quell import (
    Call,
    Device,
    Effect,
    Failed,
    NoParams,
    Observation,
    Operation,
    Outcome,
    Succeeded,
    Target,
    action,
    cannot_tell,
)
from quell.errors import ConnectorError, RequestRefused
from quell_defender.machines import COMMENT_LIMIT, MachineActionKind, MachineClient
from quell_defender.marks import sign
from quell_defender.outcomes import outcome_of_read, outcome_of_write
from quell_device.isolation import Isolation, read_isolation, released
from quell_device.orders import LOOK_AT, accepted, cancel_order, machine_id, poll_order, refused

__all__ = ["release"]


@action(
    "device.release",
    system="defender",
    target=Device,
    effect=Effect.RESTORE,
    permissions=("Machine.Isolate", "Machine.Read.All"),
    identity="device",
    reversal="device.isolate",
    ends="device.isolated",
    docs="https://learn.microsoft.com/defender-endpoint/api/unisolate-machine",
)
async def release(call: Call[NoParams], machines: MachineClient) -> Outcome:
    """Release a device from isolation; an isolation that is still open is cancelled first."""
    machine = machine_id(call.target)
    if not machine:
        return Failed(reason="The device has no machine id")
    try:
        cancelled, state = await _withdraw(machine, call, machines)
    except ConnectorError as error:
        return outcome_of_read(error)
    if state.open_isolate is not None:
        # released now, the device would be isolated again when that order ends
        reason = f"Isolation {state.open_isolate.id} is being carried out and cannot be cancelled"
        return Failed(reason=reason, retryable=True, retry_after=30)
    if not state.is_isolated and cancelled:
        return Succeeded(proof=cancelled)
    return await _send(machine, call, machines)


async def _withdraw(
    machine: str, call: Call[NoParams], machines: MachineClient
) -> tuple[str, Isolation]:
    """Cancel the open isolations and look again: what the orders say then is the truth."""
    orders = await machines.list_actions(machine)
    pending = [
        order for order in orders if order.kind == MachineActionKind.ISOLATE and order.is_open
    ]
    if not pending:
        return "", read_isolation(orders)
    for order in pending:
        await machines.cancel(order.id, sign(call.note, call.key, limit=COMMENT_LIMIT))
    return pending[0].id, read_isolation(await machines.list_actions(machine))


async def _send(machine: str, call: Call[NoParams], machines: MachineClient) -> Outcome:
    if machines.now() >= call.deadline:
        return Failed(reason="The deadline passed before the release was sent", retryable=True)
    try:
        order = await machines.release(machine, sign(call.note, call.key, limit=COMMENT_LIMIT))
    except RequestRefused as error:
        return await refused(error, machine, MachineActionKind.UNISOLATE, call.key, machines)
    except ConnectorError as error:
        return outcome_of_write(error, look_at=LOOK_AT)
    return accepted(order, MachineActionKind.UNISOLATE, call.key)


@release.observe
async def observe_released(target: Target, machines: MachineClient) -> Observation:
    """Read from the machine's orders whether it is free."""
    machine = machine_id(target)
    if not machine:
        return cannot_tell("The device has no machine id", as_of=machines.now())
    orders = await machines.list_actions(machine)
    return released(read_isolation(orders), machines.now())


@release.poll
async def poll_release(operation: Operation, machines: MachineClient) -> Outcome:
    """Ask where the order stands."""
    return await poll_order(operation, machines)


@release.cancel
async def cancel_release(operation: Operation, machines: MachineClient) -> None:
    """Cancel the order at the vendor."""
    await cancel_order(operation, machines)
