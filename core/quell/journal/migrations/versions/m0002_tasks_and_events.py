"""Tasks of incidents, writes of tasks, and events on their way out."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

KINDS = "kind IN ('create', 'update', 'comment', 'retire')"
KINDS_WITH_TASK = "kind IN ('create', 'update', 'comment', 'retire', 'task')"


def upgrade() -> None:
    """Add what is new; nothing that was there changes its meaning."""
    op.create_table(
        "tasks",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_tasks")),
    )
    op.create_index(op.f("ix_tasks_tenant_id_incident_id"), "tasks", ["tenant_id", "incident_id"])
    op.create_table(
        "event_batches",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sink_id", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("is_parked", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_event_batches")),
    )
    op.create_index(
        "ix_event_batches_due",
        "event_batches",
        ["tenant_id", "sink_id", "is_parked", "not_before"],
    )
    _hold_kinds_to(KINDS_WITH_TASK)


def downgrade() -> None:
    """Take it back. Writes of tasks are dropped: the schema before cannot say them."""
    op.execute("DELETE FROM incident_writes WHERE kind = 'task'")
    _hold_kinds_to(KINDS)
    op.drop_index("ix_event_batches_due", table_name="event_batches")
    op.drop_table("event_batches")
    op.drop_index(op.f("ix_tasks_tenant_id_incident_id"), table_name="tasks")
    op.drop_table("tasks")


def _hold_kinds_to(condition: str) -> None:
    with op.batch_alter_table("incident_writes") as batch:
        batch.drop_constraint(op.f("ck_incident_writes_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_incident_writes_kind"), condition)
