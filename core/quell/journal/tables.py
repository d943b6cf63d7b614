"""Every table of the journal. `tenant_id` leads each key; moments are UTC microseconds.

What a table's statements are is in the module of its noun. The first migration makes exactly
these tables, and a test keeps the two equal on both engines.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from quell.domain.approval import Answer
from quell.domain.hold import HoldOwner
from quell.domain.hub import Acceptance, WriteKind, WriteState
from quell.domain.incident import Origin
from quell.domain.run import EffectState, RunState, StepState
from quell.journal.columns import Body, Instant, PlainText

__all__ = ["metadata"]

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def key(name: str, type_: Any = PlainText) -> sa.Column[Any]:
    """Declare a column of the primary key."""
    return sa.Column(name, type_, primary_key=True, nullable=False)


def need(name: str, type_: Any = PlainText, **options: Any) -> sa.Column[Any]:
    """Declare a column that is always filled."""
    return sa.Column(name, type_, nullable=False, **options)


def may(name: str, type_: Any = PlainText, **options: Any) -> sa.Column[Any]:
    """Declare a column that may be empty."""
    return sa.Column(name, type_, nullable=True, **options)


def one_of(column: str, values: Iterable[StrEnum]) -> sa.CheckConstraint:
    """Hold a column to the members of an enum."""
    listed = ", ".join(f"'{value.value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def table(name: str, *parts: sa.schema.SchemaItem) -> sa.Table:
    """Declare a table whose key begins with the tenant."""
    return sa.Table(name, metadata, key("tenant_id"), *parts)


# -- incidents and their copies ------------------------------------------------------------------

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
    need("body", Body),
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

# -- playbooks and runs --------------------------------------------------------------------------

playbooks = table(
    "playbooks",
    key("id"),
    key("digest"),
    #: the YAML as it was checked: a run keeps the version that it started with
    need("source"),
    need("name"),
    need("at", Instant),
)

activations = table(
    "activations",
    key("playbook_id"),
    need("digest"),
    need("is_active", sa.Boolean),
    need("by"),
    need("at", Instant),
)

runs = table(
    "runs",
    key("id"),
    need("playbook_id"),
    need("digest"),
    may("incident_id"),
    need("revision", sa.BigInteger),
    #: what started it; unique, so that nothing starts twice
    need("cause"),
    need("origin"),
    need("depth", sa.Integer),
    need("state"),
    #: lower is sooner: containment before enrichment
    need("priority", sa.Integer),
    #: entities that it is limited to, when a later revision started it; null for all
    may("scope", Body),
    #: what it was started with, e.g. the dry-run mark
    need("options", Body),
    may("owner"),
    need("fence", sa.BigInteger),
    may("lease_until", Instant),
    may("wake_at", Instant),
    need("cancel_requested", sa.Boolean),
    #: takeovers since the last progress
    need("takeovers", sa.Integer),
    may("swept_at", Instant),
    need("error"),
    need("created_at", Instant),
    may("finished_at", Instant),
    sa.UniqueConstraint("tenant_id", "cause"),
    sa.Index("ix_runs_due", "state", "wake_at"),
    sa.Index("ix_runs_leased", "state", "lease_until"),
    sa.Index(None, "tenant_id", "created_at"),
    sa.Index(None, "tenant_id", "incident_id"),
    one_of("state", RunState),
)

steps = table(
    "steps",
    key("run_id"),
    #: `note`, or `body[2].page` inside `for_each`
    key("step_key"),
    need("state"),
    need("attempt", sa.Integer),
    #: what was fixed when the step began: its targets, parameters or items
    may("plan", Body),
    #: result lists by target, once there are any
    may("results", Body),
    may("wake_at", Instant),
    need("error"),
    may("started_at", Instant),
    may("ended_at", Instant),
    one_of("state", StepState),
)

attempts = table(
    "attempts",
    key("run_id"),
    key("step_key"),
    key("attempt", sa.Integer),
    need("worker"),
    need("started_at", Instant),
    may("ended_at", Instant),
    need("outcome"),
)

run_events = table(
    "run_events",
    key("run_id"),
    key("seq", sa.BigInteger),
    need("kind"),
    need("body", Body),
    need("at", Instant),
)

held_starts = table(
    "held_starts",
    key("playbook_id"),
    key("incident_id"),
    need("revision", sa.BigInteger),
    need("reason"),
    need("at", Instant),
    may("released_at", Instant),
    may("released_by"),
)

acted = table(
    "acted",
    key("playbook_id"),
    key("incident_id"),
    key("target_id"),
    need("run_id"),
    need("at", Instant),
)

# -- effects -------------------------------------------------------------------------------------

effects = table(
    "effects",
    #: idempotency key: tenant, run, step, canonical target, action; the same for all attempts
    key("effect_key"),
    #: order in which effects on one target were decided
    need("seq", sa.BigInteger),
    may("run_id"),
    may("step_key"),
    need("action"),
    need("system"),
    need("kind"),
    may("incident_id"),
    need("target_id"),
    need("target_kind"),
    need("target", Body),
    need("params", Body),
    need("params_digest"),
    need("state"),
    #: what stands in the vendor's record: the key of this effect, or of the batch it was sent in
    need("vendor_key"),
    #: `Observation` before
    may("before", Body),
    may("outcome", Body),
    may("operation", Body),
    need("reason"),
    #: who asked: a playbook's id, or a person
    need("by"),
    may("approval_id"),
    #: version of the guard's policy that it was decided under
    need("policy"),
    need("decided_at", Instant),
    #: nothing may be sent after this
    need("deadline", Instant),
    may("sent_at", Instant),
    may("settled_at", Instant),
    may("poll_at", Instant),
    may("verify_at", Instant),
    may("verified", sa.Boolean),
    sa.Index(None, "tenant_id", "run_id", "step_key"),
    sa.Index(None, "tenant_id", "target_id", "seq"),
    sa.Index(None, "tenant_id", "vendor_key"),
    sa.Index("ix_effects_kind", "tenant_id", "kind", "decided_at"),
    sa.Index("ix_effects_open", "state", "poll_at"),
    sa.Index("ix_effects_verify", "verify_at"),
    one_of("state", EffectState),
)

holds = table(
    "holds",
    key("entity_id"),
    key("state"),
    key("owner"),
    key("owner_id"),
    may("effect_key"),
    need("reason"),
    may("review_at", Instant),
    need("made_at", Instant),
    one_of("owner", HoldOwner),
)

#: one row per target: locked by whoever decides on an effect
targets = table("targets", key("target_id"), need("seq", sa.BigInteger))

counters = table(
    "counters",
    #: what is counted, e.g. `contain/hour` or `run/ID/user.disable`
    key("name"),
    #: start of the window; the epoch for counts without one
    key("window_at", Instant),
    need("count", sa.BigInteger),
)

approvals = table(
    "approvals",
    key("id"),
    need("run_id"),
    need("step_key"),
    need("question", Body),
    need("state"),
    need("who"),
    need("otherwise"),
    need("asked_at", Instant),
    need("expires_at", Instant),
    may("answered_at", Instant),
    may("answered_by"),
    need("reason"),
    sa.Index(None, "tenant_id", "run_id", "step_key"),
    sa.Index("ix_approvals_open", "state", "expires_at"),
    one_of("state", Answer),
)

# -- running -------------------------------------------------------------------------------------

switches = table(
    "switches",
    #: `armed`, `halted`, `accepted/SOURCE`
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
