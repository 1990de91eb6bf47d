"""Rewrites the database, so that its files hold nothing of erased texts.

SQLite's `secure_delete` clears what is freed, but a row that SQLite moved between pages may leave a
copy in the unused part of a page, and the write-ahead log has earlier versions of pages. PostgreSQL
keeps deleted rows until it vacuums. See docs/operations.md.
"""

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from flask import Flask
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError

from chat.errors import Busy
from chat.storage.database import Base, db, is_sqlite, outages, translate_errors

MAX_BYTES_AT_END = 64 * 2**20
"""A larger file is not rewritten when a process ends: others could not write for too long."""

WAIT_SECONDS = 30.0
RETRY_SECONDS = 0.05
LOG_RETRY_SECONDS = 0.5


def rewrite_if_small(app: Flask, deadline: float) -> None:
    """Rewrite a small SQLite database when a process ends, and empty the write-ahead log of any.

    SQLite itself removes the log, but not always when two processes end at the same time. Gives up
    if others use the database until the deadline.
    """
    with app.app_context():
        if not is_sqlite():
            return
        is_small = _sqlite_file().stat().st_size <= MAX_BYTES_AT_END
        with suppress(DBAPIError, sqlite3.Error), closing(db.engine.raw_connection()) as connection:
            if is_small:
                with suppress(sqlite3.Error):  # such as a full disk
                    _vacuum(connection.cursor(), deadline)
            if time.monotonic() < deadline:
                _truncate_log(connection.cursor(), deadline)


def rewrite() -> None:
    """Rewrite the whole database. Nobody can write meanwhile.

    With PostgreSQL, nobody can read either: each table is locked. Raises Busy when the database is
    in use for longer than WAIT_SECONDS.
    """
    with translate_errors(outages().writing, "be rewritten"):
        if is_sqlite():
            _rewrite_sqlite()
        else:
            _rewrite_postgresql()


def _sqlite_file() -> Path:
    return Path(db.engine.url.database or "")


def _rewrite_sqlite() -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    try:
        with closing(db.engine.raw_connection()) as connection:
            _vacuum(connection.cursor(), deadline)
            _truncate_log(connection.cursor(), deadline)
    except sqlite3.OperationalError as error:
        raise Busy(f"The database could not be rewritten: {error}.") from error


def _vacuum(cursor: DBAPICursor, deadline: float) -> None:
    """Rewrite the database; wait while another process writes. Raises sqlite3.OperationalError."""
    while True:
        try:
            cursor.execute("VACUUM")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(RETRY_SECONDS)


def _truncate_log(cursor: DBAPICursor, deadline: float) -> None:
    """Move the write-ahead log into the file and empty it. Raises sqlite3.OperationalError.

    Each attempt writes what the log contains, and others wait for it.
    """
    while True:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        row = cursor.fetchone()
        is_done = row is not None and row[0] == 0
        if is_done:
            return
        if time.monotonic() > deadline:
            raise sqlite3.OperationalError("the write-ahead log is in use")
        time.sleep(LOG_RETRY_SECONDS)


def _rewrite_postgresql() -> None:
    # The tables have few names, and all are our own.
    names = [table.fullname for table in Base.metadata.sorted_tables]
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.detach()  # its limits are not those of the pool
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql(f"SET lock_timeout = '{WAIT_SECONDS:g}s'")
        for name in names:
            connection.exec_driver_sql(f"VACUUM (FULL) {name}")
