"""Events on their way out: what was read of a product and not yet taken in by where it goes."""

from __future__ import annotations

import sqlalchemy as sa

from quell.journal.columns import Instant
from quell.journal.tables.declare import key, may, need, table

__all__ = ["event_batches"]

event_batches = table(
    "event_batches",
    key("id"),
    #: where it goes
    need("sink_id"),
    #: the table there
    need("stream"),
    #: rows as compressed JSON: what events say is never looked into by SQL
    need("body", sa.LargeBinary),
    need("rows", sa.Integer),
    need("size", sa.Integer),
    need("attempts", sa.Integer),
    may("not_before", Instant),
    #: why the last attempt failed; empty before
    need("error"),
    #: refused for good: a person looks at it
    need("is_parked", sa.Boolean),
    need("at", Instant),
    sa.Index("ix_event_batches_due", "tenant_id", "sink_id", "is_parked", "not_before"),
)
