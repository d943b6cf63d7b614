"""Comments of incidents, and where each has a copy."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from quell.domain.hub import Copy, HubComment
from quell.domain.ids import IncidentId, TenantId
from quell.journal.prepared import its, listed, same
from quell.journal.tables import comment_copies, comments
from quell.journal.upsert import insert_or_update
from quell.journal.writer import Question, Transaction

__all__ = ["of"]

READ = (
    sa.select(comments)
    .where(same(comments.c.tenant_id, comments.c.incident_id))
    .order_by(comments.c.seen_at, comments.c.created_at, comments.c.id)
)
READ_COPIES = (
    sa.select(comment_copies)
    .where(same(comment_copies.c.tenant_id), listed(comment_copies.c.comment_id))
    .order_by(comment_copies.c.link_id, comment_copies.c.part)
)
#: what a comment's own row holds
OWN = tuple(name for name in HubComment.__struct_fields__ if name != "copies")


def of(tenant_id: TenantId, incident_id: IncidentId) -> Question[tuple[HubComment, ...]]:
    """List an incident's comments in the order that they were seen."""
    return lambda tx: of_incident(tx, tenant_id, incident_id)


def of_incident(tx: Transaction, tenant_id: TenantId, incident_id: str) -> tuple[HubComment, ...]:
    asked = its(tenant_id=tenant_id, incident_id=incident_id)
    rows = tx.execute(READ, asked).mappings().all()
    copies = _copies(tx, tenant_id, [row["id"] for row in rows])
    return tuple(
        HubComment(**{name: row[name] for name in OWN}, copies=tuple(copies.get(row["id"], ())))
        for row in rows
    )


def _copies(tx: Transaction, tenant_id: TenantId, ids: list[str]) -> dict[str, list[Copy]]:
    found: dict[str, list[Copy]] = {}
    if not ids:
        return found
    for row in tx.execute(READ_COPIES, its(tenant_id=tenant_id, comment_id=ids)):
        copy = Copy(
            link_id=row.link_id, part=row.part, copy_key=row.copy_key, native_key=row.native_key
        )
        found.setdefault(row.comment_id, []).append(copy)
    return found


def save_comment(
    tx: Transaction,
    tenant_id: TenantId,
    incident_id: IncidentId,
    before: HubComment | None,
    comment: HubComment,
) -> None:
    if before is None:
        values = {
            name: getattr(comment, name) for name in comment.__struct_fields__ if name != "copies"
        }
        row = {"tenant_id": tenant_id, **values, "incident_id": incident_id, "seen_at": tx.now}
        insert_or_update(tx, comments, row, update=["text"])
    known = set(before.copies) if before else set[Copy]()
    for copy in comment.copies:
        if copy not in known:
            _save_copy(tx, tenant_id, comment.id, copy)


def _save_copy(tx: Transaction, tenant_id: TenantId, comment_id: str, copy: Copy) -> None:
    row = {
        "tenant_id": tenant_id,
        "comment_id": comment_id,
        **msgspec.structs.asdict(copy),
        "confirmed_at": tx.now if copy.native_key is not None else None,
    }
    insert_or_update(tx, comment_copies, row)


def move(tx: Transaction, tenant_id: TenantId, loser: IncidentId, winner: IncidentId) -> None:
    """Give a merged incident's comments to the winner; what was said to one copy alone stays.

    So does what the winner says already, word for word: alerts that were in both are told in both.
    """
    said = sa.select(comments.c.origin_key).where(
        comments.c.tenant_id == tenant_id, comments.c.incident_id == winner
    )
    tx.execute(
        sa.update(comments)
        .where(
            comments.c.tenant_id == tenant_id,
            comments.c.incident_id == loser,
            comments.c.kind != "note",
            comments.c.origin_key.not_in(said),
        )
        .values(incident_id=winner)
    )
