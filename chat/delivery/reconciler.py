"""The reconciler: polls the database for the heads of rooms and repairs gaps.

Whatever the bus loses, the reconciler finds: it bounds the delay when everything else fails.
"""

import threading
from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import islice
from typing import NamedTuple
from weakref import WeakValueDictionary

from flask import Flask
from sqlalchemy import select

from chat import wire
from chat.background import BackgroundLoop, WorkInProgress, run_logged
from chat.broadcasts import Broadcaster, socketio_room
from chat.delivery.bus import Bus
from chat.delivery.sequencer import Sequencer
from chat.models import HEAD_COLUMNS, Room, RoomHead, rooms
from chat.moderation.enforcement import Enforcement
from chat.socket_server import SocketServer
from chat.storage.database import read_transaction

POLL_SECONDS = (2.0, 3.0)
"""The shortest and the longest pause; random, so that workers do not poll at the same time.

With the time that a poll takes, a change is found within the 3.5 seconds that docs/delivery.md
states.
"""

GAP_WAIT_SECONDS = 0.05
"""How long to wait for a missing number to arrive over the bus before it is read."""

CATCH_UP_CHANGES = 200

MAX_ROOMS_PER_QUERY = 500
"""Rooms that are read in one statement: databases limit its variables."""

ROOMS_AT_A_TIME = 5
"""Rooms that are compared with their rows before other greenlets have a turn."""


class Announced(NamedTuple):
    """What was announced of a room last.

    Without `is_sent`, nothing was: it differs from every row, so the next poll announces the room.
    """

    room_id: int
    head: int
    epoch: str
    floor: int
    is_sent: bool = True


class Seen(NamedTuple):
    """What this worker knew of a room before a poll read it."""

    epoch: str | None
    cursor: int


