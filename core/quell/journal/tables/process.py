"""What keeps processes apart and on record: switches, leases, workers, the audit trail."""

from __future__ import annotations

import sqlalchemy as sa

from quell.journal.columns import Body, Instant
from quell.journal.tables.declare import key, may, metadata, need, table

__all__ = [
    "audit",
    "audit_heads",
    "blobs",
    "commits",
    "leases",
    "notices",
    "switches",
    "workers",
]

switches = table(
    "switches",
    #: `armed`, `halted`, `accepted/SOURCE`, `mode/SOURCE`, `followed/SOURCE`
    key("name"),
    need("value", Body),
    need("by"),
    need("reason"),
    need("at", Instant),
)

leases = table(
    "leases",
    #: a duty (`poll/SOURCE`, `sweep`) or an incident (`incident/ID`)
    key("name"),
    need("owner"),
    need("fence", sa.BigInteger),
    need("until", Instant),
)

notices = table(
    "notices",
    key("id"),
    need("kind"),
    need("body", Body),
    need("at", Instant),
    may("sent_at", Instant),
    sa.Index(
        "ix_notices_unsent",
        "tenant_id",
        "at",
        sqlite_where=sa.text("sent_at IS NULL"),
        postgresql_where=sa.text("sent_at IS NULL"),
    ),
)

audit = table(
    "audit",
    #: one chain per tenant and worker
    key("chain"),
    key("seq", sa.BigInteger),
    need("at", Instant),
    need("actor"),
    need("action"),
    need("body", Body),
    need("previous"),
    need("digest"),
)

audit_heads = table(
    "audit_heads",
    key("chain"),
    #: the last record of the chain that was moved to an archive
    need("seq", sa.BigInteger),
    need("digest"),
    need("at", Instant),
)

#: bodies that are too big for their rows, each once, under the digest of its text
blobs = table(
    "blobs",
    key("digest"),
    #: compressed, as text
    need("body", sa.Text),
    #: bytes before it was compressed
    need("size", sa.Integer),
    #: when it was last written: what was just written again is not swept away
    need("at", Instant),
)

workers = sa.Table(
    "workers",
    metadata,
    key("id"),
    need("host"),
    need("pid", sa.Integer),
    need("version"),
    need("started_at", Instant),
    need("beat_at", Instant),
    need("is_draining", sa.Boolean),
)

#: one row per group commit, so that a commit whose answer was lost can be looked up
commits = sa.Table("commits", metadata, key("id"), need("at", Instant))
