"""How Alembic runs the migrations: on the connection and in the transaction that it is given."""

from alembic import context

from quell.journal.migrate import VERSION_TABLE
from quell.journal.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    version_table=VERSION_TABLE,
)
context.run_migrations()
