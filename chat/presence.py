"""Who is here, who is typing: the room of each connection, and what is told of the people in a room."""

import json
import logging
import secrets
import time
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from flask import Flask, current_app, request, session

from chat import broadcasts
from chat.broadcasts import address
from chat.errors import NotJoined, Refused
from chat.identity import author
from chat.models import Room
from chat.people import LEASE_SECONDS, People
from chat.wire import JSON

if TYPE_CHECKING:
    from socketio import Server

    from chat.leases import Leases, NoLeases
    from chat.queue import NoQueue, Queue

BEAT_SECONDS = 1  # a room is told at most so often who comes and goes
REFRESH_SECONDS = 10
ASKED_AT_ONCE = 20  # so many rooms, each second, for the names of people who spoke before they came in
PATIENCE_SECONDS = 5  # for so long the queue may be away before what we know is called partial
TYPING_SECONDS = 2
TYPING_AMONG_AT_MOST = 50

log = logging.getLogger(__name__)


def enter(room: Room) -> None:
    """Bring this connection into a room, out of the one it was in."""
    leave()
    # What a socket's session holds is of this connection alone, and never reaches a cookie.
    session["room"] = current_app.extensions["heads"].begin(room)
    _server().enter_room(_connection(), address(room.label))
    _presence().enter(room, author(), _connection())


def leave() -> None:
    """Take this connection out of its room."""
    if (room := session.pop("room", None)) is not None:
        _server().leave_room(_connection(), address(room.label))
        _presence().leave(_connection())


def joined_room() -> Room:
    """The room this connection is in, as it was found; whether it is gone, whoever reads or writes there is told.

    Raises NotJoined.
    """
    if "room" not in session:
        raise NotJoined
    return cast(Room, session["room"])


def people(room: Room) -> JSON:
    """The people in a room, each once however many tabs they have; the one who asks comes first."""
    return _presence().listed(room.label, room.mark(author()))


def known_as(handle: str) -> None:
    """The person of this connection goes by this name, and is listed under it."""
    _presence().call(_connection(), handle)


def typing(handle: str) -> None:
    """Tell the others in the room that this person is typing. Raises NotJoined."""
    here = _presence().people.where(_connection())
    if here is None:
        raise NotJoined
    now = time.monotonic()
    if now - session.get("typed", -TYPING_SECONDS) >= TYPING_SECONDS:
        session["typed"] = now
        _presence().type(*here, handle)


class Presence:
    """Tells the people on this worker, and the other workers, who comes and goes; once a second at most, all together.

    A worker says what is new as it happens, and every ten seconds all it has. Who says nothing for thirty is gone.
    """

    def __init__(
        self, app: Flask, socketio: Any, queue: "Queue | NoQueue", leases: "Leases | NoLeases", patience: float
    ) -> None:
        """For so many seconds, `patience`, the queue may be away before what we know is called partial."""
        self.people = People()
        self.partial = patience == 0
        self._patience = patience
        self._app = app
        self._socketio = socketio
        self._queue = queue
        self._leases = leases
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

    def call(self, tab: str, name: str) -> None:
        """The person of a tab goes by this name."""
        if (here := self.people.where(tab)) is not None:
            self.people.call(*here, name)

    def listed(self, label: str, mark: str) -> JSON:
        """What somebody who enters learns of the people there."""
        return self.people.listed(label, mark) | ({"partial": True} if self.partial else {})

    def type(self, label: str, mark: str, handle: str) -> None:
        """Tell it to the others, here and on the other workers, as long as they are few."""
        if len(self.people.everybody(label)) <= TYPING_AMONG_AT_MOST:
            payload = {"label": label, "mark": mark, "handle": handle}
            self.hear_typing("typing", payload)
            self._queue.publish("typing", payload)

    def hear_typing(self, _event: str, payload: JSON) -> None:
        """Somebody is typing, here or on another worker."""
        but = self.people.tabs(payload["label"], payload["mark"])
        broadcasts.typing(self._socketio, payload, but)

    def hear(self, _event: str, payload: JSON) -> None:
        """Another worker says who is there."""
        here, gone = payload["here"], payload["gone"]
        if not (isinstance(payload["worker"], str) and isinstance(here, dict) and isinstance(gone, dict)):
            raise ValueError("not a list of ours")
        until = time.monotonic() + payload.get("seconds", LEASE_SECONDS)
        self.people.hear(payload["worker"], here, gone, until, whole=payload["whole"])

    def back(self) -> None:
        """The queue can be heard again, or for the first time: say what we have, and read what the others have left."""
        self._try(self.refresh)
        self._try(self._read)

    def stop(self) -> None:
        """Tell nothing more."""
        self._beating = False

    def beat(self, now: float | None = None) -> None:
        """Tell what has changed: the other workers, and each room here."""
        now = time.monotonic() if now is None else now
        self.people.expire(now)
        self._try(self._find_names)
        turned = self._turned(now)
        here, gone = self.people.news()
        if here or gone:
            self._queue.publish("presence", {"worker": self._worker, "here": here, "gone": gone, "whole": False})
        for difference in self.people.differences(also=turned):
            broadcasts.presence(self._socketio, difference | ({"partial": True} if self.partial else {}))

    def refresh(self) -> None:
        """Say all we have: to those who hear us, and to those who will start within the next seconds."""
        all_we_have = {"worker": self._worker, "here": self.people.own(), "gone": {}, "whole": True}
        self._leases.keep(self._worker, json.dumps(all_we_have), LEASE_SECONDS)  # first: who misses one has the other
        self._queue.publish("presence", all_we_have)

    def _read(self) -> None:
        for worker, text, seconds in self._leases.kept():
            if worker != self._worker and not self.people.knows(worker):
                self.hear("presence", json.loads(text) | {"seconds": seconds})

    def _turned(self, now: float) -> bool:
        """Whether what we know has just become partial, or is so no more."""
        if self._queue.up:
            self._heard_at = now
        was, self.partial = self.partial, now - self._heard_at > self._patience
        if self.partial and not was:
            self.people.forget_others()
        return self.partial != was

    def _find_names(self) -> None:
        """For those who came in and have not spoken since: under which name they did before."""
        for label in list(islice(self._nameless, ASKED_AT_ONCE)):
            room, authors = self._nameless.pop(label)
            with self._app.app_context():
                known = self.people.everybody(label)
                nameless = {each for each in authors if not known.get(room.mark(each))}  # they have not spoken since
                for each, name in room.names(nameless).items() if nameless else ():
                    self.people.call(label, room.mark(each), name)

    def _run(self) -> None:
        refreshed = time.monotonic()
        while self._beating:
            self._socketio.sleep(BEAT_SECONDS)
            if self._beating:
                self._try(self.beat)
            if self._queue.up and time.monotonic() - refreshed >= REFRESH_SECONDS:
                refreshed = time.monotonic()
                self._socketio.start_background_task(self._try, self.refresh)  # Redis may keep it waiting

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Refused as refusal:
            log.warning("The names of people could not be read: %s", refusal)
        except Exception:
            log.exception("telling who is here failed; it goes on")


def _presence() -> Presence:
    return cast(Presence, current_app.extensions["presence"])


def _connection() -> str:
    return cast(str, request.sid)  # type: ignore[attr-defined]  # Flask-SocketIO puts it there


def _server() -> "Server":
    return current_app.extensions["socketio"].server
