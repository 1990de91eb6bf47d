"""Presence tracking: announces who enters and leaves, to local rooms and to other workers.

All announcements of a second are sent together, to the workers that have somebody in the room. What
a worker knows about the others expires when they are silent (see roster.py).
"""

import secrets
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import inf
from typing import Any

from flask import Flask

from chat.background import BackgroundLoop, run_logged
from chat.broadcasts import Broadcaster
from chat.delivery.bus import Bus
from chat.errors import Busy
from chat.models import Room
from chat.presence.registry import PeopleByWorker, PresenceRegistry
from chat.presence.roster import LEASE_SECONDS, HandlesByMark, OtherPeople, Roster
from chat.socket_server import SocketServer
from chat.wire import JSON

ANNOUNCE_SECONDS = 1
LEASE_RENEWAL_SECONDS = 10

MAX_REFRESHED_ROOMS = 400
"""Rooms whose people are announced again, in each second."""

REGISTRATION_SECONDS = 100
"""How long what is registered for a room is valid.

A worker refreshes its rooms every REFRESH_SECONDS. With more than 12,000 rooms it takes longer, and
with more than 40,000 (MAX_REFRESHED_ROOMS * REGISTRATION_SECONDS) registrations expire before that.
"""

MAX_LOAD_ATTEMPTS = 5
"""How often a room is read again because another worker announced something meanwhile."""

LOAD_WAIT_SECONDS = 1.0
"""How long the first `join` on a worker waits for the people in the room on other workers."""

MAX_HANDLE_LOOKUPS = 20
"""Rooms whose earlier handles are read from the database, in each second."""

BUS_GRACE_SECONDS = 5
"""How long the bus may be down before the list of people is reported as partial."""

SETTLE_SECONDS = 3
"""How long after the bus has connected again the other workers may take to register their people.

Redis may have lost them.
"""

MAX_PEOPLE_FOR_TYPING = 50
"""Typing is announced in rooms of at most this many people."""


