"""Incidents, their copies in the products, and what sync writes to them."""

from __future__ import annotations

import sqlalchemy as sa

from quell.domain.hub import Acceptance, WriteKind, WriteState
from quell.domain.incident import Origin
from quell.journal.columns import Body, Instant
from quell.journal.payloads import BigBody
from quell.journal.tables.declare import key, may, need, one_of, table

__all__ = [
    "alerts",
    "comment_copies",
    "comments",
    "conflicts",
    "cursors",
    "entities",
    "entity_aliases",
    "incident_entities",
    "incident_writes",
    "incidents",
    "links",
    "parked_items",
    "revisions",
    "tasks",
    "webhook_events",
]

incidents = table(
    "incidents",
    key("id"),
    #: canonical `IncidentFields`
    need("fields", Body),
    #: number of the last real change; 0 before the first
    need("revision", sa.BigInteger),
    #: by field, where its value came from: decides and records conflicts
    need("marks", Body),
    #: copied out of `fields` for lists
    need("severity"),
    need("status"),
    #: the winner, once this one was merged away: it is an alias then
    may("merged_into"),
    #: which part of the sources it began in: the link that it was made for
    may("origin_source_id"),
    may("origin_native_id"),
    need("created_at", Instant),
    need("updated_at", Instant),
    #: what the rules on where incidents go made of it
    may("routing", Body),
    sa.Index(None, "tenant_id", "updated_at"),
)

links = table(
    "links",
    key("id"),
    need("incident_id"),
    need("source_id"),
    need("system"),
    need("native_id"),
    #: raw and canonical value by field, as the product last confirmed it
    need("shadow", Body),
    #: the same, as last read
    need("observed", Body),
    #: by field, since when it is observed to be as it is
    need("bounds", Body),
    #: by field, what we last wrote and what the product made of it
    need("echoes", Body),
    need("etag"),
    need("stamp"),
    #: newest stamp seen, or returned by our own write: observations older than it are dropped
    may("changed_at", Instant),
    need("url"),
    need("number"),
    need("proofs", Body),
    may("alert_count", sa.Integer),
    may("comment_count", sa.Integer),
    need("acceptance"),
    #: we made this copy
    need("is_ours", sa.Boolean),
    #: deleted at the product by hand; never made again
    may("deleted_at", Instant),
    #: the copy that took this one's place
    may("retired_to"),
    may("merged_into_native_id"),
    #: the other product's incident that this copy says it mirrors
    may("counterpart_system"),
    may("counterpart_id"),
    need("seen_at", Instant),
    need("created_at", Instant),
    sa.UniqueConstraint("tenant_id", "source_id", "native_id"),
    sa.Index(None, "tenant_id", "incident_id"),
    sa.Index(None, "tenant_id", "counterpart_system", "counterpart_id"),
    one_of("acceptance", Acceptance),
)

revisions = table(
    "revisions",
    key("incident_id"),
    key("revision", sa.BigInteger),
    need("origin"),
    #: {field: [old, new]} in canonical words
    need("changes", Body),
    #: `IncidentEvent` values that this change amounts to
    need("events", Body),
    may("source_id"),
    may("link_id"),
    #: the product's stamp, as text
    need("stamp"),
    #: when it happened, by the product where it says
    need("happened_at", Instant),
    #: the run that did it, when it was our own doing
    may("caused_by"),
    need("depth", sa.Integer),
    need("actor"),
    need("at", Instant),
    #: when `match` has looked at it; empty means that it still has to
    may("matched_at", Instant),
    one_of("origin", Origin),
    sa.Index("ix_revisions_unmatched", "tenant_id", "matched_at", "at"),
)

alerts = table(
    "alerts",
    key("source_id"),
    key("native_id"),
    need("incident_id"),
    #: `Alert`, with the product's own JSON whole
    need("body", BigBody),
    need("digest"),
    #: digest of what our own copies were told of it; empty while they were told nothing
    may("carried"),
    need("seen_at", Instant),
    sa.Index(None, "tenant_id", "incident_id"),
)

