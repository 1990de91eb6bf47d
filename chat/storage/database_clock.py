"""Compares the clock of this host with that of PostgreSQL, and corrects the time it uses.

With several hosts, the end of a mute or of a message's time is written by one host and checked by
others. SQLite is used on one host only, so its time is that of this host.
"""

import logging
import time
from datetime import UTC, datetime

from flask import Flask
from sqlalchemy import func, select

from chat import clock
from chat.background import BackgroundLoop
from chat.errors import Busy
from chat.socket_server import SocketServer
from chat.storage.database import is_sqlite, read_transaction

LOOP_SECONDS = (8.0, 12.0)

MAX_ROUND_TRIP_SECONDS = 0.5
"""The answer to a slower request does not say precisely what time it is."""

REPORTED_SECONDS = 5.0
"""A larger difference is logged."""

log = logging.getLogger(__name__)


class DatabaseClock:
    """Keeps the time of this process that of the database."""

    def __init__(self, app: Flask, socketio: SocketServer) -> None:
        self._app = app
        self._loop = BackgroundLoop(socketio, LOOP_SECONDS, self.synchronize, "Reading the time")
        self._has_reported = False
        with app.app_context():
            self._is_needed = not is_sqlite()

    def start(self) -> None:
        """Start the loop, with PostgreSQL; a second call does nothing."""
        if self._is_needed:
            self._loop.start()

    def stop(self, deadline: float) -> None:
        """End the loop."""
        self._loop.stop(deadline)

    def synchronize(self) -> None:
        """Correct the time, unless the database does not answer at once."""
        if not self._is_needed:
            return
        with self._app.app_context():
            try:
                ahead_seconds = _measure()
            except Busy:
                return
        if ahead_seconds is None:
            return
        clock.correct(ahead_seconds)
        self._report(ahead_seconds)

    def _report(self, ahead_seconds: float) -> None:
        """Log a large difference once, and again after it has been small."""
        is_large = abs(ahead_seconds) >= REPORTED_SECONDS
        if is_large and not self._has_reported:
            log.warning(
                "The clock of this host is %.0f s %s that of the database, whose time is used: "
                "synchronize the clocks of all hosts (NTP).",
                abs(ahead_seconds),
                "ahead of" if ahead_seconds > 0 else "behind",
            )
        self._has_reported = is_large


def _measure() -> float | None:
    """Return by how many seconds the clock of this host is ahead; None if that is not precise.

    Raises Busy.
    """
    with read_transaction() as connection:
        connection.exec_driver_sql("SELECT 1")  # connects
        asked_at = time.monotonic()
        before = datetime.now(UTC)
        database_time = connection.scalar(select(func.timezone("utc", func.clock_timestamp())))
        round_trip_seconds = time.monotonic() - asked_at
    if round_trip_seconds > MAX_ROUND_TRIP_SECONDS:
        return None
    assert isinstance(database_time, datetime), database_time  # noqa: S101  # it is never NULL
    ahead = before - database_time.replace(tzinfo=UTC)
    return ahead.total_seconds() + round_trip_seconds / 2
