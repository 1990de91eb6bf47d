"""Migrations: brings the schema of the database up to date at every start.

Each migration writes `compatible_from` into the table `instance`: the oldest revision whose program
may use the schema. So a worker of an old release may restart after a newer one has migrated.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script, ScriptDirectory
from flask import Flask
from flask_migrate import Migrate, upgrade
from sqlalchemy import Connection, Text, delete, insert, inspect, select
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Mapped, mapped_column

from chat.storage.database import Base, db, first_line, writing_connection
from config import StartupError

START_WAIT_SECONDS = 3.0
"""How long to wait at the start for a database that cannot be reached: it may be starting too."""

RETRY_SECONDS = 0.5

COMPATIBLE_FROM = "compatible_from"
"""A key of the table `instance`, and a variable of each migration."""

ADVISORY_LOCK_ID = 12603307
"""Any number that all workers share."""

log = logging.getLogger(__name__)


class Instance(Base):
    """A property of the whole database.

    `compatible_from` is the oldest revision whose program may use the schema.
    """

    __tablename__ = "instance"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text)


migrate = Migrate(db=db, directory="migrations")


def init_app(app: Flask) -> None:
    """Add the command `flask db` to the app."""
    migrate.init_app(app)


def migrate_to_latest(app: Flask) -> None:
    """Bring the schema up to date. Call it while holding the start-up lock.

    Raises StartupError, and then leaves no connection of the database open.
    """
    with app.app_context():
        try:
            _upgrade_with_retries(app)
        except StartupError:
            db.engine.dispose()
            raise


def _upgrade_with_retries(app: Flask) -> None:
    deadline = time.monotonic() + START_WAIT_SECONDS
    while True:
        try:
            _upgrade(app)
            return
        except DBAPIError as error:
            may_recover = isinstance(error, OperationalError) and time.monotonic() <= deadline
            if not may_recover:
                raise _cannot_open(error) from error
        time.sleep(RETRY_SECONDS)


def _cannot_open(error: DBAPIError) -> StartupError:
    url = db.engine.url.render_as_string(hide_password=True)
    reason = first_line(cast(Exception, error.orig))  # the error of the driver
    return StartupError(f"The database {url} cannot be opened ({reason}): check DATABASE_URL.")


def _upgrade(app: Flask) -> None:
    scripts = ScriptDirectory(f"{app.root_path}/../migrations")
    known = {script.revision for script in scripts.walk_revisions()}
    with db.engine.connect() as connection, migration_lock(connection):
        current = MigrationContext.configure(connection).get_current_revision()
        compatible_from = _read_compatible_from(connection)
        connection.rollback()
        if current == scripts.get_current_head():
            return
        if current is None or current in known:
            upgrade(directory=scripts.dir)
            return
        if compatible_from not in known:
            raise StartupError(
                f"This database was made by a newer Confab (schema {current}): "
                "update the program, or name another DATABASE_URL."
            )
    log.warning(
        "The database has the schema of a newer Confab (%s), which this release can use.", current
    )


@contextmanager
def migration_transaction() -> Iterator[Connection]:
    """Open the transaction of migrations, and commit it at the end.

    SQLite changes most of a table only by creating another one and dropping the first. This fails
    while foreign keys refer to it, so foreign keys are not enforced here; they are checked before
    the commit. Raises StartupError when migrations break one.
    """
    with writing_connection() as connection:
        if connection.dialect.name != "sqlite":
            with connection.begin():
                yield connection
            return
        with _foreign_keys_off(connection), connection.begin():
            # Violations exist already if a room was deleted in the sqlite3 shell, which enforces no
            # foreign keys.
            before = _foreign_key_violations(connection)
            yield connection
            if _foreign_key_violations(connection) - before:
                raise StartupError(
                    "Migrating the database would leave messages without a room: "
                    "please report this bug."
                )


def write_compatible_from(ctx: MigrationContext, step: MigrationInfo, **_: object) -> None:
    """Store the `compatible_from` of the revision that the database has after a migration."""
    scripts = cast(tuple[Script, ...], step.destination_revisions)  # one; none below the first
    for script in scripts:
        compatible_from = vars(script.module).get(COMPATIBLE_FROM)
        if compatible_from is not None:  # the table exists since revision 0003
            ctx.execute(delete(Instance).where(Instance.key == COMPATIBLE_FROM))
            ctx.execute(insert(Instance).values(key=COMPATIBLE_FROM, value=compatible_from))


def _read_compatible_from(connection: Connection) -> str | None:
    """Return the oldest revision whose program may use this schema; None before revision 0003."""
    if not inspect(connection).has_table(Instance.__tablename__):
        return None
    return connection.scalar(select(Instance.value).where(Instance.key == COMPATIBLE_FROM))


@contextmanager
def migration_lock(connection: Connection) -> Iterator[None]:
    """Keep other processes from migrating.

    For SQLite the start-up lock of the instance folder does that; PostgreSQL, which workers on
    other hosts may share, has advisory locks.
    """
    if connection.dialect.name == "sqlite":
        # No transaction is open yet, in which the journal mode could not be changed.
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        yield
        return
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as holder:
        holder.exec_driver_sql("SET lock_timeout = 0; SET statement_timeout = 0")
        holder.exec_driver_sql(f"SELECT pg_advisory_lock({ADVISORY_LOCK_ID})")
        try:
            yield
        finally:
            holder.invalidate()  # closing the connection releases the lock


@contextmanager
def _foreign_keys_off(connection: Connection) -> Iterator[None]:
    # On the driver's connection, because inside a transaction this pragma has no effect.
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys = ON")


def _foreign_key_violations(connection: Connection) -> Counter[tuple[str, str]]:
    """Return the number of dangling references by table and referenced table."""
    rows = connection.exec_driver_sql("PRAGMA foreign_key_check").mappings()
    return Counter((row["table"], row["parent"]) for row in rows)
