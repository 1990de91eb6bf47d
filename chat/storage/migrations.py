"""Migrations: brings the schema of the database up to date at every start, or takes it back.

Each migration writes `compatible_from` into the table `instance`: the oldest revision whose program
may use the schema. So a worker of an old release may restart after a newer one has migrated.
"""

import logging
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script, ScriptDirectory
from flask import Flask
from flask_migrate import Migrate, downgrade, upgrade
from sqlalchemy import Connection, Text, delete, insert, inspect, select
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Mapped, mapped_column

from chat.storage.database import Base, db, first_line, is_lock_timeout, writing_connection
from config import PROJECT_FOLDER, StartupError

START_WAIT_SECONDS = 3.0
"""How long to wait at the start for a database that cannot be reached: it may be starting too."""

RETRY_SECONDS = 0.5

MIGRATIONS = str(PROJECT_FOLDER / "migrations")

COMPATIBLE_FROM = "compatible_from"
"""A key of the table `instance`, and a variable of each migration."""

ADVISORY_LOCK_ID = 12603307
"""Any number that all workers share."""

MAX_STATEMENT_CHARS = 100
"""How much of a statement that could not get its lock is quoted."""

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Instance(Base):
    """A property of the whole database.

    `compatible_from` is the oldest revision whose program may use the schema.
    """

    __tablename__ = "instance"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text)


@dataclass(frozen=True)
class Schema:
    """The revision of the database, and the revisions that this release knows."""

    revision: str | None
    """None for a database without tables."""

    compatible_from: str | None
    """The oldest revision whose program may use the schema. None before revision 0003."""

    known: tuple[str, ...]
    """The oldest first."""

    @property
    def latest(self) -> str:
        """The newest revision that this release knows."""
        return self.known[-1]

    @property
    def is_newer(self) -> bool:
        """Whether a newer release has migrated the database."""
        return self.revision is not None and self.revision not in self.known

    @property
    def is_usable(self) -> bool:
        """Whether this release can use the database, after an upgrade if necessary."""
        return not self.is_newer or self.compatible_from in self.known

    @property
    def pending(self) -> tuple[str, ...]:
        """The revisions to which an upgrade would take the database, in this order."""
        if self.revision is None:
            return self.known
        if self.is_newer:
            return ()
        return self.known[self.known.index(self.revision) + 1 :]

    @property
    def older(self) -> tuple[str, ...]:
        """The revisions to which this release can take the database back."""
        if self.revision is None or self.is_newer:
            return ()
        return self.known[: self.known.index(self.revision)]

    def check_is_usable(self) -> None:
        """Raise StartupError if this release cannot use the database."""
        if not self.is_usable:
            raise StartupError(
                f"This database was made by a newer Confab (schema {self.revision}): "
                "update the program, or name another DATABASE_URL."
            )

    def check_can_downgrade_to(self, revision: str) -> None:
        """Raise StartupError if this release cannot take the database back to a revision."""
        if self.is_newer:
            raise StartupError(
                f"The database has the schema of a newer Confab ({self.revision}): only a release "
                "that knows it can downgrade it."
            )
        if revision not in self.older:
            possible = ", ".join(self.older) or "none"
            raise StartupError(
                f"The database has schema {self.revision}, and {revision} is not an older one "
                f"that this release knows. These are: {possible}."
            )


migrate = Migrate(db=db, directory="migrations")


def init_app(app: Flask) -> None:
    """Add the command `flask db` to the app."""
    migrate.init_app(app)


def migrate_to_latest(app: Flask) -> None:
    """Bring the schema up to date. Call it while holding the start-up lock.

    Raises StartupError, and then leaves no connection of the database open.
    """
    with app.app_context():
        upgrade_to_latest()


def upgrade_to_latest() -> None:
    """Do what `migrate_to_latest` does, in an application context."""
    _with_retries(_upgrade)


def read_schema() -> Schema:
    """Return which schema the database has, and which ones this release knows.

    Raises StartupError when the database cannot be opened.
    """

    def read() -> Schema:
        with db.engine.connect() as connection:
            return _read_schema(connection)

    return _with_retries(read)


def downgrade_to(revision: str) -> None:
    """Take the database back to an older revision. Call it while holding the start-up lock.

    What the older schema has no place for is deleted. Raises StartupError.
    """

    def step_back() -> None:
        with _locked_schema() as schema:
            schema.check_can_downgrade_to(revision)
            downgrade(directory=MIGRATIONS, revision=revision)

    _with_retries(step_back)


def _with_retries(work: Callable[[], Result]) -> Result:
    """Do work with the database, which may be starting. Raises StartupError."""
    deadline = time.monotonic() + START_WAIT_SECONDS
    try:
        while True:
            try:
                return work()
            except DBAPIError as error:
                may_recover = isinstance(error, OperationalError) and time.monotonic() <= deadline
                if not may_recover:
                    raise _startup_error(error) from error
            time.sleep(RETRY_SECONDS)
    except StartupError:
        db.engine.dispose()
        raise


def _startup_error(error: DBAPIError) -> StartupError:
    """Return the error for the operator when the schema can be neither read nor changed."""
    url = db.engine.url.render_as_string(hide_password=True)
    reason = first_line(cast(Exception, error.orig))  # the error of the driver
    if not is_lock_timeout(error):
        return StartupError(f"The database {url} cannot be opened ({reason}): check DATABASE_URL.")
    statement = textwrap.shorten(error.statement or "", MAX_STATEMENT_CHARS)
    return StartupError(
        f"The tables of the database {url} cannot be read or changed now, because another "
        f"connection holds a lock on them ({reason}, during: {statement}). Nothing has been "
        "changed: wait until that connection has ended its transaction, or end it, and try again."
    )


def _upgrade() -> None:
    with _locked_schema() as schema:
        if schema.revision == schema.latest:
            return
        if not schema.is_newer:
            upgrade(directory=MIGRATIONS)
            return
        schema.check_is_usable()
    log.warning(
        "The database has the schema of a newer Confab (%s), which this release can use.",
        schema.revision,
    )


def latest_revision() -> str:
    """Return the newest revision that this release knows."""
    return _known_revisions()[-1]


def _known_revisions() -> tuple[str, ...]:
    """Return the revisions that this release knows, the oldest first."""
    scripts = ScriptDirectory(MIGRATIONS).walk_revisions()
    return tuple(reversed([script.revision for script in scripts]))


@contextmanager
def _locked_schema() -> Iterator[Schema]:
    """Read the schema of the database, and keep other processes from changing it meanwhile."""
    with db.engine.connect() as connection, migration_lock(connection):
        schema = _read_schema(connection)
        connection.rollback()
        yield schema


def _read_schema(connection: Connection) -> Schema:
    current = MigrationContext.configure(connection).get_current_revision()
    return Schema(current, _read_compatible_from(connection), _known_revisions())


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
    with db.engine.connect() as holder:
        # Of a transaction and not of a session: PgBouncer may give the session to somebody else.
        for timeout in ("lock", "statement", "idle_in_transaction_session"):
            holder.exec_driver_sql(f"SET LOCAL {timeout}_timeout = 0")
        holder.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK_ID})")
        try:
            yield
        finally:
            holder.invalidate()  # closing the connection ends the transaction and its lock


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
