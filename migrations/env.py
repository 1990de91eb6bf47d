"""Runs the migrations on the app's own database (`flask db ...`, and every start)."""

from alembic import context
from flask import current_app
from sqlalchemy import text

from chat.storage.database import migrating, write_compatible_from

target = current_app.extensions["migrate"].db

with migrating() as connection:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))  # a large table takes its time
    context.configure(
        connection=connection,
        target_metadata=target.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        on_version_apply=write_compatible_from,
    )
    context.run_migrations()