entities = table(
    "entities",
    key("id"),
    need("kind"),
    need("body", Body),
    #: the entity that this one turned out to be
    may("merged_into"),
    need("created_at", Instant),
    need("updated_at", Instant),
)

entity_aliases = table(
    "entity_aliases",
    key("entity_kind"),
    key("scheme"),
    key("value"),
    key("entity_id"),
    need("is_strong", sa.Boolean),
    need("seen_at", Instant),
    sa.Index(
        "uq_entity_aliases_strong",
        "tenant_id",
        "entity_kind",
        "scheme",
        "value",
        unique=True,
        sqlite_where=sa.text("is_strong = 1"),
        postgresql_where=sa.text("is_strong"),
    ),
    sa.Index(None, "tenant_id", "entity_id"),
)

incident_entities = table(
    "incident_entities",
    key("incident_id"),
    key("entity_id"),
    need("kind"),
    need("roles", Body),
    need("verdict"),
    #: ids of the alerts that name it
    need("alerts", Body),
    need("first_seen_at", Instant),
    sa.Index(None, "tenant_id", "entity_id"),
)

comments = table(
    "comments",
    key("id"),
    need("incident_id"),
    #: `comment`; `alerts`: what tells our own copies of alerts; `note`: ours, on one copy alone
    need("kind"),
    #: where it was written: a link, or empty for quell's own
    may("origin_link_id"),
    need("origin_key"),
    need("text"),
    need("author"),
    may("created_at", Instant),
    may("caused_by"),
    need("seen_at", Instant),
    sa.UniqueConstraint("tenant_id", "incident_id", "origin_key"),
)

comment_copies = table(
    "comment_copies",
    key("comment_id"),
    key("link_id"),
    #: a long comment is copied in several parts, counted from 0
    key("part", sa.Integer),
    #: our HMAC key in the copy; empty for the original itself
    need("copy_key"),
    #: the product's id of the copy, once it is known to be there
    may("native_key"),
    may("confirmed_at", Instant),
    sa.Index(None, "tenant_id", "link_id"),
)

tasks = table(
    "tasks",
    key("id"),
    need("incident_id"),
    #: `HubTask`
    need("body", Body),
    need("seen_at", Instant),
    sa.Index(None, "tenant_id", "incident_id"),
)

incident_writes = table(
    "incident_writes",
    key("id"),
    need("incident_id"),
    may("link_id"),
    need("source_id"),
    need("kind"),
    need("state"),
    #: doing it twice is doing it once
    need("write_key"),
    #: what is meant to be there, by field; or the text of a comment
    need("intended", Body),
    #: what was read before, by field
    may("base", Body),
    may("answer", Body),
    may("caused_by"),
    need("attempts", sa.Integer),
    may("not_before", Instant),
    need("error"),
    need("planned_at", Instant),
    #: order of writes that were planned together
    need("seq", sa.Integer),
    may("sent_at", Instant),
    may("answered_at", Instant),
    sa.UniqueConstraint("tenant_id", "write_key"),
    sa.Index("ix_incident_writes_open", "tenant_id", "state", "not_before"),
    sa.Index(None, "tenant_id", "incident_id"),
    one_of("kind", WriteKind),
    one_of("state", WriteState),
)

conflicts = table(
    "conflicts",
    key("id"),
    need("incident_id"),
    need("field"),
    #: `both_changed`, `possible_overwrite`, `unpaired`
    need("kind"),
    #: values, shadows, authors and times of both sides, and who won
    need("body", Body),
    need("at", Instant),
    may("settled_at", Instant),
    may("settled_by"),
    sa.Index(None, "tenant_id", "incident_id"),
)

cursors = table(
    "cursors",
    key("source_id"),
    may("cursor"),
    #: compare and set: moves only from the version that was read
    need("version", sa.BigInteger),
    may("polled_at", Instant),
    may("succeeded_at", Instant),
    need("error"),
)

parked_items = table(
    "parked_items",
    key("source_id"),
    key("native_id"),
    need("reason"),
    need("tries", sa.Integer),
    need("first_at", Instant),
    need("retry_at", Instant),
)

webhook_events = table("webhook_events", key("source_id"), key("event_id"), need("at", Instant))
