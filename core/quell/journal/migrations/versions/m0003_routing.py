"""What the rules on where incidents go made of each."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what is new; incidents without it are as the rules find them when they change next."""
    op.add_column("incidents", sa.Column("routing", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("incidents") as batch:
        batch.drop_column("routing")
