"""Access to the database: connections, the two kinds of transaction, and translated errors."""

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Connection, DateTime, Dialect, TypeDecorator, event
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase

from chat.errors import Busy
from chat.outage import Outage
from chat.storage.instance_folder import restrict_to_owner

LOCK_WAIT_SECONDS = 5.0
"""How long a writer waits for the lock of SQLite before it raises Busy."""

MIN_LOCK_PAUSE_SECONDS = 0.002
MAX_LOCK_PAUSE_SECONDS = 0.05

VACUUM_WAIT_SECONDS = 2.0
"""How long a process that ends waits for other writers before it rewrites the database."""

MAX_VACUUM_BYTES = 64 * 2**20
"""A larger file is not rewritten: that would keep other processes from writing for too long."""

POOL_OPTIONS = {
    "pool_size": 10,
    "max_overflow": 5,
    "hide_parameters": True,  # an error would quote the text of messages in the log
}
SQLITE_SUFFIXES = ("", "-wal", "-shm", "-journal")
SQLITE_PRAGMAS = ("synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON")
POSTGRESQL_SETTINGS = (
    "-c statement_timeout=5s -c lock_timeout=3s -c idle_in_transaction_session_timeout=10s"
)

_OUTAGES = "confab_database_outages"  # in app.extensions

log = logging.getLogger(__name__)


class Outages(NamedTuple):
    """What of the database of one app fails: a full disk, for example, can still be read."""

    reading: Outage
    writing: Outage
    readiness: Outage


def outages() -> Outages:
    """Return the outages of the current app's database."""
    return cast(Outages, current_app.extensions[_OUTAGES])


class Base(DeclarativeBase):
    """The base class of all tables."""


class UTCDateTime(TypeDecorator[datetime]):
    """A time that is UTC in the database and aware in Python.

    The database never gets a time zone, because SQLite would drop it.
    """

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the value to be stored."""
        if value is None:
            return None
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the value that was read."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC)


db = SQLAlchemy(model_class=Base, disable_autonaming=True)


def engine_options(url: URL) -> dict[str, Any]:
    """Return SQLAlchemy's options for the connection pool and for every connection."""
    if url.get_backend_name() == "sqlite":
        # The driver never waits for a lock: that would block every greenlet of the worker.
        # `begin_immediate` waits instead.
        return POOL_OPTIONS | {"connect_args": {"timeout": 0, "isolation_level": None}}
    return POOL_OPTIONS | {
        "connect_args": {"options": POSTGRESQL_SETTINGS, "connect_timeout": 3},
        "pool_timeout": 3,
        "pool_pre_ping": True,
        "pool_recycle": 1800,
    }


def init_app(app: Flask) -> None:
    """Connect the app to its database."""
    db.init_app(app)
    app.extensions[_OUTAGES] = Outages(Outage(log), Outage(log), Outage(log))
    with app.app_context():
        if is_sqlite():
            _restrict_sqlite_files(Path(db.engine.url.database or ""))
            event.listen(db.engine, "connect", _configure_sqlite_connection)
            event.listen(db.engine, "begin", _begin_sqlite_transaction)


def is_sqlite() -> bool:
    """Return whether the current app uses SQLite."""
    return db.engine.dialect.name == "sqlite"


@contextmanager
def read_transaction() -> Iterator[Connection]:
    """Open a connection for one statement that reads. Raises Busy."""
    outage = outages().reading
    with translate_errors(outage, "read"), db.engine.connect() as connection:
        yield connection
    outage.end("The database can be read again, after %.1f s.")


@contextmanager
def write_transaction() -> Iterator[Connection]:
    """Open a transaction that may write and commit it at the end.

    On SQLite it holds the write lock from its begin. Raises Busy when the database is locked, full
    or unreachable.
    """
    outage = outages().writing
    with (
        translate_errors(outage, "store a change"),
        writing_connection() as connection,
        connection.begin(),
    ):
        yield connection
    outage.end("The database stores changes again, after %.1f s.")


def writing_connection() -> Connection:
    """Return a connection whose transactions take the write lock of SQLite when they begin."""
    return db.engine.connect().execution_options(writes=True)


@contextmanager
def translate_errors(outage: Outage, purpose: str) -> Iterator[None]:
    """Raise Busy instead of an error of the database that may not occur again later."""
    try:
        yield
    except (OperationalError, PoolTimeout) as error:
        reason = first_line(error)
        outage.begin("The database refused to %s: %s", purpose, reason)
        is_full = "full" in reason or "No space" in reason
        raise Busy("The server has no space left to store this." if is_full else None) from error
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        outage.begin("The database refused to %s: %s", purpose, first_line(error))
        raise Busy from error


def first_line(error: Exception) -> str:
    """Return the reason of a database error, without the lines that quote its parameters."""
    return str(error).partition("\n")[0]


def begin_immediate(connection: Connection, wait_seconds: float) -> None:
    """Begin a transaction of SQLite that holds the write lock.

    Waits for the lock without blocking other greenlets. Raises OperationalError.
    """
    deadline = time.monotonic() + wait_seconds
    pause = MIN_LOCK_PAUSE_SECONDS
    while True:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return
        except OperationalError as error:
            is_locked = "locked" in str(error.orig)
            if not is_locked or time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, MAX_LOCK_PAUSE_SECONDS)


def close(app: Flask, vacuum: bool = False) -> None:
    """Close all connections; the last process to do so removes SQLite's write-ahead log.

    With `vacuum`, a small SQLite database is rewritten first, so that its file holds nothing of
    deleted or replaced texts: `secure_delete` clears what is freed, but a row that SQLite moved
    between pages may leave a copy in the unused part of a page.
    """
    with app.app_context():
        if vacuum and is_sqlite():
            _vacuum_if_small()
        db.engine.dispose()


def _vacuum_if_small() -> None:
    if Path(db.engine.url.database or "").stat().st_size > MAX_VACUUM_BYTES:
        return
    with suppress(DBAPIError, sqlite3.Error), closing(db.engine.raw_connection()) as connection:
        _vacuum(connection.cursor(), time.monotonic() + VACUUM_WAIT_SECONDS)


def _vacuum(cursor: DBAPICursor, deadline: float) -> None:
    """Rewrite the database; wait while another process writes. Raises sqlite3.Error."""
    while True:
        try:
            cursor.execute("VACUUM")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(MAX_LOCK_PAUSE_SECONDS)


def _restrict_sqlite_files(path: Path) -> None:
    """Keep other users from opening the database; create it if it does not exist.

    SQLite creates the files beside it with the same permissions. Where the file cannot be created,
    the first connection reports it.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT, 0o600))
    for suffix in SQLITE_SUFFIXES:
        with suppress(FileNotFoundError):
            restrict_to_owner(path.with_name(path.name + suffix))


def _configure_sqlite_connection(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite_transaction(connection: Connection) -> None:
    """Begin a transaction that writes. A single statement that reads needs no transaction."""
    if connection.get_execution_options().get("writes"):
        begin_immediate(connection, LOCK_WAIT_SECONDS)
