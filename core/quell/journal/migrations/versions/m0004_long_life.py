"""A journal that lives long: big bodies apart, what was archived, and indexes for what is open."""

import sqlalchemy as sa
from alembic import op

from quell.journal.payloads import put_back

revision = "0004"
down_revision = "0003"

Index = tuple[str, list[str]]
OF_INCIDENT = ("ix_runs_tenant_id_incident_id", ["tenant_id", "incident_id"])
OF_INCIDENT_IN_ORDER = (
    "ix_runs_tenant_id_incident_id_created_at",
    ["tenant_id", "incident_id", "created_at"],
)
OF_KIND = ("ix_effects_kind", ["tenant_id", "kind", "decided_at"])
OF_KIND_BY_STATE = (
    "ix_effects_tenant_id_kind_state_decided_at",
    ["tenant_id", "kind", "state", "decided_at"],
)


def upgrade() -> None:
    """Add what is new; programs that know no further than 0003 go on beside it."""
    op.create_table(
        "blobs",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "digest", name=op.f("pk_blobs")),
    )
    op.create_table(
        "audit_heads",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "chain", name=op.f("pk_audit_heads")),
    )
    op.add_column("runs", sa.Column("pruned_at", sa.BigInteger(), nullable=True))
    op.add_column("acted", sa.Column("is_real", sa.Boolean(), nullable=True))
    op.create_index(
        op.f("ix_runs_tenant_id_state_created_at"), "runs", ["tenant_id", "state", "created_at"]
    )
    _replace("runs", OF_INCIDENT, OF_INCIDENT_IN_ORDER)
    _replace("effects", OF_KIND, OF_KIND_BY_STATE)
    op.create_index(
        "ix_notices_unsent",
        "notices",
        ["tenant_id", "at"],
        sqlite_where=sa.text("sent_at IS NULL"),
        postgresql_where=sa.text("sent_at IS NULL"),
    )


def downgrade() -> None:
    """Take it back; big bodies return to their rows. What was archived stays archived."""
    put_back(op.get_bind())
    op.drop_index("ix_notices_unsent", table_name="notices")
    _replace("effects", OF_KIND_BY_STATE, OF_KIND)
    _replace("runs", OF_INCIDENT_IN_ORDER, OF_INCIDENT)
    op.drop_index(op.f("ix_runs_tenant_id_state_created_at"), table_name="runs")
    # not by batches: those make the table anew, and lose its checks on SQLite
    op.execute("ALTER TABLE acted DROP COLUMN is_real")
    op.execute("ALTER TABLE runs DROP COLUMN pruned_at")
    op.drop_table("audit_heads")
    op.drop_table("blobs")
    # programs that know no further may work here again
    op.execute("UPDATE alembic_version SET version_num = '0003'")


def _replace(table: str, old: Index, new: Index) -> None:
    # what the old one finds, the new one finds too: programs of the release before are served
    op.create_index(op.f(new[0]), table, new[1])
    op.drop_index(op.f(old[0]), table_name=table)
