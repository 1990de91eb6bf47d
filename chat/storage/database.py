"""Access to the database: connections, the two kinds of transaction, and translated errors."""

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Connection, DateTime, Dialect, TypeDecorator, event
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

POOL_OPTIONS = {
    "pool_size": 10,
    "max_overflow": 5,
    "hide_parameters": True,  # an error would quote the text of messages in the log
}
MAX_KEPT_SECONDS = 1.0
"""After so long without use, a transaction takes a connection that the pool has checked."""

SQLITE_SUFFIXES = ("", "-wal", "-shm", "-journal")
SQLITE_PAGE_BYTES = 4096

MAX_LOG_PAGES = 8_000
"""When SQLite's write-ahead log has so many pages, a transaction that ends moves them.

Normally, that is done before, outside of transactions: see checkpoints.py.
"""

SQLITE_PRAGMAS = (
    "synchronous = NORMAL",
    "foreign_keys = ON",
    "secure_delete = ON",
    f"wal_autocheckpoint = {MAX_LOG_PAGES}",
    "journal_size_limit = 0",  # a log that starts again keeps nothing of the previous one
)
POSTGRESQL_SETTINGS = (
    "-c statement_timeout=5s -c lock_timeout=3s -c idle_in_transaction_session_timeout=10s"
)

TCP_OPTIONS = {
    "keepalives": 1,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Connection options of libpq, in seconds and milliseconds. It ignores them on a Unix socket.

A host that vanishes without closing its connections is noticed within about ten seconds, while a
query waits for its answer (keepalives) and while one cannot be sent (`tcp_user_timeout`). Without
them, Linux needs two hours and a quarter of an hour.
"""

LOCK_NOT_AVAILABLE = "55P03"
"""PostgreSQL's code of the error after `lock_timeout`."""

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
        "connect_args": {
            **{name: value for name, value in TCP_OPTIONS.items() if name not in url.query},
            "options": POSTGRESQL_SETTINGS,
            "connect_timeout": 3,
        },
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


class KeptConnection:
    """One connection of the pool, which a writer holds for as long as it lives.

    To take a connection from the pool and to give it back takes as long as a statement. After
    MAX_KEPT_SECONDS without use, the connection is exchanged for one that the pool has checked
    (PostgreSQL: `pool_pre_ping`). Only one thread or greenlet may use it at a time.
    """

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._used_at = 0.0

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction as `write_transaction` does. Raises Busy."""
        outage = outages().writing
        with translate_errors(outage, "store a change"):
            connection = self._take()
            try:
                with connection.begin():
                    yield connection
            except BaseException:
                connection.close()  # the pool finds out whether it can still be used
                raise
            self._connection = connection
            self._used_at = time.monotonic()
        outage.end("The database stores changes again, after %.1f s.")

    def close(self) -> None:
        """Give the connection back to the pool; the next transaction takes one again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _take(self) -> Connection:
        """Return the kept connection; take one from the pool after an error or a long pause.

        The pool checks its connections: that of a server which has restarted is not used. A server
        that restarts while messages are stored refuses one batch, which clients send again.
        """
        if time.monotonic() - self._used_at > MAX_KEPT_SECONDS:
            self.close()
        connection = self._connection or writing_connection()
        self._connection = None
        return connection


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


def is_lock_timeout(error: DBAPIError) -> bool:
    """Return whether a statement failed because another connection held a lock for too long."""
    if isinstance(error.orig, sqlite3.Error):
        return isinstance(error, OperationalError) and "locked" in str(error.orig)
    # PostgreSQL's driver is not imported here: with SQLite it is not needed.
    return getattr(error.orig, "pgcode", None) == LOCK_NOT_AVAILABLE


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
            if not is_lock_timeout(error) or time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, MAX_LOCK_PAUSE_SECONDS)


def close(app: Flask) -> None:
    """Close all connections; the last process to do so removes SQLite's write-ahead log."""
    with app.app_context():
        db.engine.dispose()


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
