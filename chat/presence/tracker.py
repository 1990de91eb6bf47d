"""Who is here, who is typing: the room of each connection, and what is told of the people in a room."""

import json
import logging
import secrets
import time
from collections.abc import Callable
from itertools import islice
from typing import Any, cast

from flask import Flask, current_app, request, session

from chat import broadcasts
from chat.delivery.bus import LocalBus
from chat.errors import NotJoined, Refusal
from chat.identity import author
from chat.models import Room
from chat.presence.registry import NullWorkerRegistry
from chat.presence.roster import LEASE_SECONDS, Roster
from chat.wire import JSON

BEAT_SECONDS = 1  # a room is told at most so often who comes and goes
REFRESH_SECONDS = 10
ASKED_AT_ONCE = (
    20  # so many rooms, each second, for the names of people who spoke before they came in
)
PATIENCE_SECONDS = 5  # for so long the queue may be away before what we know is called partial
TYPING_SECONDS = 2
MAX_PEOPLE_FOR_TYPING = 50

log = logging.getLogger(__name__)


def find_room(label: str) -> Room:
    """The room of a link. Raises NotFound, or leaves that to who reads there, where people are in it here."""
    return cast(Room, current_app.extensions["heads"].rooms.get(label) or Room.find(label))


def enter(room: Room) -> None:
    """Bring this connection into a room, out of the one it was in."""
    leave()
    # What a socket's session holds is of this connection alone, and never reaches a cookie.
    session["room"] = current_app.extensions["heads"].begin(room)
    current_app.extensions["socketio"].server.enter_room(
        _connection(), broadcasts.address(room.label)
    )
    _presence().enter(room, author(), _connection())


def enter_again(deleted: Room) -> Room:
    """Enter the room that has the label of a deleted one instead. Raises NotFound when nobody has made it again."""
    leave()
    current_app.extensions["heads"].forget(deleted)
    room = Room.find(deleted.label)
    enter(room)
    return room


def leave() -> None:
    """Take this connection out of its room."""
    if (room := session.pop("room", None)) is not None:
        current_app.extensions["socketio"].server.leave_room(
            _connection(), broadcasts.address(room.label)
        )
        _presence().leave(_connection())


def joined_room() -> Room:
    """The room of this connection, as found; who reads or writes there learns if it is gone. Raises NotJoined."""
    if "room" not in session:
        raise NotJoined
    return cast(Room, session["room"])


def people(room: Room) -> JSON:
    """The people in a room, each once however many tabs they have; the one who asks comes first."""
    here = _presence()
    return here.people.listed(room.label, room.mark(author())) | (
        {"partial": True} if here.partial else {}
    )


def remember_handle(room: Room, handle: str) -> None:
    """The person of this connection goes by this name in a room, and is listed under it."""
    _presence().people.call(room.label, room.mark(author()), handle)


def typing(handle: str) -> None:
    """Tell the others in the room that this person is typing. Raises NotJoined."""
    room = joined_room()
    now = time.monotonic()
    if now - session.get("typed", -TYPING_SECONDS) >= TYPING_SECONDS:
        session["typed"] = now
        _presence().type({"label": room.label, "mark": room.mark(author()), "handle": handle})


