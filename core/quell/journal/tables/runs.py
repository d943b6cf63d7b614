"""Playbooks, what they started, and the steps of each run."""

from __future__ import annotations

import sqlalchemy as sa

from quell.domain.run import RunState, StepState
from quell.journal.columns import Body, Instant
from quell.journal.payloads import BigBody
from quell.journal.tables.declare import key, may, need, one_of, table

__all__ = [
    "acted",
    "activations",
    "attempts",
    "held_starts",
    "playbooks",
    "run_events",
    "runs",
    "steps",
]

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
    #: when its details were removed: steps, attempts, events, effects, questions
    may("pruned_at", Instant),
    sa.UniqueConstraint("tenant_id", "cause"),
    sa.Index("ix_runs_due", "state", "wake_at"),
    sa.Index("ix_runs_leased", "state", "lease_until"),
    sa.Index(None, "tenant_id", "created_at"),
    # lists of what is open must not walk over all that is finished
    sa.Index(None, "tenant_id", "state", "created_at"),
    sa.Index(None, "tenant_id", "incident_id", "created_at"),
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
    may("plan", BigBody),
    #: result lists by target, once there are any
    may("results", BigBody),
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
    #: whether an effect came of it, noted when the effects themselves are removed; empty before
    may("is_real", sa.Boolean),
)
