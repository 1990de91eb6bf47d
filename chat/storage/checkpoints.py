"""Checkpoints: moves SQLite's write-ahead log into the database file, in a real thread.

SQLite does that in the transaction that makes the log large, and waits for the disk twice. That
transaction is often one that stores a message, and everything in the worker waits with it. Here,
other transactions go on meanwhile. The log stays bounded when no loop runs, or when it is late:
then transactions move the log themselves (MAX_LOG_PAGES in database.py).
"""

import logging
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

from flask import Flask

from chat import engine
from chat.background import BackgroundLoop
from chat.outage import Outage
from chat.socket_server import SocketServer
from chat.storage.database import MAX_LOG_PAGES, SQLITE_PAGE_BYTES, db, is_sqlite

LOOP_SECONDS = (0.4, 0.6)

LOG_PAGES = MAX_LOG_PAGES // 4
"""A smaller log is left as it is. When it starts again, one transaction waits for the disk."""

RESTART_PAGES = MAX_LOG_PAGES // 2
"""When a log of this size grows while it is moved, writers have to wait until it is moved."""

ATTEMPTS = 3
READERS_SECONDS = 0.05
"""How long writers also wait for those who still read from the log."""

log = logging.getLogger(__name__)


class Checkpoints:
    """Moves the log when it is large: by a loop in each worker, and when asked to."""

    def __init__(self, app: Flask, socketio: SocketServer) -> None:
        with app.app_context():
            database = db.engine.url.database if is_sqlite() else None
        self._database = database
        self._at_work = threading.Lock()
        self._outage = Outage(log)
        self._loop = BackgroundLoop(socketio, LOOP_SECONDS, self.move_large_log, "A checkpoint")

    def start(self) -> None:
        """Start the loop, with SQLite; a second call does nothing."""
        if self._database is not None:
            self._loop.start()

    def stop(self, deadline: float) -> None:
        """End the loop."""
        self._loop.stop(deadline)

    def move_large_log(self) -> None:
        """Return when the log is not large, or after an attempt to move it.

        Does nothing with PostgreSQL. A full disk, for example, is only logged.
        """
        if self._database is None:
            return
        with self._at_work:
            if _log_bytes(self._database) < LOG_PAGES * SQLITE_PAGE_BYTES:
                return
            try:
                engine.run_in_thread(_move_log, self._database)
            except sqlite3.Error as error:
                self._outage.begin("The write-ahead log cannot be moved: %s", error)
            else:
                self._outage.end("The write-ahead log can be moved again, after %.1f s.")


def _log_bytes(database: str) -> int:
    """Return the size of the log. It shrinks when the log starts again: journal_size_limit is 0."""
    with suppress(FileNotFoundError):
        return Path(f"{database}-wal").stat().st_size
    return 0


def _move_log(database: str) -> None:
    """Move the log. SQLite writes from its beginning again once all of it has been moved."""
    with closing(
        sqlite3.connect(database, timeout=READERS_SECONDS, isolation_level=None)
    ) as connection:
        pages = 0
        for _ in range(ATTEMPTS):
            is_busy, pages, moved = _checkpoint(connection, "PASSIVE")
            if is_busy or pages == moved:
                return
        if pages >= RESTART_PAGES:
            _checkpoint(connection, "RESTART")


def _checkpoint(connection: sqlite3.Connection, mode: str) -> tuple[int, int, int]:
    """Return whether another thread is moving the log, its pages, and how many are moved."""
    row: tuple[int, int, int] = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    return row
