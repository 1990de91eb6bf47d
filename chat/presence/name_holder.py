"""Keeps the names of people who are present held, so that nobody else can use them."""

import time

from flask import Flask

from chat.background import BackgroundLoop
from chat.moderation.names import CLAIM_MEMORY_SECONDS
from chat.presence.roster import Roster
from chat.socket_server import SocketServer
from chat.storage.known_names import extend_names

PAUSE_SECONDS = (4, 6)

MAX_PEOPLE_PER_ROUND = 100
"""A round ends after this many people, in one room or in several; each room takes a statement."""


class NameHolder:
    """Extends the names of those who enter within seconds, and those of everybody each hour."""

    def __init__(self, app: Flask, socketio: SocketServer, roster: Roster) -> None:
        self._app = app
        self._socketio = socketio
        self._roster = roster
        self._waiting: dict[str, set[str]] = {}  # marks by label
        self._added_all_at = time.monotonic()
        self._loop = BackgroundLoop(socketio, PAUSE_SECONDS, self._run_once, "Holding names")

    def on_entered(self, label: str, mark: str) -> None:
        """Note that somebody has entered a room on this worker."""
        self._waiting.setdefault(label, set()).add(mark)
        self._loop.start()

    def stop(self, deadline: float) -> None:
        """Stop the work."""
        self._loop.stop(deadline)

    def _run_once(self) -> None:
        now = time.monotonic()
        if now - self._added_all_at >= CLAIM_MEMORY_SECONDS:
            self._added_all_at = now
            self._add_everybody()
        if self._waiting:
            self._extend_first()

    def _add_everybody(self) -> None:
        for label, handles in self._roster.local_handles().items():
            self._waiting.setdefault(label, set()).update(handles)

    def _extend_first(self) -> None:
        """Extend the names in the rooms that have waited longest, a room at a time. Raises Busy."""
        extended = 0
        with self._app.app_context():
            for label in list(self._waiting):
                marks = list(self._waiting[label])[:MAX_PEOPLE_PER_ROUND]
                extend_names(label, marks)
                self._remove(label, marks)  # not before: after Busy they are tried again
                extended += len(marks)
                if extended >= MAX_PEOPLE_PER_ROUND:
                    return
                self._socketio.sleep(0)  # messages do not wait for the names of all rooms

    def _remove(self, label: str, marks: list[str]) -> None:
        waiting = self._waiting[label]
        waiting.difference_update(marks)
        if not waiting:
            del self._waiting[label]