class PresenceTracker:
    """Tells the people on this worker, and the other workers, who comes and goes; once a second at most, together."""

    def __init__(
        self,
        app: Flask,
        socketio: Any,
        queue: LocalBus,
        leases: NullWorkerRegistry,
        patience: float,
    ) -> None:
        self.people = Roster()
        self.partial = patience == 0
        self._app, self._socketio = app, socketio
        self._queue, self._leases, self._patience = queue, leases, patience
        self._worker = secrets.token_hex(8)
        self._heard_at = time.monotonic()
        self._nameless: dict[str, tuple[Room, set[str]]] = {}
        self._beating = False

    def enter(self, room: Room, author: str, tab: str) -> None:
        """A tab comes into a room. The first of all starts what is told."""
        if not self._beating:
            self._beating = True
            self.people.expire(time.monotonic())
            self._socketio.start_background_task(self._run)
        if not self.people.enter(room.label, room.mark(author), tab):
            self._nameless.setdefault(room.label, (room, set()))[1].add(author)

    def leave(self, tab: str, _reason: object = None) -> None:
        """A tab has gone."""
        self.people.leave(tab, time.monotonic())

    def type(self, payload: JSON) -> None:
        """Tell it to the others, here and on the other workers, as long as they are few."""
        if len(self.people.everybody(payload["label"])) <= MAX_PEOPLE_FOR_TYPING:
            self.on_typing("typing", payload)
            self._queue.publish("typing", payload)

    def on_typing(self, _event: str, payload: JSON) -> None:
        """Somebody is typing, here or on another worker."""
        broadcasts.typing(
            self._socketio, payload, but=self.people.tabs(payload["label"], payload["mark"])
        )

    def on_message(self, _event: str, payload: JSON) -> None:
        """Another worker says who is there."""
        here, gone = payload["here"], payload["gone"]
        if not (
            isinstance(payload["worker"], str) and isinstance(here, dict) and isinstance(gone, dict)
        ):
            raise ValueError("not a list of ours")
        until = time.monotonic() + payload.get("seconds", LEASE_SECONDS)
        self.people.on_message(payload["worker"], here, gone, until, whole=payload["whole"])

    def on_connect(self) -> None:
        """The queue can be heard again, or for the first time: say what we have, and read what the others have left."""
        self._try(self.refresh)
        for worker, text, seconds in self._leases.load_all():
            if worker != self._worker and not self.people.knows(worker):
                self._try(
                    self.on_message,
                    "presence",
                    json.loads(text) | {"seconds": seconds, "whole": False},
                )

    def beat(self, now: float) -> None:
        """Tell what has changed: the other workers, and each room here."""
        self.people.expire(now)
        self._try(self._find_names)
        if self._queue.up:
            self._heard_at = now
        was_partial, self.partial = self.partial, now - self._heard_at > self._patience
        if self.partial:
            self.people.forget_others()
        here, gone = self.people.news()
        if here or gone:
            self._queue.publish(
                "presence", {"worker": self._worker, "here": here, "gone": gone, "whole": False}
            )
        for difference in self.people.differences(also=self.partial != was_partial):
            broadcasts.presence(
                self._socketio, difference | ({"partial": True} if self.partial else {})
            )

    def refresh(self) -> None:
        """Say all we have: to those who hear us, and to those who will start within the next seconds."""
        all_we_have = {"worker": self._worker, "here": self.people.own(), "gone": {}, "whole": True}
        self._leases.save(
            self._worker, json.dumps(all_we_have), LEASE_SECONDS
        )  # first: who misses one has the other
        self._queue.publish("presence", all_we_have)

    def _find_names(self) -> None:
        """For those who came in and have not spoken since: under which name they did before."""
        for label in list(islice(self._nameless, ASKED_AT_ONCE)):
            room, authors = self._nameless.pop(label)
            with self._app.app_context():
                known = self.people.everybody(label)
                nameless = {
                    each for each in authors if not known.get(room.mark(each))
                }  # they have not spoken since
                for each, name in room.names(nameless).items() if nameless else ():
                    self.people.call(label, room.mark(each), name)

    def _run(self) -> None:
        refreshed = time.monotonic()
        while self._beating:
            self._socketio.sleep(BEAT_SECONDS)
            if self._beating:
                self._try(self.beat, time.monotonic())
            if self._queue.up and time.monotonic() - refreshed >= REFRESH_SECONDS:
                refreshed = time.monotonic()
                self._socketio.start_background_task(
                    self._try, self.refresh
                )  # Redis may keep it waiting

    def _try(self, work: Callable[..., None], *given: object) -> None:
        try:
            work(*given)
        except Refusal as refusal:
            log.warning("The names of people could not be read: %s", refusal)
        except Exception:
            log.exception("telling who is here failed; it goes on")


def _presence() -> PresenceTracker:
    return cast(PresenceTracker, current_app.extensions["presence"])


def _connection() -> str:
    return cast(str, request.sid)  # type: ignore[attr-defined]  # Flask-SocketIO puts it there
