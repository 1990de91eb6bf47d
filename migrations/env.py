"""Runs migrations on the database of the app: at every start, and for `flask db` commands."""

from alembic import context
from flask import current_app
from sqlalchemy import text

from chat.storage.migrations import migration_transaction, write_compatible_from

target = current_app.extensions["migrate"].db

with migration_transaction() as connection:
    if connection.dialect.name == "postgresql":
        # Changing a large table may take longer than the time limit of other statements.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    context.configure(
        connection=connection,
        target_metadata=target.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        on_version_apply=write_compatible_from,
    )
    context.run_migrations()
