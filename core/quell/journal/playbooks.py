"""Playbooks that were stored by digest, and which version of each may start runs."""

from __future__ import annotations

from datetime import datetime

import msgspec
import sqlalchemy as sa

from quell.domain.ids import TenantId, WorkerId
from quell.errors import NotFoundError
from quell.journal import audit
from quell.journal.prepared import its, same
from quell.journal.tables import activations, playbooks
from quell.journal.upsert import insert_missing, insert_or_update
from quell.journal.writer import Question, Transaction, Write

__all__ = [
    "StoredPlaybook",
    "activate",
    "active",
    "deactivate",
    "find_source",
    "listed",
    "source",
    "store",
]


LISTED = (
    sa.select(
        playbooks,
        sa.and_(activations.c.is_active, activations.c.digest == playbooks.c.digest).label(
            "is_active"
        ),
        activations.c.by,
        activations.c.at.label("activated_at"),
    )
    .select_from(
        playbooks.outerjoin(
            activations,
            sa.and_(
                activations.c.tenant_id == playbooks.c.tenant_id,
                activations.c.playbook_id == playbooks.c.id,
            ),
        )
    )
    .where(same(playbooks.c.tenant_id))
    .order_by(playbooks.c.id, playbooks.c.at.desc())
)


class StoredPlaybook(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a playbook, and whether it is the one that starts runs."""

    id: str
    digest: str
    source: str
    #: the file it came from
    name: str
    at: datetime
    is_active: bool = False
    activated_by: str = ""
    activated_at: datetime | None = None


def store(
    tenant_id: TenantId, playbook_id: str, digest: str, source: str, *, name: str
) -> Write[bool]:
    """Keep a checked source. False when it is there already."""

    def apply(tx: Transaction) -> bool:
        row = {
            "tenant_id": tenant_id,
            "id": playbook_id,
            "digest": digest,
            "source": source,
            "name": name,
            "at": tx.now,
        }
        return insert_missing(tx, playbooks, [row]) == 1

    return Write(apply, locks=("playbook", tenant_id, playbook_id))


def activate(
    tenant_id: TenantId, playbook_id: str, digest: str, *, by: str, chain: WorkerId
) -> Write[None]:
    """Let a stored version start runs, in place of the one before. Raises NotFoundError."""

    def apply(tx: Transaction) -> None:
        if find_source(tenant_id, playbook_id, digest)(tx) is None:
            raise NotFoundError(what="playbook", name=f"{playbook_id} {digest[:12]}")
        _set(tx, tenant_id, playbook_id, digest=digest, is_active=True, by=by)
        body = {"playbook": playbook_id, "digest": digest}
        audit.append(tx, tenant_id, chain, actor=by, action="playbook.activate", body=body)

    return Write(apply, locks=("playbook", tenant_id, playbook_id))


def deactivate(tenant_id: TenantId, playbook_id: str, *, by: str, chain: WorkerId) -> Write[bool]:
    """Let it start nothing any more. Runs in hand go on. False when it was not active."""

    def apply(tx: Transaction) -> bool:
        mine = sa.and_(
            activations.c.tenant_id == tenant_id,
            activations.c.playbook_id == playbook_id,
            activations.c.is_active,
        )
        changed = tx.changed(
            sa.update(activations).where(mine).values(is_active=False, by=by, at=tx.now)
        )
        if changed:
            body = {"playbook": playbook_id}
            audit.append(tx, tenant_id, chain, actor=by, action="playbook.deactivate", body=body)
        return changed

    return Write(apply, locks=("playbook", tenant_id, playbook_id))


def find_source(tenant_id: TenantId, playbook_id: str, digest: str) -> Question[str | None]:
    """Read a stored source by its digest, if it is there."""
    statement = sa.select(playbooks.c.source).where(
        playbooks.c.tenant_id == tenant_id,
        playbooks.c.id == playbook_id,
        playbooks.c.digest == digest,
    )
    return lambda tx: tx.execute(statement).scalar_one_or_none()


def source(tenant_id: TenantId, playbook_id: str, digest: str) -> Question[str]:
    """Read a stored source by its digest. Raises NotFoundError."""

    def ask(tx: Transaction) -> str:
        found = find_source(tenant_id, playbook_id, digest)(tx)
        if found is None:
            raise NotFoundError(what="playbook", name=f"{playbook_id} {digest[:12]}")
        return found

    return ask


def active(tenant_id: TenantId) -> Question[list[StoredPlaybook]]:
    """List the versions that may start runs."""
    return lambda tx: [found for found in listed(tenant_id)(tx) if found.is_active]


def listed(tenant_id: TenantId) -> Question[list[StoredPlaybook]]:
    """List all stored versions, by id, newest first."""

    def ask(tx: Transaction) -> list[StoredPlaybook]:
        return [
            StoredPlaybook(
                id=row.id,
                digest=row.digest,
                source=row.source,
                name=row.name,
                at=row.at,
                is_active=bool(row.is_active),
                activated_by=row.by if row.is_active else "",
                activated_at=row.activated_at if row.is_active else None,
            )
            for row in tx.execute(LISTED, its(tenant_id=tenant_id))
        ]

    return ask


def _set(
    tx: Transaction, tenant_id: TenantId, playbook_id: str, *, digest: str, is_active: bool, by: str
) -> None:
    row = {
        "tenant_id": tenant_id,
        "playbook_id": playbook_id,
        "digest": digest,
        "is_active": is_active,
        "by": by,
        "at": tx.now,
    }
    insert_or_update(tx, activations, row)
