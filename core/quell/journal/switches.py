"""The brake: whether a tenant is armed, and whether it is halted."""

from __future__ import annotations

from datetime import datetime

import msgspec
import sqlalchemy as sa

from quell.domain.ids import TenantId, WorkerId
from quell.domain.offers import Notice
from quell.journal import audit, notices
from quell.journal.prepared import its, same
from quell.journal.tables import switches
from quell.journal.upsert import insert_missing, insert_or_update
from quell.journal.writer import Question, Transaction, Write

__all__ = [
    "ARMED",
    "HALTED",
    "Switch",
    "arm",
    "arm_once",
    "both",
    "disarm",
    "find",
    "halt",
    "is_armed",
    "is_halted",
    "is_on",
    "resume",
]

ARMED = "armed"
HALTED = "halted"
READ = sa.select(switches).where(same(switches.c.tenant_id, switches.c.name))
READ_BOTH = sa.select(switches.c.name, switches.c.value).where(
    same(switches.c.tenant_id),
    switches.c.name.in_([sa.literal(ARMED), sa.literal(HALTED)]),
)


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """How a switch stands, and who put it there."""

    name: str
    is_on: bool
    by: str
    reason: str
    at: datetime


def arm(tenant_id: TenantId, *, by: str, reason: str, chain: WorkerId) -> Write[None]:
    """Let effects above `annotate` happen in this tenant."""
    return _turn(tenant_id, ARMED, True, by=by, reason=reason, chain=chain)


def disarm(tenant_id: TenantId, *, by: str, reason: str, chain: WorkerId) -> Write[None]:
    """Stop effects above `annotate` in this tenant, as a tenant begins."""
    return _turn(tenant_id, ARMED, False, by=by, reason=reason, chain=chain)


def halt(tenant_id: TenantId, *, by: str, reason: str, chain: WorkerId) -> Write[None]:
    """Stop contain, deny and remediate at once; taking back goes on."""
    return _turn(tenant_id, HALTED, True, by=by, reason=reason, chain=chain)


def resume(tenant_id: TenantId, *, by: str, reason: str, chain: WorkerId) -> Write[None]:
    """End a halt."""
    return _turn(tenant_id, HALTED, False, by=by, reason=reason, chain=chain)


def arm_once(tenant_id: TenantId, *, by: str, reason: str) -> Write[bool]:
    """Arm a tenant whose switch nobody has touched yet: simulated tenants start so.

    False when somebody has: what a person decided stays.
    """

    def apply(tx: Transaction) -> bool:
        return insert_missing(tx, switches, [_row(tx, tenant_id, ARMED, True, by, reason)]) == 1

    return Write(apply, locks=("switch", tenant_id, ARMED))


def find(tenant_id: TenantId, name: str) -> Question[Switch | None]:
    """Read a switch; None when nobody has touched it."""

    def ask(tx: Transaction) -> Switch | None:
        row = tx.execute(READ, its(tenant_id=tenant_id, name=name)).first()
        if row is None:
            return None
        return Switch(
            name=row.name,
            is_on=_read(name, row.value),
            by=row.by,
            reason=row.reason,
            at=row.at,
        )

    return ask


def both(tx: Transaction, tenant_id: TenantId) -> tuple[bool, bool]:
    """Tell, inside a transaction, whether a tenant is armed, and whether it is halted."""
    kept: tuple[bool, bool] | None = tx.kept(switches, tenant_id)
    if kept is None:
        rows = tx.execute(READ_BOTH, its(tenant_id=tenant_id))
        found = {row.name: _read(row.name, row.value) for row in rows}
        kept = found.get(ARMED, False), found.get(HALTED, False)
        # for the other writes of the group: nobody waits for anything between them
        tx.keep(switches, tenant_id, kept)
    return kept


def is_on(tx: Transaction, tenant_id: TenantId, name: str) -> bool:
    """Tell, inside a transaction, how a switch stands; off when nobody has touched it."""
    found = find(tenant_id, name)(tx)
    return found is not None and found.is_on


def is_armed(tenant_id: TenantId) -> Question[bool]:
    """Tell whether effects may happen in a tenant."""
    return lambda tx: is_on(tx, tenant_id, ARMED)


def is_halted(tenant_id: TenantId) -> Question[bool]:
    """Tell whether a tenant is halted."""
    return lambda tx: is_on(tx, tenant_id, HALTED)


def _turn(
    tenant_id: TenantId, name: str, value: bool, *, by: str, reason: str, chain: WorkerId
) -> Write[None]:
    def apply(tx: Transaction) -> None:
        insert_or_update(tx, switches, _row(tx, tenant_id, name, value, by, reason))
        action = f"{name}.{'on' if value else 'off'}"
        audit.append(tx, tenant_id, chain, actor=by, action=action, body={"reason": reason})
        if name == HALTED:
            summary = f"{'Halted' if value else 'Resumed'} by {by}: {reason}"
            notices.add(tx, Notice(kind="halt", tenant_id=tenant_id, summary=summary))

    return Write(apply, locks=("switch", tenant_id, name))


def _read(name: str, value: object) -> bool:
    # what cannot be read stops effects: it is not armed, and it is halted
    return value != {"on": False} if name == HALTED else value == {"on": True}


def _row(
    tx: Transaction, tenant_id: TenantId, name: str, value: bool, by: str, reason: str
) -> dict[str, object]:
    return {
        "tenant_id": tenant_id,
        "name": name,
        "value": {"on": value},
        "by": by,
        "reason": reason,
        "at": tx.now,
    }
