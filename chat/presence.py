"""Who is here: which room each connection is in, and the people in a room."""

from itertools import islice
from typing import TYPE_CHECKING, cast

from flask import current_app, request, session

from chat.broadcasts import address
from chat.errors import NotJoined
from chat.models import Room
from chat.wire import JSON

if TYPE_CHECKING:
    from socketio import Server

PEOPLE_AT_MOST = 200


def enter(room: Room) -> None:
    """Bring this connection into a room, out of the one it was in."""
    leave()
    session["room"] = current_app.extensions["heads"].begin(
        room
    )  # of this connection; what a socket's session holds never reaches a cookie
    _server().enter_room(_connection(), address(room.label))


def leave() -> None:
    """Take this connection out of its room."""
    if (room := session.pop("room", None)) is not None:
        _server().leave_room(_connection(), address(room.label))


def joined_room() -> Room:
    """The room this connection is in, as it was found; whether it is gone, whoever reads or writes there is told.

    Raises NotJoined.
    """
    if "room" not in session:
        raise NotJoined
    return cast(Room, session["room"])


def people(room: Room) -> JSON:
    """The people in a room on this worker, each once however many tabs they have."""
    here = islice(_server().manager.get_participants("/", address(room.label)), PEOPLE_AT_MOST)
    sessions = ((_server().get_environ(connection) or {}).get("saved_session", {}) for connection, _ in here)
    marks = dict.fromkeys(room.mark(known["author"]) for known in sessions if "author" in known)
    return {"people": [{"mark": mark} for mark in marks]}


def _connection() -> str:
    return cast(str, request.sid)  # type: ignore[attr-defined]  # Flask-SocketIO puts it there


def _server() -> "Server":
    return current_app.extensions["socketio"].server
