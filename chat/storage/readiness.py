"""The readiness probe: whether the database can store messages."""

import threading
import time
from collections.abc import Callable
from math import inf
from typing import cast
from urllib.parse import quote

from flask import Flask
from sqlalchemy import URL, column, create_engine, false, table, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from chat.errors import Busy
from chat.storage.database import (
    begin_immediate,
    db,
    engine_options,
    first_line,
    is_sqlite,
    outages,
)

LOCK_WAIT_SECONDS = 1.0
"""How long another writer may hold the lock before the database counts as not ready."""

NO_ANSWER = "Nothing can be stored: the database does not answer."

RESULT_SECONDS = 1.0
"""How long a result is used again."""

_READINESS = "confab_readiness"  # in app.extensions

# Changes no row, and yet is refused on a read-only file or file system, on a standby, without the
# right to write, and without tables. BEGIN IMMEDIATE alone is not refused: on a read-only file
# SQLite begins a transaction that reads.
UPDATE_NO_ROW = update(table("rooms", column("head"))).values(head=column("head")).where(false())


class Readiness:
    """Checks whether the database can be written, at most once in RESULT_SECONDS.

    Anybody may ask, and the check takes the write lock of SQLite: all who ask at the same time, and
    shortly after, get the same result.
    """

    def __init__(
        self, check: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.clock = clock
        self._check = check
        self._lock = threading.Lock()
        self._reason: str | None = None  # why nothing can be stored
        self._checked_at = -inf

    def require(self) -> None:
        """Raise Busy when nothing can be stored."""
        with self._lock:
            if self.clock() - self._checked_at >= RESULT_SECONDS:
                self._reason = self._find_reason()
                self._checked_at = self.clock()
            reason = self._reason
        if reason is not None:
            raise Busy(reason)

    def _find_reason(self) -> str | None:
        try:
            self._check()
        except Busy as refusal:
            return str(refusal)
        except TimeoutError:
            return NO_ANSWER
        return None


def init_app(app: Flask) -> None:
    """Give the app its readiness check."""
    app.extensions[_READINESS] = Readiness(check_writable)


def readiness_of(app: Flask) -> Readiness:
    """Return the readiness check of an app."""
    return cast(Readiness, app.extensions[_READINESS])


def check_writable() -> None:
    """Begin a transaction that may write, and roll it back. Raises Busy.

    It does not notice a full disk: only a stored change does.
    """
    try:
        if is_sqlite():
            _check_sqlite()
        else:
            _check_postgresql()
    except (DBAPIError, PoolTimeout) as error:
        outages().readiness.begin("The database cannot be written: %s", first_line(error))
        raise Busy(
            "Nothing can be stored: the database is locked, read-only or cannot be reached."
        ) from error
    outages().readiness.end("The database can be written again, after %.1f s.")


def _check_sqlite() -> None:
    # On a connection of its own: a pooled one has the file open, and would write to it even when it
    # has become read-only or was deleted.
    url = db.engine.url
    options = engine_options(url)["connect_args"]
    engine = create_engine(_existing_file(url), poolclass=NullPool, connect_args=options)
    with engine.connect() as connection:
        begin_immediate(connection, LOCK_WAIT_SECONDS)
        connection.execute(UPDATE_NO_ROW)
        connection.rollback()


def _existing_file(url: URL) -> URL:
    """Return the URL with mode=rw, without which SQLite would create a file that was deleted."""
    path = url.database or ""
    uri = path if path.startswith("file:") else f"file:{quote(path)}"
    return url.set(database=uri).update_query_dict({"mode": "rw", "uri": "true"})


def _check_postgresql() -> None:
    with db.engine.connect() as connection:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{LOCK_WAIT_SECONDS}s'")
        connection.execute(UPDATE_NO_ROW)
        connection.rollback()
