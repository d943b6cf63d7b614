"""The first schema. Frozen: a later change of `tables.py` needs a migration of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "acted",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("playbook_id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("target_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "playbook_id", "incident_id", "target_id", name=op.f("pk_acted")
        ),
    )
    op.create_table(
        "activations",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("playbook_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "playbook_id", name=op.f("pk_activations")),
    )
    op.create_table(
        "alerts",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("native_id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("carried", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "source_id", "native_id", name=op.f("pk_alerts")),
    )
    op.create_index(
        op.f("ix_alerts_tenant_id_incident_id"),
        "alerts",
        ["tenant_id", "incident_id"],
        unique=False,
    )
    op.create_table(
        "approvals",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("step_key", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("otherwise", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'approved', 'denied', 'expired', 'withdrawn')",
            name=op.f("ck_approvals_state"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_approvals")),
    )
    op.create_index("ix_approvals_open", "approvals", ["state", "expires_at"], unique=False)
    op.create_index(
        op.f("ix_approvals_tenant_id_run_id_step_key"),
        "approvals",
        ["tenant_id", "run_id", "step_key"],
        unique=False,
    )
    op.create_table(
        "attempts",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("step_key", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "run_id", "step_key", "attempt", name=op.f("pk_attempts")
        ),
    )
    op.create_table(
        "audit",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "chain", "seq", name=op.f("pk_audit")),
    )
    op.create_table(
        "comment_copies",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("comment_id", sa.Text(), nullable=False),
        sa.Column("link_id", sa.Text(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("copy_key", sa.Text(), nullable=False),
        sa.Column("native_key", sa.Text(), nullable=True),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint(
            "tenant_id", "comment_id", "link_id", "part", name=op.f("pk_comment_copies")
        ),
    )
    op.create_index(
        op.f("ix_comment_copies_tenant_id_link_id"),
        "comment_copies",
        ["tenant_id", "link_id"],
        unique=False,
    )
    op.create_table(
        "comments",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("origin_link_id", sa.Text(), nullable=True),
        sa.Column("origin_key", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=True),
        sa.Column("caused_by", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_comments")),
        sa.UniqueConstraint(
            "tenant_id",
            "incident_id",
            "origin_key",
            name=op.f("uq_comments_tenant_id_incident_id_origin_key"),
        ),
    )
    op.create_table(
        "commits",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commits")),
    )
    op.create_table(
        "conflicts",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("settled_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_conflicts")),
    )
    op.create_index(
        op.f("ix_conflicts_tenant_id_incident_id"),
        "conflicts",
        ["tenant_id", "incident_id"],
        unique=False,
    )
    op.create_table(
        "counters",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("window_at", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", "window_at", name=op.f("pk_counters")),
    )
    op.create_table(
        "cursors",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("polled_at", sa.BigInteger(), nullable=True),
        sa.Column("succeeded_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "source_id", name=op.f("pk_cursors")),
    )
    op.create_table(
        "effects",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("effect_key", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("step_key", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=True),
        sa.Column("target_id", sa.Text(), nullable=False),
        sa.Column("target_kind", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("params_digest", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("vendor_key", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("operation", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("approval_id", sa.Text(), nullable=True),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("poll_at", sa.BigInteger(), nullable=True),
        sa.Column("verify_at", sa.BigInteger(), nullable=True),
        sa.Column("verified", sa.Boolean(), nullable=True),
        sa.CheckConstraint(
            "state IN ('intended', 'pending', 'done', 'already', 'denied', 'failed', 'unknown')",
            name=op.f("ck_effects_state"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "effect_key", name=op.f("pk_effects")),
    )
    op.create_index("ix_effects_kind", "effects", ["tenant_id", "kind", "decided_at"], unique=False)
    op.create_index("ix_effects_open", "effects", ["state", "poll_at"], unique=False)
    op.create_index(
        op.f("ix_effects_tenant_id_run_id_step_key"),
        "effects",
        ["tenant_id", "run_id", "step_key"],
        unique=False,
    )
    op.create_index(
        op.f("ix_effects_tenant_id_target_id_seq"),
        "effects",
        ["tenant_id", "target_id", "seq"],
        unique=False,
    )
    op.create_index(
        op.f("ix_effects_tenant_id_vendor_key"),
        "effects",
        ["tenant_id", "vendor_key"],
        unique=False,
    )
    op.create_index("ix_effects_verify", "effects", ["verify_at"], unique=False)
    op.create_table(
        "entities",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("merged_into", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_entities")),
    )
    op.create_table(
        "entity_aliases",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("entity_kind", sa.Text(), nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("is_strong", sa.Boolean(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "entity_kind",
            "scheme",
            "value",
            "entity_id",
            name=op.f("pk_entity_aliases"),
        ),
    )
    op.create_index(
        op.f("ix_entity_aliases_tenant_id_entity_id"),
        "entity_aliases",
        ["tenant_id", "entity_id"],
        unique=False,
    )
    op.create_index(
        "uq_entity_aliases_strong",
        "entity_aliases",
        ["tenant_id", "entity_kind", "scheme", "value"],
        unique=True,
        sqlite_where=sa.text("is_strong = 1"),
        postgresql_where=sa.text("is_strong"),
    )
    op.create_table(
        "held_starts",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("playbook_id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "tenant_id", "playbook_id", "incident_id", name=op.f("pk_held_starts")
        ),
    )
    op.create_table(
        "holds",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("effect_key", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("review_at", sa.BigInteger(), nullable=True),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "owner IN ('run', 'person', 'vendor', 'suppress')", name=op.f("ck_holds_owner")
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "entity_id", "state", "owner", "owner_id", name=op.f("pk_holds")
        ),
    )
    op.create_table(
        "incident_entities",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("alerts", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "incident_id", "entity_id", name=op.f("pk_incident_entities")
        ),
    )
    op.create_index(
        op.f("ix_incident_entities_tenant_id_entity_id"),
        "incident_entities",
        ["tenant_id", "entity_id"],
        unique=False,
    )
    op.create_table(
        "incident_writes",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("link_id", sa.Text(), nullable=True),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("write_key", sa.Text(), nullable=False),
        sa.Column("intended", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("caused_by", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("planned_at", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('create', 'update', 'comment', 'retire')",
            name=op.f("ck_incident_writes_kind"),
        ),
        sa.CheckConstraint(
            "state IN ('planned', 'sending', 'applied', 'superseded', 'parked')",
            name=op.f("ck_incident_writes_state"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_incident_writes")),
        sa.UniqueConstraint(
            "tenant_id", "write_key", name=op.f("uq_incident_writes_tenant_id_write_key")
        ),
    )
    op.create_index(
        "ix_incident_writes_open",
        "incident_writes",
        ["tenant_id", "state", "not_before"],
        unique=False,
    )
    op.create_index(
        op.f("ix_incident_writes_tenant_id_incident_id"),
        "incident_writes",
        ["tenant_id", "incident_id"],
        unique=False,
    )
    op.create_table(
        "incidents",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("marks", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("merged_into", sa.Text(), nullable=True),
        sa.Column("origin_source_id", sa.Text(), nullable=True),
        sa.Column("origin_native_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_incidents")),
    )
    op.create_index(
        op.f("ix_incidents_tenant_id_updated_at"),
        "incidents",
        ["tenant_id", "updated_at"],
        unique=False,
    )
    op.create_table(
        "leases",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_leases")),
    )
    op.create_table(
        "links",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("native_id", sa.Text(), nullable=False),
        sa.Column("shadow", sa.Text(), nullable=False),
        sa.Column("observed", sa.Text(), nullable=False),
        sa.Column("bounds", sa.Text(), nullable=False),
        sa.Column("echoes", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("stamp", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("proofs", sa.Text(), nullable=False),
        sa.Column("alert_count", sa.Integer(), nullable=True),
        sa.Column("comment_count", sa.Integer(), nullable=True),
        sa.Column("acceptance", sa.Text(), nullable=False),
        sa.Column("is_ours", sa.Boolean(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("retired_to", sa.Text(), nullable=True),
        sa.Column("merged_into_native_id", sa.Text(), nullable=True),
        sa.Column("counterpart_system", sa.Text(), nullable=True),
        sa.Column("counterpart_id", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "acceptance IN ('pending', 'accepted')", name=op.f("ck_links_acceptance")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_links")),
        sa.UniqueConstraint(
            "tenant_id",
            "source_id",
            "native_id",
            name=op.f("uq_links_tenant_id_source_id_native_id"),
        ),
    )
    op.create_index(
        op.f("ix_links_tenant_id_counterpart_system_counterpart_id"),
        "links",
        ["tenant_id", "counterpart_system", "counterpart_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_links_tenant_id_incident_id"), "links", ["tenant_id", "incident_id"], unique=False
    )
    op.create_table(
        "notices",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_notices")),
    )
    op.create_table(
        "parked_items",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("native_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("retry_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "source_id", "native_id", name=op.f("pk_parked_items")
        ),
    )
    op.create_table(
        "playbooks",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", "digest", name=op.f("pk_playbooks")),
    )
    op.create_table(
        "revisions",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=True),
        sa.Column("link_id", sa.Text(), nullable=True),
        sa.Column("stamp", sa.Text(), nullable=False),
        sa.Column("happened_at", sa.BigInteger(), nullable=False),
        sa.Column("caused_by", sa.Text(), nullable=True),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("matched_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "origin IN ('live', 'backfill', 'adoption', 'replay')", name=op.f("ck_revisions_origin")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "incident_id", "revision", name=op.f("pk_revisions")),
    )
    op.create_index(
        "ix_revisions_unmatched", "revisions", ["tenant_id", "matched_at", "at"], unique=False
    )
    op.create_table(
        "run_events",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "run_id", "seq", name=op.f("pk_run_events")),
    )
    op.create_table(
        "runs",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("playbook_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=True),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("wake_at", sa.BigInteger(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("takeovers", sa.Integer(), nullable=False),
        sa.Column("swept_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'waiting', 'done', 'failed', 'cancelled', 'parked')",
            name=op.f("ck_runs_state"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_runs")),
        sa.UniqueConstraint("tenant_id", "cause", name=op.f("uq_runs_tenant_id_cause")),
    )
    op.create_index("ix_runs_due", "runs", ["state", "wake_at"], unique=False)
    op.create_index("ix_runs_leased", "runs", ["state", "lease_until"], unique=False)
    op.create_index(
        op.f("ix_runs_tenant_id_created_at"), "runs", ["tenant_id", "created_at"], unique=False
    )
    op.create_index(
        op.f("ix_runs_tenant_id_incident_id"), "runs", ["tenant_id", "incident_id"], unique=False
    )
    op.create_table(
        "steps",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("step_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=True),
        sa.Column("results", sa.Text(), nullable=True),
        sa.Column("wake_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'waiting', 'running', 'done', 'failed', 'skipped')",
            name=op.f("ck_steps_state"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "run_id", "step_key", name=op.f("pk_steps")),
    )
    op.create_table(
        "switches",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_switches")),
    )
    op.create_table(
        "targets",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("target_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "target_id", name=op.f("pk_targets")),
    )
    op.create_table(
        "webhook_events",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "source_id", "event_id", name=op.f("pk_webhook_events")
        ),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("beat_at", sa.BigInteger(), nullable=False),
        sa.Column("is_draining", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )


def downgrade() -> None:
    """Drop every table."""
    op.drop_table("workers")
    op.drop_table("webhook_events")
    op.drop_table("targets")
    op.drop_table("switches")
    op.drop_table("steps")
    op.drop_index(op.f("ix_runs_tenant_id_incident_id"), table_name="runs")
    op.drop_index(op.f("ix_runs_tenant_id_created_at"), table_name="runs")
    op.drop_index("ix_runs_leased", table_name="runs")
    op.drop_index("ix_runs_due", table_name="runs")
    op.drop_table("runs")
    op.drop_table("run_events")
    op.drop_index("ix_revisions_unmatched", table_name="revisions")
    op.drop_table("revisions")
    op.drop_table("playbooks")
    op.drop_table("parked_items")
    op.drop_table("notices")
    op.drop_index(op.f("ix_links_tenant_id_incident_id"), table_name="links")
    op.drop_index(op.f("ix_links_tenant_id_counterpart_system_counterpart_id"), table_name="links")
    op.drop_table("links")
    op.drop_table("leases")
    op.drop_index(op.f("ix_incidents_tenant_id_updated_at"), table_name="incidents")
    op.drop_table("incidents")
    op.drop_index(op.f("ix_incident_writes_tenant_id_incident_id"), table_name="incident_writes")
    op.drop_index("ix_incident_writes_open", table_name="incident_writes")
    op.drop_table("incident_writes")
    op.drop_index(op.f("ix_incident_entities_tenant_id_entity_id"), table_name="incident_entities")
    op.drop_table("incident_entities")
    op.drop_table("holds")
    op.drop_table("held_starts")
    op.drop_index(
        "uq_entity_aliases_strong",
        table_name="entity_aliases",
        sqlite_where=sa.text("is_strong = 1"),
        postgresql_where=sa.text("is_strong"),
    )
    op.drop_index(op.f("ix_entity_aliases_tenant_id_entity_id"), table_name="entity_aliases")
    op.drop_table("entity_aliases")
    op.drop_table("entities")
    op.drop_index("ix_effects_verify", table_name="effects")
    op.drop_index(op.f("ix_effects_tenant_id_vendor_key"), table_name="effects")
    op.drop_index(op.f("ix_effects_tenant_id_target_id_seq"), table_name="effects")
    op.drop_index(op.f("ix_effects_tenant_id_run_id_step_key"), table_name="effects")
    op.drop_index("ix_effects_open", table_name="effects")
    op.drop_index("ix_effects_kind", table_name="effects")
    op.drop_table("effects")
    op.drop_table("cursors")
    op.drop_table("counters")
    op.drop_index(op.f("ix_conflicts_tenant_id_incident_id"), table_name="conflicts")
    op.drop_table("conflicts")
    op.drop_table("commits")
    op.drop_table("comments")
    op.drop_index(op.f("ix_comment_copies_tenant_id_link_id"), table_name="comment_copies")
    op.drop_table("comment_copies")
    op.drop_table("audit")
    op.drop_table("attempts")
    op.drop_index(op.f("ix_approvals_tenant_id_run_id_step_key"), table_name="approvals")
    op.drop_index("ix_approvals_open", table_name="approvals")
    op.drop_table("approvals")
    op.drop_index(op.f("ix_alerts_tenant_id_incident_id"), table_name="alerts")
    op.drop_table("alerts")
    op.drop_table("activations")
    op.drop_table("acted")
