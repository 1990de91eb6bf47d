"""The reconciler: polls the database for the heads of rooms and repairs gaps.

Whatever the bus loses, the reconciler finds: it bounds the delay when everything else fails.
"""

from functools import partial
from weakref import WeakValueDictionary

from flask import Flask
from sqlalchemy import select

from chat import wire
from chat.background import BackgroundLoop, run_logged
from chat.broadcasts import Broadcaster, socketio_room
from chat.delivery.bus import Bus
from chat.delivery.sequencer import Sequencer
from chat.models import Room, RoomRow, rooms
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

NEVER_ANNOUNCED = -1
"""A head that no room has, so that the next poll announces the room."""


class Reconciler:
    """Watches the rooms with connections on this worker, and owns their sequencer.

    `rooms` holds a room by its label as long as a connection on this worker is in it.
    """

    def __init__(
        self, app: Flask, socketio: SocketServer, broadcaster: Broadcaster, bus: Bus
    ) -> None:
        self.sequencer = Sequencer(broadcaster.emit, self._repair_gap_in_background)
        self.rooms: WeakValueDictionary[str, Room] = WeakValueDictionary()
        self._app = app
        self._socketio = socketio
        self._broadcaster = broadcaster
        self._bus = bus
        self._announced: dict[str, tuple[int, str]] = {}
        self._loop = BackgroundLoop(
            socketio, POLL_SECONDS, self.poll, "Polling the heads of the rooms"
        )

    def track(self, room: Room) -> Room:
        """Watch a room that a connection is about to enter.

        Returns the `Room` object that all connections in the room share.
        """
        shared = self.rooms.get(room.label)
        if shared is None:
            self._reset_if_recreated(room)
        if shared is not room:  # it was just read; the head of a shared object is old
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
        announced = self._announced.setdefault(room.label, (NEVER_ANNOUNCED, room.epoch))
        if announced[1] != room.epoch:
            self._announced[room.label] = (NEVER_ANNOUNCED, room.epoch)
            self.sequencer.reset(room.label, room.head)

    def forget(self, room: Room) -> None:
        """Stop sharing the object of a room that has been deleted."""
        shared = self.rooms.get(room.label)
        if shared is not None and shared.id == room.id:
            self.rooms.pop(room.label, None)

    def stop(self) -> None:
        """Stop polling."""
        self._loop.stop()

    def on_message(self, event: str, payload: wire.JSON) -> None:
        """Take in a change from another worker. Raises ValueError when it cannot come from one."""
        has_label = isinstance(payload["label"], str)
        has_numbers = type(payload["rev"]) is int and type(payload["seq"]) is int
        if not has_label or not has_numbers:
            raise ValueError("not the payload of a message")
        self.sequencer.push(payload["label"], event, payload)

    def resync(self) -> None:
        """Broadcast the changes that the bus did not deliver, and announce every head.

        Called after every connection of the bus, the first one included.
        """
        run_logged(
            partial(self.poll, announce_all=True), "Reading the heads after the bus connected"
        )

    def poll(self, announce_all: bool = False) -> None:
        """Read the heads of all rooms with connections here; repair gaps and announce new heads."""
        with self._app.app_context():
            labels = self._labels()
            self.sequencer.retain(labels)
            # In place, and over a copy: threads that enter a room change it meanwhile.
            for label in list(self._announced):
                if label not in labels:
                    self._announced.pop(label, None)
            epochs_before = {label: epoch for label, (_, epoch) in list(self._announced.items())}
            found = _find_rooms(labels)
            for room in found:
                if not self._is_outdated(room, epochs_before.get(room.label)):
                    self._reconcile(room, announce_all)
        self._forget_deleted_rooms({room.label: room.id for room in found})

    def _is_outdated(self, row: RoomRow, epoch_before: str | None) -> bool:
        """Whether a connection entered the room under a newer epoch while the row was read."""
        announced = self._announced.get(row.label)
        return announced is not None and announced[1] not in (epoch_before, row.epoch)

    def _reconcile(self, room: RoomRow, announce: bool) -> None:
        current = (room.head, room.epoch)
        announced = self._announced.get(room.label)
        if announced is not None and announced[1] != room.epoch:
            self.sequencer.reset(room.label, room.head)
        self.sequencer.track(room.label, room.head)  # for connections that entered during the query
        if (self.sequencer.cursor(room.label) or 0) < room.head:
            self._catch_up(room.label)
        if announce or current != announced:
            self._announced[room.label] = current
            self._broadcaster.head(room)

    def _forget_deleted_rooms(self, ids: dict[str, int]) -> None:
        for label, room in list(self.rooms.items()):
            if ids.get(label) != room.id:
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
            run_logged(lambda: self._catch_up(label), "Reading missing messages")

    def _catch_up(self, label: str) -> None:
        with self._app.app_context():
            room = Room.find(label)
            first_cursor = self.sequencer.cursor(label)
            while (cursor := self.sequencer.cursor(label)) is not None:
                page = room.changes(cursor, CATCH_UP_CHANGES)
                changes = [wire.message(room, message) for message in page.messages]
                self.sequencer.catch_up(label, changes, page.upto, first_cursor)
                if page.upto >= page.head:
                    return


def _find_rooms(labels: set[str]) -> list[RoomRow]:
    if not labels:
        return []
    columns = rooms.c["id", "label", "name", "head", "epoch"]
    statement = select(*columns).where(rooms.c.label.in_(labels))
    with read_transaction() as connection:
        return [RoomRow(*row) for row in connection.execute(statement)]
