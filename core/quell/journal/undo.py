"""Taking a hold away, and telling whether the state may go with it."""

from __future__ import annotations

from quell.domain.hold import HoldOwner
from quell.domain.ids import TenantId, WorkerId
from quell.journal import audit, holds
from quell.journal.writer import Transaction, Write

__all__ = ["let_go"]


def let_go(
    tenant_id: TenantId,
    entity_id: str,
    state: str,
    *,
    owner: HoldOwner,
    owner_id: str,
    is_already: bool,
    by: str,
    chain: WorkerId,
) -> Write[str]:
    """Drop an owner's hold unless it is the last one on a state that we made.

    Gives why the state is kept: others want it, or it was there before us. Empty when it is
    to be taken back: the hold then ends together with the state.
    """

    def apply(tx: Transaction) -> str:
        others = [
            hold
            for hold in holds.on(tx, tenant_id, entity_id, state)
            if hold.owner is not HoldOwner.SUPPRESS
            and (hold.owner, hold.owner_id) != (owner, owner_id)
        ]
        if not others and not is_already:
            return ""
        holds.drop(tx, tenant_id, entity_id, state, owner=owner, owner_id=owner_id)
        names = ", ".join(f"{one.owner.value} {one.owner_id}".strip() for one in others)
        reason = f"still wanted by {names}" if others else "it was so before"
        body = {"entity": entity_id, "state": state, "owner": owner_id, "kept": reason}
        audit.append(tx, tenant_id, chain, actor=by, action="hold.drop", body=body)
        return reason

    return Write(apply, locks=("hold", tenant_id, entity_id))
