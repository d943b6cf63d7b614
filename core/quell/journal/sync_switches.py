"""What was decided once about keeping copies in step: accepted sources, modes, and a stop."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.ids import SourceId, TenantId, WorkerId
from quell.journal import audit
from quell.journal.prepared import its
from quell.journal.switches import HALTED, READ
from quell.journal.tables import switches
from quell.journal.upsert import insert_missing, insert_or_update
from quell.journal.writer import Question, Transaction, Write

__all__ = [
    "SettledMode",
    "accept_source",
    "accepted_at",
    "followed",
    "is_stopped",
    "modes",
    "put_followed",
    "put_mode",
    "settle_mode",
    "settled",
]

ACCEPTED = "accepted"
MODE = "mode"
#: which mode and rules the planned copies of a mirror follow
FOLLOWED = "followed"


class SettledMode(msgspec.Struct, frozen=True, kw_only=True):
    """The mode that holds for a mirror where the settings leave it open."""

    mode: str
    #: `auto`, or the person who switched it
    by: str
    reason: str
    at: datetime


def accept_source(
    tenant_id: TenantId, source_id: SourceId, by: str, *, chain: WorkerId | None = None
) -> Write[bool]:
    """Put on record that a person accepted a source. False when it was accepted before.

    Copies of incidents that begin from now on need no acceptance of their own. `chain` is the
    audit trail that says so.
    """
    name = f"{ACCEPTED}/{source_id}"
    accepted = _set_once(tenant_id, name, {"on": True}, by, "first contact")

    def apply(tx: Transaction) -> bool:
        is_new = accepted.apply(tx)
        if is_new and chain is not None:
            body = {"source": source_id}
            audit.append(tx, tenant_id, chain, actor=by, action="sync.accept", body=body)
        return is_new

    return Write(apply, locks=accepted.locks)


def accepted_at(tx: Transaction, tenant_id: TenantId, source_id: SourceId) -> datetime | None:
    """Tell since when a source is accepted."""
    row = _row(tx, tenant_id, f"{ACCEPTED}/{source_id}")
    return row.at if row is not None else None


def settle_mode(tenant_id: TenantId, source_id: SourceId, mode: str, reason: str) -> Write[bool]:
    """Settle what `auto` means for a mirror, for good. False when it was settled before."""
    return _set_once(tenant_id, f"{MODE}/{source_id}", {"mode": mode}, "auto", reason)


def modes(tenant_id: TenantId) -> Question[dict[SourceId, tuple[str, str]]]:
    """Give the settled modes by mirror, each with the reason for it."""

    question = settled(tenant_id)
    return lambda tx: {name: (one.mode, one.reason) for name, one in question(tx).items()}


def settled(tenant_id: TenantId) -> Question[dict[SourceId, SettledMode]]:
    """Give the settled modes by mirror, each with who settled it, why and when."""

    def ask(tx: Transaction) -> dict[SourceId, SettledMode]:
        statement = sa.select(switches).where(
            switches.c.tenant_id == tenant_id, switches.c.name.startswith(f"{MODE}/")
        )
        return {
            SourceId(row.name.removeprefix(f"{MODE}/")): SettledMode(
                mode=row.value["mode"], by=row.by, reason=row.reason, at=row.at
            )
            for row in tx.execute(statement)
        }

    return ask


def put_mode(
    tenant_id: TenantId, source_id: SourceId, mode: str, *, by: str, chain: WorkerId
) -> Write[None]:
    """Switch a mirror to another mode, as a person asked for."""

    def apply(tx: Transaction) -> None:
        row = _values(tx, tenant_id, f"{MODE}/{source_id}", {"mode": mode}, by, f"{by} chose it")
        insert_or_update(tx, switches, row)
        body = {"source": source_id, "mode": mode}
        audit.append(tx, tenant_id, chain, actor=by, action="sync.mode", body=body)

    return Write(apply, locks=("switch", tenant_id, f"{MODE}/{source_id}"))


def followed(tenant_id: TenantId, source_id: SourceId) -> Question[dict[str, Any]]:
    """Give the mode and the rules that the planned copies of a mirror follow; empty before any."""

    def ask(tx: Transaction) -> dict[str, Any]:
        row = _row(tx, tenant_id, f"{FOLLOWED}/{source_id}")
        return dict(row.value) if row is not None else {}

    return ask


def put_followed(
    tenant_id: TenantId, source_id: SourceId, value: dict[str, str | None]
) -> Write[None]:
    """Put on record that the planned copies of a mirror follow a mode and rules."""

    def apply(tx: Transaction) -> None:
        name = f"{FOLLOWED}/{source_id}"
        insert_or_update(tx, switches, _values(tx, tenant_id, name, value, "sync", "planned"))

    return Write(apply, locks=("switch", tenant_id, f"{FOLLOWED}/{source_id}"))


def is_stopped(tenant_id: TenantId) -> Question[bool]:
    """Tell whether a halt covers writes to incidents; a plain one stops only what contains."""

    def ask(tx: Transaction) -> bool:
        row = _row(tx, tenant_id, HALTED)
        value: dict[str, Any] = row.value if row is not None else {}
        return bool(value.get("on")) and "sync" in value.get("covers", ())

    return ask


def _row(tx: Transaction, tenant_id: TenantId, name: str) -> sa.Row[Any] | None:
    return tx.execute(READ, its(tenant_id=tenant_id, name=name)).first()


def _set_once(
    tenant_id: TenantId, name: str, value: dict[str, Any], by: str, reason: str
) -> Write[bool]:
    def apply(tx: Transaction) -> bool:
        row = _values(tx, tenant_id, name, value, by, reason)
        return insert_missing(tx, switches, [row]) == 1

    return Write(apply, locks=("switch", tenant_id, name))


def _values(
    tx: Transaction, tenant_id: TenantId, name: str, value: Any, by: str, reason: str
) -> dict[str, Any]:
    row = {"tenant_id": tenant_id, "name": name, "value": value}
    return {**row, "by": by, "reason": reason, "at": tx.now}