class Reconciler:
    """Watches the rooms with connections on this worker, and owns their sequencer.

    `rooms` holds a room by its label as long as a connection on this worker is in it.
    """

    def __init__(
        self,
        app: Flask,
        socketio: SocketServer,
        broadcaster: Broadcaster,
        bus: Bus,
        enforcement: Enforcement,
    ) -> None:
        self.sequencer = Sequencer(self._on_change, self._repair_gap_in_background)
        self.rooms: WeakValueDictionary[str, Room] = WeakValueDictionary()
        self._app = app
        self._socketio = socketio
        self._broadcaster = broadcaster
        self._bus = bus
        self._enforcement = enforcement
        self._announced: dict[str, Announced] = {}
        self._poll_lock = threading.Lock()  # one poll at a time: no head follows a newer one
        self._work = WorkInProgress()
        self._loop = BackgroundLoop(
            socketio, POLL_SECONDS, self.poll, "Polling the heads of the rooms"
        )

    def _on_change(self, label: str, event: str, payload: wire.JSON) -> None:
        """Broadcast a change on this worker, and enforce what a host did."""
        self._broadcaster.emit(label, event, payload)
        if payload.get("kind") == "moderation":
            self._enforcement.on_moderation(label, self.rooms.get(label), payload)

    def track(self, room: Room) -> Room:
        """Watch a room that a connection is about to enter.

        Returns the `Room` object that all connections in the room share.
        """
        shared = self.rooms.get(room.label)
        if shared is None:
            self._reset_if_recreated(room)
        # The head of a room that was just read is new. That of a shared object is old, and changes
        # since then are repaired.
        self.sequencer.track(room.label, room.head)
        self._loop.start()
        return self.rooms.setdefault(room.label, room)

    def shared_room(self, label: str) -> Room | None:
        """Return the shared object of a room, as long as its changes are tracked."""
        if self.sequencer.cursor(label) is None:
            return None
        return self.rooms.get(label)

    def _reset_if_recreated(self, room: Room) -> None:
        """Broadcast from the head of this room on, if it has another epoch than the announced one.

        It was deleted and created again then, or its history restored: numbers up to the old head
        are new.
        """
        first = Announced(room.id, room.head, room.epoch, room.floor, is_sent=False)
        announced = self._announced.setdefault(room.label, first)
        if announced.epoch != room.epoch:
            self._announced[room.label] = first
            self.sequencer.reset(room.label, room.head)

    def forget(self, room: Room) -> None:
        """Stop sharing the object of a room that has been deleted."""
        shared = self.rooms.get(room.label)
        if shared is not None and shared.id == room.id:
            self.rooms.pop(room.label, None)

    def stop(self, deadline: float) -> None:
        """Stop reading; return when this does not use the database any more, or at the deadline."""
        self._loop.stop(deadline)
        self._work.stop(deadline)

    def on_message(self, event: str, payload: wire.JSON) -> None:
        """Take in a change from another worker. Raises ValueError when it cannot come from one."""
        has_label = isinstance(payload["label"], str)
        has_numbers = type(payload["rev"]) is int and type(payload["seq"]) is int
        if not has_label or not has_numbers:
            raise ValueError("not the payload of a message")
        self.sequencer.push(payload["label"], event, payload)

    def on_followed(self, labels: set[str]) -> None:
        """Broadcast the changes of rooms that were published before this worker followed them.

        Called when the bus has confirmed that their events arrive from now on.
        """
        self._run_logged(
            partial(self._catch_up_rooms, labels), "Reading the heads of rooms that were entered"
        )

    def _catch_up_rooms(self, labels: set[str]) -> None:
        with self._app.app_context():
            for some in _batches(labels):
                for room in _find_rooms(some):
                    self._catch_up_with(room)

    def _catch_up_with(self, room: RoomHead) -> None:
        """Broadcast the changes up to a head, unless the history is another one."""
        announced = self._announced.get(room.label)
        if announced is not None and announced.epoch != room.epoch:
            return  # the next poll decides
        cursor = self.sequencer.cursor(room.label)
        if cursor is not None and cursor < room.head:
            self._catch_up(room.label)

    def resync(self) -> None:
        """Broadcast the changes that the bus did not deliver, and announce every head.

        Called after every connection of the bus, the first one included.
        """
        self._run_logged(
            partial(self.poll, announce_all=True), "Reading the heads after the bus connected"
        )

    def poll(self, announce_all: bool = False) -> None:
        """Read the heads of all rooms with connections here.

        Repairs gaps, announces new heads and raised floors, and disconnects people in rooms that
        have been deleted.
        """
        with self._poll_lock, self._app.app_context():
            labels = self._labels()
            self._forget_all_but(labels)
            for some in _batches(labels):
                self._poll_rooms(some, announce_all)

    def _forget_all_but(self, labels: set[str]) -> None:
        """Forget the rooms in which nobody is connected here any more."""
        self.sequencer.retain(labels)
        self._bus.follow_only(labels)
        # In place, and over a copy: threads that enter a room change it meanwhile.
        for label in list(self._announced):
            if label not in labels:
                self._announced.pop(label, None)

    def _poll_rooms(self, labels: set[str], announce_all: bool) -> None:
        shared_before = {label: self.rooms.get(label) for label in labels}
        seen = {label: self._seen(label) for label in labels}
        found = _find_rooms(labels)
        for label in labels - {room.label for room in found}:
            self._enforcement.disconnect_everybody(label)
        for number, room in enumerate(found, 1):
            if not self._is_outdated(room, seen[room.label].epoch):
                self._reconcile(room, announce_all, seen[room.label].cursor)
            if number % ROOMS_AT_A_TIME == 0:
                self._socketio.sleep(0)  # messages do not wait for all rooms
        self._forget_deleted_rooms(shared_before, {room.label: room.id for room in found})

    def _seen(self, label: str) -> Seen:
        announced = self._announced.get(label)
        epoch = None if announced is None else announced.epoch
        return Seen(epoch, self.sequencer.cursor(label) or 0)

    def _is_outdated(self, row: RoomHead, epoch_before: str | None) -> bool:
        """Whether a connection entered the room under a newer epoch while the row was read."""
        announced = self._announced.get(row.label)
        return announced is not None and announced.epoch not in (epoch_before, row.epoch)

    def _reconcile(self, room: RoomHead, announce: bool, cursor_before: int) -> None:
        """Bring a room up to its row. `cursor_before` is the cursor before the row was read."""
        current = Announced(room.id, room.head, room.epoch, room.floor)
        announced = self._announced.get(room.label)
        has_new_epoch = announced is not None and announced.epoch != room.epoch
        if announced is not None and has_new_epoch and _is_replaced(room, announced, cursor_before):
            self.sequencer.reset(room.label, room.head)
        if has_new_epoch:
            # What hosts did before that is not broadcast here.
            self._enforcement.on_changes_skipped(room.label, self.rooms.get(room.label))
        self.sequencer.track(room.label, room.head)  # for those who entered during the query
        if (self.sequencer.cursor(room.label) or 0) < room.head:
            self._catch_up(room.label)
        if announce or current != announced:
            self._announced[room.label] = current
            self._broadcaster.head(room)

    def _forget_deleted_rooms(self, shared: dict[str, Room | None], ids: dict[str, int]) -> None:
        """Stop sharing rooms that were polled and are gone, not those entered meanwhile."""
        for label, room in shared.items():
            if room is not None and ids.get(label) != room.id and self.rooms.get(label) is room:
                self.rooms.pop(label, None)

    def _labels(self) -> set[str]:
        """Return the labels of the rooms with connections on this worker."""
        prefix = socketio_room("")
        names = list(self._socketio.server.manager.rooms.get("/", {}))
        return {name.removeprefix(prefix) for name in names if name and name.startswith(prefix)}

    def _repair_gap_in_background(self, label: str) -> None:
        self._socketio.start_background_task(self._repair_gap, label)

    def _repair_gap(self, label: str) -> None:
        """Wait a moment for the missing number to arrive over the bus, then read it."""
        self._socketio.sleep(GAP_WAIT_SECONDS if self._bus.is_up else 0)
        if self.sequencer.has_gap(label):
            self._run_logged(lambda: self._catch_up(label), "Reading missing messages")

    def _run_logged(self, work: Callable[[], None], description: str) -> None:
        """Do work that uses the database in a task other than the loop, until `stop`."""
        with self._work.task() as may_run:
            if may_run:
                run_logged(work, description)

    def _catch_up(self, label: str) -> None:
        with self._app.app_context():
            room = Room.find(label)
            first_cursor = self.sequencer.cursor(label)
            while (cursor := self.sequencer.cursor(label)) is not None:
                page = room.changes(cursor, CATCH_UP_CHANGES)
                if page.floor > cursor:  # some changes do not exist any more
                    self._enforcement.on_changes_skipped(label, self.rooms.get(label))
                changes = [wire.message(room, message) for message in page.messages]
                self.sequencer.catch_up(label, changes, page.upto, first_cursor)
                if page.upto >= page.head:
                    return


def _is_replaced(room: RoomHead, announced: Announced, cursor_before: int) -> bool:
    """Return whether a new epoch means another history, restored or of another room.

    Otherwise a host has cleared the history: its numbers continue, above a floor which is at least
    the head before.
    """
    return room.id != announced.room_id or room.floor < announced.head or room.head < cursor_before


def _batches(labels: Collection[str]) -> Iterator[set[str]]:
    """Return the labels in sets of which each can be read in one statement."""
    remaining = iter(labels)
    while some := set(islice(remaining, MAX_ROOMS_PER_QUERY)):
        yield some


def _find_rooms(labels: set[str]) -> list[RoomHead]:
    """Read rooms, at most MAX_ROOMS_PER_QUERY."""
    statement = select(*HEAD_COLUMNS).where(rooms.c.label.in_(labels))
    with read_transaction() as connection:
        return [RoomHead(*row) for row in connection.execute(statement)]
