"""The purger: runs the rounds of the purge, one worker at a time."""

import time
from collections.abc import Callable
from contextlib import suppress

from flask import Flask

from chat import engine
from chat.background import BackgroundLoop, seconds_until
from chat.errors import Busy
from chat.moderation.rules import utc_now
from chat.socket_server import SocketServer
from chat.storage.checkpoints import Checkpoints
from chat.storage.journal import Journal
from chat.storage.leases import Lease
from chat.storage.purge import IsOccupied, Purge, PurgeReport

ROUND_SECONDS = (10.0, 15.0)
"""The shortest and the longest pause between two rounds.

With the longest deletion, expired messages are gone within a minute, also when the worker that
purged has ended and another has to wait for the lease.
"""

DELETION_SECONDS = 15.0
"""How long a round deletes rows. The next one goes on at once, after it has raised the floors."""

PAUSE_RATIO = 3
"""The pause after a transaction, as a multiple of the time that it took."""

MIN_PAUSE_SECONDS = 0.02

CLEANING_SECONDS = 3600.0
SCHEDULING_SECONDS = 24 * 3600.0

LEASE_NAME = "purge"


class Purger:
    """Purges in the background, on one worker at a time.

    `announce` broadcasts the floors that have been raised; the other workers find them themselves.
    """

    def __init__(
        self,
        app: Flask,
        socketio: SocketServer,
        journal: Journal,
        checkpoints: Checkpoints,
        announce: Callable[[], None],
        is_occupied: IsOccupied,
    ) -> None:
        self._app = app
        self._socketio = socketio
        self._journal = journal
        self._checkpoints = checkpoints
        self._announce = announce
        self._purge = Purge(is_occupied, self._pause)
        self._lease = Lease(LEASE_NAME)
        self._has_lease = False
        self._is_stopping = False
        self._next_cleaning = 0.0
        self._next_scheduling = 0.0
        self._loop = BackgroundLoop(socketio, ROUND_SECONDS, self.run_in_turn, "Purging")

    def start(self) -> None:
        """Start to purge; a second call does nothing."""
        self._loop.start()

    def stop(self, deadline: float) -> None:
        """Stop after the transaction that is running, and let another worker go on."""
        self._is_stopping = True
        self._loop.stop(deadline)
        if self._has_lease:
            self._release_lease(seconds_until(deadline))

    def _release_lease(self, seconds: float) -> None:
        """Release the lease, unless the database takes longer to answer than `seconds`.

        There is no limit in threads, as under `flask run`, and for PostgreSQL under gevent, whose
        driver does not yield.
        """
        with (
            self._app.app_context(),
            suppress(Busy, TimeoutError),
            engine.time_limit(seconds),
        ):
            self._lease.release()

    def run_in_turn(self) -> None:
        """Purge what is due, unless another worker does. Raises Busy."""
        with self._app.app_context():
            is_finished = False
            while not is_finished and not self._is_stopping:
                self._has_lease = self._lease.acquire()
                is_finished = not self._has_lease or self._run_round()

    def run_now(self) -> PurgeReport:
        """Purge everything that is due, whoever has the lease; return what was deleted.

        It is for another process than that of a worker. So rooms are not deleted for being
        abandoned, because it is not known who is in them. Raises Busy.
        """
        purge = Purge(_may_be_occupied, self._pause)
        self._has_lease = self._lease.acquire(force=True)
        now = utc_now()
        total = PurgeReport()
        purge.schedule_rooms(now)
        due = purge.raise_floors(now, self._announce)
        for step in (purge.delete_leftovers(due, now), purge.delete_old_rows(now)):
            for report in step:
                self._add(report, total)
        self._lease.release()
        self._has_lease = False
        return total

    def _run_round(self) -> bool:
        """Raise all floors, and delete rows for a while; return whether all are deleted."""
        now = utc_now()
        total = PurgeReport()
        if time.monotonic() >= self._next_scheduling:
            self._purge.schedule_rooms(now)
            self._next_scheduling = time.monotonic() + SCHEDULING_SECONDS
        due = self._purge.raise_floors(now, self._announce)
        deadline = time.monotonic() + DELETION_SECONDS
        for report in self._purge.delete_leftovers(due, now):
            self._add(report, total)
            if time.monotonic() > deadline:
                return False
        if time.monotonic() >= self._next_cleaning:
            self._next_cleaning = time.monotonic() + CLEANING_SECONDS
            for report in self._purge.delete_old_rows(now):
                self._add(report, total)
        return True

    def _add(self, report: PurgeReport, total: PurgeReport) -> None:
        total.messages += report.messages
        total.rooms += report.rooms
        total.other_rows += report.other_rows
        if report != PurgeReport():
            self._journal.has_erased_text = True

    def _pause(self, seconds: float) -> bool:
        """Wait after a transaction that took so long; return whether to go on.

        The log is moved here, because the purge fills it faster than the loop empties it.
        """
        started = time.monotonic()
        self._checkpoints.move_large_log()
        moving_seconds = time.monotonic() - started
        self._socketio.sleep(max(MIN_PAUSE_SECONDS, PAUSE_RATIO * seconds + moving_seconds))
        return not self._is_stopping and self._lease.keep()


def _may_be_occupied(_label: str) -> bool:
    return True
