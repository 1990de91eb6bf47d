"""Handlers of the events with which a client enters a room, posts, reads and leaves; changes.py has the others."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask_socketio import SocketIO

from chat import wire
from chat.errors import BadRequest, NotFound, Refusal, ServerError
from chat.identity import author, you
from chat.payload import refused
from chat.presence import tracker
from chat.presence.tracker import (
    enter,
    enter_again,
    find_room,
    joined_room,
    leave,
    people,
    remember_handle,
)
from chat.storage import journal
from chat.wire import JSON, ok

Handler = Callable[[Any], JSON]
log = logging.getLogger(__name__)


def join(data: object) -> JSON:
    """Enter the room a link names; the answer holds what was said there (was: ws_connect)."""
    asked = wire.Join.parse(data)
    room = find_room(asked.label)  # not_found
    enter(room)  # the Socket.IO room chat-<label>, before reading, so that nothing falls between
    try:
        page = room.joined(asked.after)
    except NotFound:  # the room was deleted after somebody on this worker had found it
        room = enter_again(room)
        page = room.joined(asked.after)
    return ok(wire.joined(room, page), people(room), you(room))


def chat(data: object) -> JSON:
    """Say something: stored, then told to everyone in the room (was: ws_receive)."""
    said = wire.Chat.parse(data)  # exactly handle and message, and perhaps id and reply_to
    room = joined_room()  # the room of this connection, or not_joined
    # When this returns, the message is committed and was sent to chat-<label>; not_found when the room is gone.
    message = journal.post(room, author(), said)
    remember_handle(room, said.handle)  # among those who are here
    return ok(wire.stored(message))


def since(data: object) -> JSON:
    """Catch up: what changed after a number."""
    asked = wire.Since.parse(data)
    room = joined_room()
    return ok(wire.changes(room, room.changes(asked.after, asked.limit)))


def history(data: object) -> JSON:
    """Read back: a page of messages in the order of the screen."""
    asked = wire.History.parse(data)
    room = joined_room()
    return ok(
        wire.history(room, room.history(asked.limit, asked.before, asked.after, asked.around))
    )


def typing(data: object) -> JSON:
    """Let the others know that one is typing; stored nowhere, and nobody waits for the answer."""
    tracker.typing(wire.Typing.parse(data).handle)
    return ok()


def leave_room(data: object) -> JSON:
    """Leave the room (was: ws_disconnect; a connection that ends leaves by itself)."""
    wire.Leave.parse(data)
    leave()
    return ok()


EVENTS: dict[str, Handler] = {"join": join, "chat": chat, "since": since, "history": history}
EVENTS |= {"typing": typing, "leave": leave_room}


def register(socketio: SocketIO, events: dict[str, Handler]) -> None:
    """Give every handler the same frame: exactly one argument in, an answer out, whatever happens."""
    for name, handler in events.items():
        socketio.on_event(name, _answering(handler))


def _answering(handler: Handler) -> Callable[..., JSON]:
    @wraps(handler)
    def answer(*arguments: object) -> JSON:
        try:
            if len(arguments) != 1:
                raise BadRequest("This takes one object, and nothing beside it.")
            return handler(arguments[0])
        except Refusal as refusal:
            return refused(refusal)
        except Exception:
            log.exception("%s failed", handler.__name__)
            return refused(ServerError())

    return answer
