"""Keys of the journal's own: made once, at first use, and the same for every worker."""

from __future__ import annotations

import secrets

import sqlalchemy as sa

from quell.domain.ids import TenantId
from quell.journal.tables import switches
from quell.journal.upsert import insert_missing
from quell.journal.writer import Transaction, Write

__all__ = ["comment_key"]

NAME = "key/comments"


def comment_key(tenant_id: TenantId) -> Write[bytes]:
    """Give the key that marks our own comments, making it if there is none yet."""

    def apply(tx: Transaction) -> bytes:
        row = {"tenant_id": tenant_id, "name": NAME, "by": "quell", "reason": "first use"}
        insert_missing(tx, switches, [{**row, "value": secrets.token_hex(32), "at": tx.now}])
        mine = sa.and_(switches.c.tenant_id == tenant_id, switches.c.name == NAME)
        return bytes.fromhex(tx.execute(sa.select(switches.c.value).where(mine)).scalar_one())

    return Write(apply, locks=("key", tenant_id))
