"""What Alembic runs a migration in: the connection and transaction that it was given."""

from __future__ import annotations

from alembic import context

from keyhier.records.sql.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
