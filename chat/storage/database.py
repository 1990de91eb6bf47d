"""How we speak to SQLite and PostgreSQL: connections, the two kinds of transaction, the schema's way to today."""

import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script, ScriptDirectory
from flask import Flask
from flask_migrate import Migrate, upgrade
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    URL,
    Connection,
    DateTime,
    Dialect,
    Text,
    TypeDecorator,
    column,
    create_engine,
    delete,
    event,
    false,
    insert,
    inspect,
    select,
    table,
    update,
)
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool

from chat.errors import Busy
from config import StartupError

LOCK_WAIT_SECONDS = 5.0
READY_WAIT_SECONDS = 1.0  # for the lock of another writer, before the database is called not ready
START_WAIT_SECONDS = 3.0
COMPATIBLE_FROM = (
    "compatible_from"  # a key of the table `instance`, and a variable of each migration
)
VACUUM_BYTES = 64 * 2**20  # a larger file would keep the others from writing for too long

# Changes no row, and is refused all the same: by a read-only file or file system, on a standby, without the right to
# write, and without tables. BEGIN IMMEDIATE alone is not: for a read-only file, SQLite begins a transaction that reads.
WRITE_NOTHING = update(table("rooms", column("head"))).values(head=column("head")).where(false())

log = logging.getLogger(__name__)


class Base(DeclarativeBase):
    """What our tables have in common."""


