"""The head beacon: finds what the queue lost, and has it told."""

import logging
import random
from collections.abc import Callable
from functools import partial
from typing import Any, cast
from weakref import WeakValueDictionary

from flask import Flask
from sqlalchemy import select

from chat import broadcasts, wire
from chat.delivery.sequencer import Sequencer
from chat.errors import Refusal
from chat.models import Room, rooms
from chat.storage.database import read_transaction

BEAT_SECONDS = (2.0, 3.0)  # a random time between these, so that workers do not ask all at once
PATIENCE_SECONDS = 0.05  # how long a missing number may still be on its way through the queue
READ_AT_ONCE = 200
NEVER_ANNOUNCED = -1  # no room has this head

log = logging.getLogger(__name__)


class Reconciler:
    """Watches the rooms with people on this worker, and mends what is missing from what they were told."""

    def __init__(self, app: Flask, socketio: Any, queue_is_up: Callable[[], bool]) -> None:
        self.order = Sequencer(
            broadcasts.emitter(socketio), partial(socketio.start_background_task, self._mend)
        )
        self._app, self._socketio, self._queue_is_up = app, socketio, queue_is_up
        self._announced: dict[str, tuple[int, str]] = {}
        self._beating = False
        self.rooms: WeakValueDictionary[str, Room] = (
            WeakValueDictionary()
        )  # with people here, by label

    def begin(self, room: Room) -> Room:
        """Somebody is about to enter this room, and shares it with those in it. The first of all starts the beacon."""
        self.order.begin(room.label, room.head)
        self._announced.setdefault(room.label, (NEVER_ANNOUNCED, room.epoch))
        if not self._beating:
            self._beating = True
            self._socketio.start_background_task(self._beat)
        return self.rooms.setdefault(room.label, room)

    def forget(self, room: Room) -> None:
        """This room has been deleted: share it with nobody who enters from now on."""
        shared = self.rooms.get(room.label)
        if shared is not None and shared.id == room.id:
            self.rooms.pop(room.label, None)

    def on_message(self, event: str, payload: wire.JSON) -> None:
        """Another worker has told something. Raises ValueError for what it cannot have told."""
        if (
            not isinstance(payload["label"], str)
            or type(payload["rev"]) is not int
            or type(payload["seq"]) is not int
        ):
            raise ValueError("not a message of ours")
        self.order.push(payload["label"], event, payload)

    def resync(self) -> None:
        """The queue can be heard again: what was lost meanwhile is told now, and everybody learns the heads."""
        self._try(self.poll, True)

    def poll(self, force: bool = False) -> None:
        """One question for all rooms with people here: where are they now? What was not told is told, then the head."""
        with self._app.app_context():
            here = self._labels()
            self.order.retain(here)
            self._announced = {
                label: known for label, known in self._announced.items() if label in here
            }
            with read_transaction() as connection:
                found = (
                    connection.execute(select(rooms).where(rooms.c.label.in_(here))).all()
                    if here
                    else []
                )
            for room in cast(list[Room], found):  # rows, which read like rooms
                self._check(room, force)
            ids = {room.label: room.id for room in found}
            for label in [
                label for label, room in list(self.rooms.items()) if ids.get(label) != room.id
            ]:
                self.rooms.pop(label, None)

    def _check(self, room: Room, force: bool) -> None:
        now, before = (room.head, room.epoch), self._announced.get(room.label)
        if before is not None and before[1] != room.epoch:
            self.order.reset(room.label, room.head)
        self.order.begin(
            room.label, room.head
        )  # for who entered while we looked; else it changes nothing
        if (self.order.cursor(room.label) or 0) < room.head:
            self._catch_up(room.label)
        if force or now != before:
            self._announced[room.label] = now
            broadcasts.head(room)

    def _labels(self) -> list[str]:
        """The rooms with people on this worker."""
        names, prefix = (
            list(self._socketio.server.manager.rooms.get("/", {})),
            broadcasts.address(""),
        )
        return [name.removeprefix(prefix) for name in names if name and name.startswith(prefix)]

    def _beat(self) -> None:
        while self._beating:
            self._socketio.sleep(random.uniform(*BEAT_SECONDS))  # noqa: S311  # no secret
            if self._beating:
                self._try(self.poll)

    def _mend(self, label: str) -> None:
        """Give a missing number a moment to arrive through the queue, then read it."""
        self._socketio.sleep(PATIENCE_SECONDS if self._queue_is_up() else 0)
        if self.order.has_gap(label):
            self._try(self._catch_up, label)

    def _catch_up(self, label: str) -> None:
        with self._app.app_context():
            room = Room.find(label)
            before = self.order.cursor(label)
            while (cursor := self.order.cursor(label)) is not None:
                page = room.changes(cursor, READ_AT_ONCE)
                self.order.catch_up(
                    label, [wire.message(room, each) for each in page.messages], page.upto, before
                )
                if page.upto >= page.head:
                    return

    def _try(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except Refusal as refusal:
            log.warning("The heads of the rooms could not be read: %s", refusal)
        except Exception:
            log.exception("the head beacon failed; it goes on")
