"""Presence tracking: announces who enters and leaves, to local rooms and to other workers.

All announcements of a second are sent together. What a worker knows about the others expires when
they are silent (see roster.py).
"""

import json
import secrets
import time
from functools import partial
from itertools import islice

from flask import Flask

from chat.background import BackgroundLoop, run_logged
from chat.broadcasts import Broadcaster
from chat.delivery.bus import Bus
from chat.models import Room
from chat.presence.registry import WorkerRegistry
from chat.presence.roster import LEASE_SECONDS, Roster
from chat.socket_server import SocketServer
from chat.wire import JSON

ANNOUNCE_SECONDS = 1
REFRESH_SECONDS = 10

MAX_HANDLE_LOOKUPS = 20
"""Rooms whose earlier handles are read from the database, in each second."""

BUS_GRACE_SECONDS = 5
"""How long the bus may be down before the list of people is reported as partial."""

MAX_PEOPLE_FOR_TYPING = 50
"""Typing is announced in rooms of at most this many people."""


class PresenceTracker:
    """Keeps the roster of this worker up to date and announces its changes.

    `partial` is true while people on other workers cannot be known. `bus_grace_seconds` is how long
    the bus may be down before that is so: infinite for a single worker.
    """

    def __init__(
        self,
        app: Flask,
        socketio: SocketServer,
        broadcaster: Broadcaster,
        bus: Bus,
        registry: WorkerRegistry,
        bus_grace_seconds: float,
    ) -> None:
        self.roster = Roster()
        self.partial = bus_grace_seconds == 0
        self._app = app
        self._socketio = socketio
        self._broadcaster = broadcaster
        self._bus = bus
        self._registry = registry
        self._bus_grace_seconds = bus_grace_seconds
        self._worker_id = secrets.token_hex(8)
        self._bus_up_at = time.monotonic()
        self._authors_without_handle: dict[str, tuple[Room, set[str]]] = {}
        self._loop = BackgroundLoop(
            socketio, (ANNOUNCE_SECONDS, ANNOUNCE_SECONDS), self._run_once, "Announcing presence"
        )
        self._refreshed_at = time.monotonic()

    def enter(self, room: Room, author: str, connection: str) -> None:
        """Add a connection to a room. The first one starts the announcements."""
        if self._loop.start():
            self._refreshed_at = time.monotonic()
            self.roster.expire(self._refreshed_at)
        handle = self.roster.enter(room.label, room.mark(author), connection)
        if not handle:
            _, authors = self._authors_without_handle.setdefault(room.label, (room, set()))
            authors.add(author)

    def leave(self, connection: str, _reason: object = None) -> None:
        """Remove a connection from its room."""
        self.roster.leave(connection, time.monotonic())

    def stop(self) -> None:
        """Stop the announcements."""
        self._loop.stop()

    def announce_typing(self, payload: JSON) -> None:
        """Announce to the others in a small room that a person is typing."""
        if len(self.roster.handles(payload["label"])) > MAX_PEOPLE_FOR_TYPING:
            return
        self.on_typing("typing", payload)
        self._bus.publish("typing", payload)

    def on_typing(self, _event: str, payload: JSON) -> None:
        """Broadcast that a person is typing, on this worker or on another."""
        own_connections = self.roster.connections(payload["label"], payload["mark"])
        self._broadcaster.typing(payload, skip_connections=own_connections)

    def on_message(self, _event: str, payload: JSON) -> None:
        """Take in the people of another worker.

        Raises ValueError or KeyError when no worker can have sent this payload.
        """
        worker_id = payload["worker"]
        here = payload["here"]
        gone = payload["gone"]
        has_id = isinstance(worker_id, str)
        if not has_id or not isinstance(here, dict) or not isinstance(gone, dict):
            raise ValueError("not a list of people")
        expires_at = time.monotonic() + payload.get("seconds", LEASE_SECONDS)
        self.roster.on_message(worker_id, here, gone, expires_at, is_complete=payload["whole"])

    def on_bus_connect(self) -> None:
        """Publish all people of this worker, and read those that the other workers registered."""
        run_logged(self.refresh, "Registering the people of this worker")
        for worker_id, text, seconds in self._registry.load_all():
            if worker_id == self._worker_id or self.roster.knows(worker_id):
                continue
            run_logged(
                partial(self._take_in_registered, text, seconds),
                "Reading the people of another worker",
            )

    def _take_in_registered(self, text: str, seconds: float) -> None:
        """Take in the people that another worker registered; they are valid for `seconds`."""
        payload = json.loads(text) | {"seconds": seconds, "whole": False}
        self.on_message("presence", payload)

    def announce(self, now: float) -> None:
        """Send what has changed to the other workers and to each local room."""
        self.roster.expire(now)
        run_logged(self._look_up_handles, "Reading the names of people")
        was_partial = self.partial
        self._update_partial(now)
        here, gone = self.roster.worker_changes()
        if here or gone:
            self._bus.publish(
                "presence",
                {"worker": self._worker_id, "here": here, "gone": gone, "whole": False},
            )
        for payload in self.roster.room_announcements(all_rooms=self.partial != was_partial):
            if self.partial:
                payload["partial"] = True
            self._broadcaster.presence(payload)

    def refresh(self) -> None:
        """Send all people of this worker to running workers, and register them for later ones."""
        people = {
            "worker": self._worker_id,
            "here": self.roster.local_handles(),
            "gone": {},
            "whole": True,
        }
        # Registered first: a worker that misses one of the two gets the other.
        self._registry.save(self._worker_id, json.dumps(people), LEASE_SECONDS)
        self._bus.publish("presence", people)

    def _update_partial(self, now: float) -> None:
        if self._bus.is_up:
            self._bus_up_at = now
        self.partial = now - self._bus_up_at > self._bus_grace_seconds
        if self.partial:
            self.roster.forget_others()

    def _look_up_handles(self) -> None:
        """Find the earlier handles of people who entered and have not written anything since."""
        for label in list(islice(self._authors_without_handle, MAX_HANDLE_LOOKUPS)):
            room, authors = self._authors_without_handle.pop(label)
            with self._app.app_context():
                known = self.roster.handles(label)
                unknown = {author for author in authors if not known.get(room.mark(author))}
                if not unknown:
                    continue
                for author, handle in room.recent_handles(unknown).items():
                    self.roster.set_handle(label, room.mark(author), handle)

    def _run_once(self) -> None:
        now = time.monotonic()
        run_logged(partial(self.announce, now), "Announcing presence")
        if self._bus.is_up and now - self._refreshed_at >= REFRESH_SECONDS:
            self._refreshed_at = now
            # In the background: Redis may be slow to answer.
            self._socketio.start_background_task(
                run_logged, self.refresh, "Registering the people of this worker"
            )
