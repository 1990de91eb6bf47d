"""Databases of older and newer releases, for the tests of migrations."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.script import ScriptDirectory
from flask import Flask

from chat.storage import database, migrations
from chat.storage.database import db
from config import Config
from tests.servers import ROOT

MIGRATIONS = ROOT / "migrations"
SCRIPTS = {script.revision: script for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
REVISIONS = list(reversed(SCRIPTS))
"""All revisions of this release, the oldest first."""

HEAD = REVISIONS[-1]

NEWER = "0099"
"""The revision of a newer release."""

NEWER_MIGRATION = f"""
from alembic import op
import sqlalchemy as sa
revision = "{NEWER}"
down_revision = "{{head}}"
compatible_from = "{{compatible_from}}"
def upgrade():
    {{upgrade}}
def downgrade():
    {{downgrade}}
"""


def add_migration(folder: Path, **given: str) -> None:
    """Add the migration of a newer release to a folder of migrations.

    `given` may set its `compatible_from`, and the statements of `upgrade` and `downgrade`.
    """
    values = {"head": HEAD, "compatible_from": HEAD, "upgrade": "pass", "downgrade": "pass"}
    script = NEWER_MIGRATION.format(**values | given)
    (folder / "versions" / f"{NEWER}_newer.py").write_text(script)


def newer_migrations(folder: Path, **given: str) -> str:
    """Return the path of the migrations of a newer release: a copy of ours and one more."""
    copy = folder / "migrations"
    shutil.copytree(MIGRATIONS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    add_migration(copy, **given)
    return str(copy)


@contextmanager
def schema_tools(config: Config) -> Iterator[None]:
    """Open the context of an app that has the database, and has not migrated it."""
    app = Flask("schema tools")
    app.config["SQLALCHEMY_DATABASE_URI"] = config.database()
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = database.engine_options(config.database())
    database.init_app(app)
    migrations.init_app(app)
    with app.app_context():
        try:
            yield
        finally:
            db.engine.dispose()
