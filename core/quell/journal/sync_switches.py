"""What was decided once about keeping copies in step: accepted sources, modes, and a stop."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from quell.domain.ids import SourceId, TenantId
from quell.journal.switches import HALTED
from quell.journal.tables import switches
from quell.journal.upsert import insert_missing
from quell.journal.writer import Question, Transaction, Write

__all__ = ["accept_source", "accepted_at", "is_stopped", "modes", "settle_mode"]

ACCEPTED = "accepted"
MODE = "mode"


def accept_source(tenant_id: TenantId, source_id: SourceId, by: str) -> Write[bool]:
    """Put on record that a person accepted a source. False when it was accepted before.

    Copies of incidents that begin from now on need no acceptance of their own.
    """
    return _set_once(tenant_id, f"{ACCEPTED}/{source_id}", {"on": True}, by, "first contact")


def accepted_at(tx: Transaction, tenant_id: TenantId, source_id: SourceId) -> datetime | None:
    """Tell since when a source is accepted."""
    row = _row(tx, tenant_id, f"{ACCEPTED}/{source_id}")
    return row.at if row is not None else None


def settle_mode(tenant_id: TenantId, source_id: SourceId, mode: str, reason: str) -> Write[bool]:
    """Settle what `auto` means for a mirror, for good. False when it was settled before."""
    return _set_once(tenant_id, f"{MODE}/{source_id}", {"mode": mode}, "auto", reason)


def modes(tenant_id: TenantId) -> Question[dict[SourceId, tuple[str, str]]]:
    """Give the settled modes by mirror, each with the reason for it."""

    def ask(tx: Transaction) -> dict[SourceId, tuple[str, str]]:
        statement = sa.select(switches).where(
            switches.c.tenant_id == tenant_id, switches.c.name.startswith(f"{MODE}/")
        )
        return {
            SourceId(row.name.removeprefix(f"{MODE}/")): (row.value["mode"], row.reason)
            for row in tx.execute(statement)
        }

    return ask


def is_stopped(tenant_id: TenantId) -> Question[bool]:
    """Tell whether a halt covers writes to incidents; a plain one stops only what contains."""

    def ask(tx: Transaction) -> bool:
        row = _row(tx, tenant_id, HALTED)
        value: dict[str, Any] = row.value if row is not None else {}
        return bool(value.get("on")) and "sync" in value.get("covers", ())

    return ask


def _row(tx: Transaction, tenant_id: TenantId, name: str) -> sa.Row[Any] | None:
    statement = sa.select(switches).where(
        switches.c.tenant_id == tenant_id, switches.c.name == name
    )
    return tx.execute(statement).first()


def _set_once(
    tenant_id: TenantId, name: str, value: dict[str, Any], by: str, reason: str
) -> Write[bool]:
    def apply(tx: Transaction) -> bool:
        row = {"tenant_id": tenant_id, "name": name, "value": value, "by": by}
        return insert_missing(tx, switches, [{**row, "reason": reason, "at": tx.now}]) == 1

    return Write(apply, locks=("switch", tenant_id, name))