@dataclass(frozen=True)
class PeopleInRoom:
    """The people in a room on all workers: handles by mark, and how many there are."""

    handles: HandlesByMark
    count: int


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
        registry: PresenceRegistry,
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
        self._lease_renewed_at = -inf
        self._has_bus_connected = False
        self._bus_reconnected_at = -inf
        # The `up_since` of the connection to the bus that `on_bus_connect` has handled.
        self._handled_up_since: float | None = None
        self._publishing = threading.Lock()  # so that no older registration replaces a newer one
        self._loading: dict[str, Any] = {}  # events of Socket.IO's async mode, by label

    def enter(self, room: Room, author: str, connection: str) -> None:
        """Add a connection to a room. The first one starts the announcements."""
        if self._loop.start():
            self.roster.expire(time.monotonic())
        handle = self.roster.enter(room.label, room.mark(author), connection)
        if not handle:
            self.look_up_handle(room, author)

    def look_up_handle(self, room: Room, author: str) -> None:
        """Read the handle of a person in a room from the database soon, if they have none here."""
        _, authors = self._authors_without_handle.setdefault(room.label, (room, set()))
        authors.add(author)

    def leave(self, connection: str, _reason: object = None) -> None:
        """Remove a connection from its room."""
        self.roster.leave(connection, time.monotonic())

    def people_in(self, label: str) -> PeopleInRoom:
        """Return the people in a room on all workers, even if none of them is on this worker.

        Those on other workers are left out while they cannot be known.
        """
        people = self._read_people_in(label)
        if people is not None:
            return people
        return self._known_people_in(label)

    def all_people_in(self, label: str) -> PeopleInRoom | None:
        """Return the people in a room on all workers; None while others may be there unknown.

        Unlike `people_in`, it always reads the registry: what this worker knows of the others may
        be old, because it takes some seconds to notice that Redis is gone.
        """
        if self._bus_grace_seconds == inf:
            return self._known_people_in(label)
        if not self._bus.is_up:
            return None
        people = self._read_registered_people_in(label)
        # Checked afterwards: meanwhile, the connection may have been lost and Redis restarted.
        return people if self._has_settled() else None

    def _has_settled(self) -> bool:
        """Return whether all workers have registered again since Redis may have lost everybody."""
        # In this order, because `on_bus_connect` may run meanwhile.
        is_handled = self._handled_up_since == self._bus.up_since
        is_settled = time.monotonic() - self._bus_reconnected_at >= SETTLE_SECONDS
        return self._bus.is_up and is_handled and is_settled

    def may_be_in(self, label: str) -> bool:
        """Return whether somebody is in a room on any worker, or that is not known."""
        people = self._read_people_in(label)
        # Checked afterwards, because the connection may have been lost meanwhile.
        return not self._is_registry_complete() or people is None or people.count > 0

    def _is_registry_complete(self) -> bool:
        """Return whether every worker has had the time to register all its people.

        Redis may have lost what was registered before the last connection.
        """
        if self._bus_grace_seconds == inf:
            return True  # there is no other worker
        up_seconds = time.monotonic() - self._bus.up_since
        return self._bus.is_up and up_seconds >= REGISTRATION_SECONDS

    def _read_people_in(self, label: str) -> PeopleInRoom | None:
        """Return the people in a room, read from the registry if necessary; None if it fails."""
        if not self._bus.is_up or self.roster.is_loaded(label):
            return self._known_people_in(label)
        return self._read_registered_people_in(label)

    def _known_people_in(self, label: str) -> PeopleInRoom:
        """Return the people in a room, as far as this worker knows them."""
        return PeopleInRoom(self.roster.handles(label), self.roster.count(label))

    def _read_registered_people_in(self, label: str) -> PeopleInRoom | None:
        """Return the known people and those that workers have registered; None if it fails."""
        registered = self._load([label])
        if registered is None:
            return None
        others = registered[label]
        handles = dict(self.roster.handles(label))
        for people in others.values():
            handles = people.handles | handles
        unlisted = sum(people.unlisted for people in others.values())
        return PeopleInRoom(handles, len(handles) + unlisted)

    def wait_for_people(self, label: str) -> bool:
        """Return whether the people of a room on other workers are known, when they should be.

        Waits LOAD_WAIT_SECONDS at most if somebody has just entered the room, the first one on this
        worker.
        """
        if self.partial:
            return False
        if not self._bus.is_up or self.roster.is_loaded(label):
            return True
        loaded = self._loading.setdefault(label, self._socketio.server.eio.create_event())
        if not self.roster.is_loaded(label):
            loaded.wait(LOAD_WAIT_SECONDS)
            self._loading.pop(label, None)
        return self.roster.is_loaded(label)

    def stop(self, deadline: float) -> None:
        """Stop the announcements."""
        self._loop.stop(deadline)

    def announces_typing(self, label: str) -> bool:
        """Return whether a room has so few people that the others are told who is typing."""
        return self.roster.count(label) <= MAX_PEOPLE_FOR_TYPING

    def announce_typing(self, payload: JSON) -> None:
        """Announce to the others in the room that a person is typing, on all workers."""
        self.on_typing("typing", payload)
        self._bus.publish_to_room(payload["label"], "typing", payload)

    def on_typing(self, _event: str, payload: JSON) -> None:
        """Broadcast that a person is typing, on this worker or on another."""
        own_connections = self.roster.connections(payload["label"], payload["mark"])
        self._broadcaster.typing(payload, skip_connections=own_connections)

    def on_message(self, _event: str, payload: JSON) -> None:
        """Take in the people of another worker in a room.

        Raises ValueError or KeyError when no worker can have sent this payload.
        """
        worker_id = payload["worker"]
        label = payload["label"]
        if not isinstance(worker_id, str) or not isinstance(label, str):
            raise ValueError("not the people of a worker")
        people = _parse_people(payload)
        self.roster.renew(worker_id, time.monotonic() + LEASE_SECONDS)
        if people.unlisted or "here" not in payload:
            self.roster.on_count(worker_id, label, people.unlisted)
            return
        gone = payload["gone"]
        is_complete = bool(payload["whole"])
        if not isinstance(gone, list):
            raise ValueError("not a list of marks")
        self.roster.on_people(worker_id, label, people.handles, gone, is_complete=is_complete)

    def on_alive(self, _event: str, payload: JSON) -> None:
        """Note that another worker is alive. Raises ValueError or KeyError."""
        worker_id = payload["worker"]
        if not isinstance(worker_id, str):
            raise ValueError("not the id of a worker")
        self.roster.renew(worker_id, time.monotonic() + LEASE_SECONDS)

    def on_bus_connect(self) -> None:
        """Announce everything again, and read what the other workers registered.

        Announcements in both directions may have been lost.
        """
        up_since = self._bus.up_since
        if self._has_bus_connected:
            self._bus_reconnected_at = time.monotonic()
        self._has_bus_connected = True
        self._handled_up_since = up_since
        self.roster.unload()
        self.roster.make_refresh_due()
        run_logged(self._renew_lease, "Registering this worker")
        run_logged(self._load_leases, "Reading which workers are alive")
        run_logged(partial(self._refresh, time.monotonic()), "Registering the people here")
        self.load_rooms(self.roster.labels_to_load())

    def load_rooms(self, labels: Collection[str]) -> None:
        """Read who is in rooms on the other workers, whose announcements arrive from now on."""
        run_logged(partial(self._load_rooms, set(labels)), "Reading who is on the other workers")

    def _load_rooms(self, labels: set[str]) -> None:
        for _ in range(MAX_LOAD_ATTEMPTS):
            self.roster.begin_loading(labels)
            registered = self._load(labels)
            if registered is None:
                return
            for label, people in registered.items():
                if self.roster.load(label, people):
                    labels.discard(label)
                    waiting = self._loading.pop(label, None)
                    if waiting is not None:
                        waiting.set()
            if not labels:
                return

    def _load(self, labels: Collection[str]) -> dict[str, dict[str, OtherPeople]] | None:
        """Return whom the other live workers registered, by label; None if it cannot be read."""
        registered = self._registry.load_rooms(labels)
        if registered is None:
            return None
        workers = {worker_id for people in registered.values() for worker_id in people}
        if workers - self.roster.live_workers(time.monotonic()) - {self._worker_id}:
            self._load_leases()
        live = self.roster.live_workers(time.monotonic())
        return {label: _people_of(people, live) for label, people in registered.items()}

    def _load_leases(self) -> None:
        now = time.monotonic()
        for worker_id, seconds in self._registry.load_leases().items():
            if worker_id != self._worker_id:
                self.roster.renew(worker_id, now + seconds)

    def announce(self, now: float) -> None:
        """Send what has changed to the other workers and to each local room."""
        self.roster.expire(now)
        run_logged(self._look_up_handles, "Reading the names of people")
        was_partial = self.partial
        self._update_partial(now)
        # First: `room_announcements` forgets what has changed, by which a room may have become
        # large or small.
        changes = self.roster.worker_changes(now)
        announcements = self.roster.room_announcements(
            all_rooms=self.partial != was_partial, is_loading=self._bus.is_up
        )
        for payload in announcements:
            if self.partial:
                payload["partial"] = True
            self._broadcaster.presence(payload)

        # After the broadcasts, because Redis may be slow to answer.
        self._publish(changes)

    def _publish(self, payloads: list[JSON]) -> None:
        """Announce people on this worker to the other workers."""
        if not payloads or not self._bus.is_up:
            return
        labels = {payload["label"] for payload in payloads}
        with self._publishing:
            registrations = {label: self.roster.registration(label) for label in labels}
            # Registered first: a worker that misses one of the two gets the other.
            is_saved = self._registry.save_rooms(
                self._worker_id, registrations, REGISTRATION_SECONDS
            )
            for payload in payloads:
                message = payload | {"worker": self._worker_id}
                self._bus.publish_to_room(payload["label"], "presence", message)
        if not is_saved:
            self.roster.make_refresh_due(labels)

    def _refresh(self, now: float) -> None:
        """Announce all people on this worker in the rooms for which that is due."""
        self._publish(self.roster.due_refreshes(now, MAX_REFRESHED_ROOMS))

    def _renew_lease(self) -> None:
        """Announce that this worker is alive, if it has anybody to announce."""
        self._lease_renewed_at = time.monotonic()
        self._registry.renew_lease(self._worker_id, LEASE_SECONDS)
        self._bus.publish("alive", {"worker": self._worker_id})

    def _update_partial(self, now: float) -> None:
        if self._bus.is_up:
            self._bus_up_at = now
        self.partial = now - self._bus_up_at > self._bus_grace_seconds
        if self.partial:
            self.roster.forget_others()

    def _look_up_handles(self) -> None:
        """Find the last handles of people of whom this worker knows none. Raises Busy."""
        for label in list(islice(self._authors_without_handle, MAX_HANDLE_LOOKUPS)):
            room, authors = self._authors_without_handle.pop(label)
            try:
                with self._app.app_context():
                    self._set_last_handles(room, list(authors))
            except Busy:
                for author in list(authors):
                    self.look_up_handle(room, author)  # again in the next round
                raise
            self._socketio.sleep(0)  # messages do not wait for the names in all rooms

    def _set_last_handles(self, room: Room, authors: Collection[str]) -> None:
        known = self.roster.handles(room.label)
        unknown = [author for author in authors if not known.get(room.mark(author))]
        if not unknown:
            return
        for author, handle in room.recent_handles(unknown).items():
            self.roster.set_handle(room.label, room.mark(author), handle)

    def _run_once(self) -> None:
        now = time.monotonic()
        # Before `announce`, although Redis may be slow to answer: the others ignore the people that
        # a worker without a lease has registered.
        if self._bus.is_up and now - self._lease_renewed_at >= LEASE_RENEWAL_SECONDS:
            run_logged(self._renew_lease, "Registering this worker")
        run_logged(partial(self.announce, now), "Announcing presence")
        if not self._bus.is_up:
            return
        run_logged(partial(self._refresh, now), "Registering the people here")
        missing = self.roster.labels_to_load()
        if missing:
            self.load_rooms(missing)


def _parse_people(payload: JSON) -> OtherPeople:
    """Return the people in a payload: handles by mark, or only a number. Raises ValueError."""
    count = payload.get("count", 0)
    here = payload.get("here", {})
    if type(count) is not int or not isinstance(here, dict):
        raise ValueError("neither people nor a number")
    return OtherPeople(here, count)


def _people_of(registered: PeopleByWorker, workers: set[str]) -> dict[str, OtherPeople]:
    """Return what these workers registered for a room."""
    return {
        worker_id: _parse_people(payload)
        for worker_id, payload in registered.items()
        if worker_id in workers
    }
