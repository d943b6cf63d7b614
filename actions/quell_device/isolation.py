"""Whether a machine is isolated, from what was ordered: pure, because the product has no such field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from quell import Observation, Operation, cannot_tell, not_so, so
from quell_defender.machines import ActionStatus, MachineAction, MachineActionKind

__all__ = ["Isolation", "isolated", "operation", "read_isolation", "released"]

#: the last order of a kind that was carried out, and the one that is open
_Wanted = tuple[MachineAction | None, MachineAction | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """The last order of each kind that was carried out, and those that still may be."""

    last_isolate: MachineAction | None
    last_release: MachineAction | None
    open_isolate: MachineAction | None
    open_release: MachineAction | None

    @property
    def is_isolated(self) -> bool:
        """Tell what the orders carried out so far come to."""
        if self.last_isolate is None:
            return False
        return self.last_release is None or self.last_release.updated < self.last_isolate.updated

    @property
    def facts(self) -> dict[str, Any]:
        """Give the before-image."""
        last = self.last_isolate if self.is_isolated else self.last_release
        image: dict[str, Any] = {"isolated": self.is_isolated}
        if last is not None:
            image |= {"action_id": last.id, "since": last.updated.isoformat()}
        return image


def read_isolation(actions: Sequence[MachineAction]) -> Isolation:
    """Read a machine's orders, given newest first.

    What counts is when an order was carried out: an isolation that hung can end after a
    release that was ordered later.
    """
    return Isolation(
        last_isolate=_last_done(actions, MachineActionKind.ISOLATE),
        last_release=_last_done(actions, MachineActionKind.UNISOLATE),
        open_isolate=_newest_open(actions, MachineActionKind.ISOLATE),
        open_release=_newest_open(actions, MachineActionKind.UNISOLATE),
    )


def operation(order: MachineAction, *, adopted: bool) -> Operation:
    """Give the vendor operation that stands for an order; its id is all that a poll needs."""
    return Operation(id=order.id, adopted=adopted)


def isolated(state: Isolation, as_of: datetime) -> Observation:
    """Say whether the machine is isolated, and stays so."""
    wanted, pulling = (state.last_isolate, state.open_isolate), state.open_release
    if pulling is not None:
        return _pulled("release", pulling, wanted, state, as_of)
    maker = state.last_isolate if state.is_isolated else None
    seen = _by(maker or state.open_isolate, wanted, state, as_of)
    if maker is not None:
        return so(**seen)
    # an isolation that was taken back since did happen: its keys are still among them
    return not_so(**seen, reason="" if state.open_isolate else _taken_back(state.last_release))


def released(state: Isolation, as_of: datetime) -> Observation:
    """Say whether the machine is free, and stays so."""
    wanted, pulling = (state.last_release, state.open_release), state.open_isolate
    if pulling is not None and state.open_release is not None:
        return _pulled("isolation", pulling, wanted, state, as_of)
    maker = state.last_release if not state.is_isolated else None
    seen = _by(maker or state.open_release, wanted, state, as_of)
    if pulling is not None:
        # releasing cancels it: what is not yet so need not stop anybody
        reason = f"An isolation by {pulling.requestor or 'somebody'} is still open"
        return not_so(**seen, reason=reason)
    return not_so(**seen) if state.is_isolated else so(**seen)


def _pulled(
    what: str, order: MachineAction, wanted: _Wanted, state: Isolation, as_of: datetime
) -> Observation:
    reason = f"A {what} by {order.requestor or 'somebody'} is still open (action {order.id})"
    return cannot_tell(reason, **_by(order, wanted, state, as_of))


def _by(
    order: MachineAction | None, wanted: _Wanted, state: Isolation, as_of: datetime
) -> dict[str, Any]:
    """Give what all observations share; `wanted` are the last and the open order of the kind."""
    keys = [key for each in wanted if each is not None for key in each.keys]
    return {
        "as_of": as_of,
        "made_by": order.requestor if order is not None else "",
        "keys": tuple(dict.fromkeys(keys)),
        "open_operation": _open(wanted[1]),
        "facts": state.facts,
    }


def _open(order: MachineAction | None) -> Operation | None:
    # without a key of ours the order is somebody else's
    return operation(order, adopted=not order.keys) if order is not None else None


def _taken_back(release: MachineAction | None) -> str:
    return f"Released by {release.requestor}" if release is not None and release.requestor else ""


def _last_done(actions: Sequence[MachineAction], kind: MachineActionKind) -> MachineAction | None:
    done = [
        order for order in actions if order.kind == kind and order.status == ActionStatus.SUCCEEDED
    ]
    return max(done, key=lambda order: order.updated, default=None)


def _newest_open(actions: Sequence[MachineAction], kind: MachineActionKind) -> MachineAction | None:
    return next((order for order in actions if order.kind == kind and order.is_open), None)