class UTCDateTime(TypeDecorator[datetime]):
    """A point in time: UTC in the database, aware in Python. SQLite forgets time zones, so we never store one."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.replace(tzinfo=UTC)


class Instance(Base):
    """A property of the whole database. `compatible_from`: the oldest revision whose program may use this schema."""

    __tablename__ = "instance"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text)


db = SQLAlchemy(model_class=Base, disable_autonaming=True)
migrate = Migrate(db=db, directory="migrations")


def engine_options(url: URL) -> dict[str, Any]:
    """The settings of the connection pool and of every session, by kind of database."""
    pool = {"pool_size": 10, "max_overflow": 5}
    if url.get_backend_name() == "sqlite":
        # The driver never waits for a lock: its wait would stop every greenlet of the worker. _begin() waits instead.
        return pool | {"connect_args": {"timeout": 0, "isolation_level": None}}
    limits = "-c statement_timeout=5s -c lock_timeout=3s -c idle_in_transaction_session_timeout=10s"
    connect = {"options": limits, "connect_timeout": 3}
    return pool | {
        "connect_args": connect,
        "pool_timeout": 3,
        "pool_pre_ping": True,
        "pool_recycle": 1800,
    }


def init_app(app: Flask) -> None:
    """Connect the app to its database."""
    db.init_app(app)
    migrate.init_app(app)
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            event.listen(db.engine, "connect", _prepare)
            event.listen(db.engine, "begin", _begin)


@contextmanager
def read_transaction() -> Iterator[Connection]:
    """For one statement that reads. Raises Busy while the database is away."""
    with translate_errors(), db.engine.connect() as connection:
        yield connection


@contextmanager
def write_transaction() -> Iterator[Connection]:
    """The one kind of transaction that writes: it has the lock from the start. Raises Busy: locked, full, or away."""
    with (
        translate_errors(),
        db.engine.connect().execution_options(writes=True) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def migrating() -> Iterator[Connection]:
    """The transaction of migrations. Raises CannotStart when they would leave rows that refer to a deleted row.

    SQLite changes most of a table only by building another and dropping the first. That fails while foreign keys
    refer to it, so they are not enforced here; they are checked before the commit.
    """
    with db.engine.connect().execution_options(writes=True) as connection:
        if connection.dialect.name != "sqlite":
            with connection.begin():
                yield connection
            return
        with _foreign_keys_off(connection), connection.begin():
            # Deleting a room in the sqlite3 shell, which enforces no foreign keys, leaves its messages behind.
            violations = _foreign_key_violations(connection)
            yield connection
            if _foreign_key_violations(connection) - violations:
                raise StartupError(
                    "Migrating the database would leave messages without a room: please report this bug."
                )


@contextmanager
def _foreign_keys_off(connection: Connection) -> Iterator[None]:
    driver: Any = (
        connection.connection.driver_connection
    )  # before SQLAlchemy begins: no effect in a transaction
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys = ON")


def _foreign_key_violations(connection: Connection) -> Counter[tuple[str, str]]:
    """How many rows refer to a row that does not exist, by their table and the table they refer to."""
    rows = connection.exec_driver_sql("PRAGMA foreign_key_check").mappings()
    return Counter((row["table"], row["parent"]) for row in rows)


def write_compatible_from(ctx: MigrationContext, step: MigrationInfo, **_: object) -> None:
    """After each migration, up or down: write the `compatible_from` of the revision that the database has now."""
    for script in cast(
        tuple[Script, ...], step.destination_revisions
    ):  # one, or none at all below the first
        compatible_from = vars(script.module).get(COMPATIBLE_FROM)
        if compatible_from is not None:  # the table came with revision 0003
            ctx.execute(delete(Instance).where(Instance.key == COMPATIBLE_FROM))
            ctx.execute(insert(Instance).values(key=COMPATIBLE_FROM, value=compatible_from))


def close(app: Flask, vacuum: bool = False) -> None:
    """Close all connections; the last process to do so removes SQLite's write-ahead log.

    With `vacuum`, a small SQLite database is rewritten first, so that its file holds nothing of
    deleted or replaced texts: `secure_delete` clears what is freed, but a row that SQLite moved
    between pages may leave a copy in the unused part of a page.
    """
    with app.app_context():
        if vacuum and db.engine.dialect.name == "sqlite":
            _vacuum_if_small()
        db.engine.dispose()


def _vacuum_if_small() -> None:
    if Path(db.engine.url.database or "").stat().st_size > VACUUM_BYTES:
        return
    # Refused while another process writes.
    with suppress(DBAPIError, sqlite3.Error), closing(db.engine.raw_connection()) as connection:
        connection.cursor().execute("VACUUM")


@contextmanager
def translate_errors() -> Iterator[None]:
    """Say Busy where the database may do it later."""
    try:
        yield
    except (OperationalError, PoolTimeout) as error:
        reason = str(error).partition("\n")[0]  # the rest would be what people said
        log.warning("The database did not do it: %s", reason)
        is_full = "full" in reason or "No space" in reason
        raise Busy("The server has no space left to store this." if is_full else None) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Busy from error
        raise


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in ("synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """A writer takes the lock of SQLite at once. A read is one statement, which is of one moment by itself."""
    if connection.get_execution_options().get("writes"):
        _begin_immediate(connection, LOCK_WAIT_SECONDS)


def _begin_immediate(connection: Connection, wait_seconds: float) -> None:
    """Begin a transaction of SQLite that may write. Raises OperationalError."""
    give_up = time.monotonic() + wait_seconds
    pause = 0.002  # seconds until the next try: short at first, for most writers are quick
    while True:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return
        except OperationalError as error:
            if "locked" not in str(error.orig) or time.monotonic() > give_up:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def check_writable() -> None:
    """Begin a transaction that may write to the tables, and roll it back. Raises Busy when that is not possible.

    It does not notice a full disk, which only a stored change does.
    """
    try:
        if db.engine.dialect.name == "sqlite":
            _check_sqlite()
        else:
            _check_postgresql()
    except (DBAPIError, PoolTimeout) as error:
        log.warning("The database cannot be written: %s", str(error).partition("\n")[0])
        raise Busy(
            "Nothing can be stored: the database is locked, read-only or cannot be reached."
        ) from error


def _check_sqlite() -> None:
    # On a connection of its own: those in the pool have the file open, and would write to it even when it has become
    # read-only or was deleted. Without mode=rw, SQLite would make a file that has gone.
    url = db.engine.url
    path = url.database or ""
    uri = path if path.startswith("file:") else f"file:{quote(path)}"
    existing = url.set(database=uri).update_query_dict({"mode": "rw", "uri": "true"})
    probe = create_engine(
        existing, poolclass=NullPool, connect_args=engine_options(url)["connect_args"]
    )
    with probe.connect() as connection:
        _begin_immediate(connection, READY_WAIT_SECONDS)
        connection.execute(WRITE_NOTHING)
        connection.rollback()


def _check_postgresql() -> None:
    with db.engine.connect() as connection:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{READY_WAIT_SECONDS}s'")
        connection.execute(WRITE_NOTHING)
        connection.rollback()


def migrate_to_latest(app: Flask) -> None:
    """Give the database our schema, while holding the lock of the start. Raises CannotStart where that cannot be."""
    give_up = time.monotonic() + START_WAIT_SECONDS
    with app.app_context():
        while True:
            try:
                _upgrade(app)
                return
            except DBAPIError as error:
                if not isinstance(error, OperationalError) or time.monotonic() > give_up:
                    where = db.engine.url.render_as_string(hide_password=True)
                    why = str(error.orig).partition("\n")[0]
                    raise StartupError(
                        f"The database {where} cannot be opened ({why}): check DATABASE_URL."
                    ) from error
            time.sleep(0.5)  # it may be starting too


def _upgrade(app: Flask) -> None:
    scripts = ScriptDirectory(f"{app.root_path}/../migrations")
    known = {script.revision for script in scripts.walk_revisions()}
    with db.engine.connect() as connection, migration_lock(connection):
        current = MigrationContext.configure(connection).get_current_revision()
        compatible_from = _compatible_from(connection)
        connection.rollback()
        if current is None or current in known:
            if current != scripts.get_current_head():
                upgrade(directory=scripts.dir)
        elif compatible_from in known:
            log.warning(
                "The database has the schema of a newer Confab (%s), which this release can use.",
                current,
            )
        else:
            raise StartupError(
                f"This database was made by a newer Confab (schema {current}): "
                "update the program, or name another DATABASE_URL."
            )


def _compatible_from(connection: Connection) -> str | None:
    """The oldest revision whose program may use this schema; None before revision 0003, where none was written."""
    if not inspect(connection).has_table(Instance.__tablename__):
        return None
    return connection.scalar(select(Instance.value).where(Instance.key == COMPATIBLE_FROM))


@contextmanager
def migration_lock(connection: Connection) -> Iterator[None]:
    """Nobody else sees to the schema meanwhile: for SQLite the lock of the start does that, PostgreSQL has its own."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(
            "PRAGMA journal_mode = WAL"
        )  # no transaction is open: _begin() opens none to read
        yield
        return
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as holder:
        holder.exec_driver_sql("SET lock_timeout = 0; SET statement_timeout = 0")
        holder.exec_driver_sql("SELECT pg_advisory_lock(12603307)")  # any number, the same for all
        try:
            yield
        finally:
            holder.invalidate()  # and with the connection, the lock
