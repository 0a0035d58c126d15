"""Run by alembic for each command; the connection comes from `retentiond.state.migrate`, its transaction is open."""

from alembic import context

from retentiond.state.migrate import VERSION_TABLE
from retentiond.state.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
