"""Runs the schema's steps on the app's own database (`flask db ...`, and every start)."""

from alembic import context
from flask import current_app
from sqlalchemy import text

from chat.database import writing

target = current_app.extensions["migrate"].db

with writing() as connection:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))  # a large table takes its time
    context.configure(
        connection=connection,
        target_metadata=target.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    context.run_migrations()
