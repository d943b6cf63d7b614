"""What isolating and releasing share: refusals, a vendor order's course, and how it is cancelled."""

from __future__ import annotations

from quell import Failed, Operation, Outcome, Pending, Succeeded, Target, Unknown
from quell.errors import ConnectorError, RequestRefused
from quell_defender.machines import ActionStatus, MachineAction, MachineActionKind, MachineClient
from quell_defender.outcomes import outcome_of_poll, outcome_of_write
from quell_device.isolation import operation

__all__ = ["LOOK_AT", "accepted", "cancel_order", "machine_id", "poll_order", "refused"]

LOOK_AT = "The device's page in the Defender portal, Action center: is there an order with our key?"

_ALREADY_ACTIVE = "ActiveRequestAlreadyExists"
#: the machine cannot do it, now and later
_UNABLE = {
    "OsPlatformNotSupported": "The product cannot isolate this operating system: cut the device "
    "off at the network.",
    "ClientVersionNotSupported": "Update the sensor on the device, or cut it off at the network.",
}


def machine_id(target: Target) -> str:
    """Give the machine id that resolving found; empty when it did not."""
    return target.alias("mde") or ""


def accepted(order: MachineAction, kind: MachineActionKind, key: str) -> Pending | Unknown:
    """Say what an accepted order means: ours, or one that was open already and came back."""
    if order.kind != kind:
        reason = f"The product answered with an order of another kind ({order.kind}, {order.id})"
        return Unknown(reason=reason, look_at=LOOK_AT)
    return Pending(operation=operation(order, adopted=key not in order.keys))


async def refused(
    error: RequestRefused, machine: str, kind: MachineActionKind, key: str, machines: MachineClient
) -> Outcome:
    """Say what a refusal means; an order of the same kind that is open already is adopted."""
    if error.vendor_code == _ALREADY_ACTIVE:
        return await _adopt(machine, kind, key, machines)
    if error.vendor_code in _UNABLE:
        return Failed(reason=error.message, remedy=_UNABLE[error.vendor_code])
    return outcome_of_write(error, look_at=LOOK_AT)


async def _adopt(
    machine: str, kind: MachineActionKind, key: str, machines: MachineClient
) -> Outcome:
    # the refusal is certain; only which order stands in the way is asked here
    try:
        orders = await machines.list_actions(machine)
    except ConnectorError as error:
        return Failed(reason=f"Another order is open: {error.message}", retryable=True)
    same = next((order for order in orders if order.kind == kind and order.is_open), None)
    if same is not None:
        return Pending(operation=operation(same, adopted=key not in same.keys))
    other = next((order for order in orders if order.is_open), None)
    name = f"{other.kind} {other.id}" if other else "one that has just ended"
    return Failed(reason=f"Another order stands in the way: {name}", retryable=True, retry_after=30)


async def poll_order(asked: Operation, machines: MachineClient) -> Outcome:
    """Ask where an order stands."""
    try:
        order = await machines.get_action(asked.id)
    except ConnectorError as error:
        return outcome_of_poll(error, asked, look_at=LOOK_AT)
    return _course(order, asked)


def _course(order: MachineAction, asked: Operation) -> Outcome:
    name = f"{order.kind} {order.id}"
    if order.is_open:
        return Pending(operation=asked)
    match order.status:
        case ActionStatus.SUCCEEDED:
            caveat = f"ordered by {order.requestor or 'somebody else'}" if asked.adopted else ""
            return Succeeded(proof=order.id, caveat=caveat)
        case ActionStatus.FAILED:
            return Failed(
                reason=f"{name} failed on the device (error {order.error or 'not given'})"
            )
        case ActionStatus.TIMED_OUT:
            remedy = "Bring the device online and order it again."
            return Failed(reason=f"{name}: the device did not answer in time", remedy=remedy)
        case ActionStatus.CANCELLED:
            return Failed(reason=f"{name} was cancelled by {order.cancelled_by or 'somebody'}")
        case _:
            reason = f"{name} has a status that quell does not know: {order.status!r}"
            return Unknown(reason=reason, look_at=LOOK_AT)


async def cancel_order(asked: Operation, machines: MachineClient) -> None:
    """Cancel an order of ours at the vendor, unless it is final; an adopted one is not ours."""
    if asked.adopted:
        return
    await machines.cancel(asked.id, "quell: no longer wanted, or open for too long")
