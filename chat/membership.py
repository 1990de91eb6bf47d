"""Which room a connection is in: what the event handlers share to find, enter and leave rooms."""

import time
from typing import cast

from flask import request, session

from chat.broadcasts import socketio_room
from chat.errors import Busy, NotFound, NotJoined, RateLimited
from chat.event_limits import requester
from chat.identity import author, has_visited
from chat.models import MessagePage, Room, room_mark
from chat.services import services
from chat.wire import JSON

TYPING_SECONDS = 2
"""A connection announces at most so often that its person is typing."""


def find_room(label: str) -> Room:
    """Return the room with this label. Raises NotFound, RateLimited, Busy.

    A room in use on this worker is returned without a query: if it has been deleted meanwhile, the
    next read or write raises NotFound.
    """
    address = requester().address
    check_failed_joins(label, address)
    shared = services().reconciler.shared_room(label)
    if shared is not None:
        return shared
    try:
        return Room.find(label)
    except NotFound:
        services().limits.overdraw("address_failed_joins", address)
        raise
    except Busy:
        services().join_timeout.postpone(_transport_id())
        raise


def check_failed_joins(label: str, address: str | None) -> None:
    """Refuse to look for a room after too many that do not exist. Raises RateLimited.

    `address` is the key of the client address.

    Rooms that exist are refused too, because labels could be found by trying otherwise. People who
    know the room, because they are in it or have visited its page, may enter it again: they learn
    nothing from the answer.
    """
    try:
        services().limits.check("address_failed_joins", address)
    except RateLimited:
        mark = room_mark(label, author())
        is_present = mark in services().presence.roster.handles(label)
        if not is_present and not has_visited(label):
            raise


def enter(room: Room) -> None:
    """Put this connection into a room, after taking it out of its previous one."""
    # First, because the reconciler stops tracking a room without connections.
    shared = services().reconciler.track(room)
    leave()
    # The session of a socket belongs to this connection alone and never reaches a cookie.
    session["room"] = shared
    services().socketio.server.enter_room(_connection_id(), socketio_room(room.label))
    services().presence.enter(room, author(), _connection_id())
    services().join_timeout.on_room_entered(_transport_id())


def enter_recreated(deleted: Room) -> Room:
    """Enter the room that now has the label of a deleted one.

    Raises NotFound when there is none, Busy.
    """
    leave()
    services().reconciler.forget(deleted)
    room = Room.find(deleted.label)
    enter(room)
    return room


def read_entered(room: Room, after: int | None) -> tuple[Room, MessagePage]:
    """Return the entered room, and its latest messages or those missed since `after`.

    It is another room when the one that was found in memory has been deleted and created again.
    """
    try:
        return room, _page(room, after)
    except NotFound:
        recreated = enter_recreated(room)
        return recreated, _page(recreated, after)


def _page(room: Room, after: int | None) -> MessagePage:
    return room.latest() if after is None else room.missed(after)


def leave() -> None:
    """Take this connection out of its room, if it is in one."""
    room: Room | None = session.pop("room", None)
    if room is None:
        return
    services().socketio.server.leave_room(_connection_id(), socketio_room(room.label))
    services().presence.leave(_connection_id())
    services().join_timeout.on_room_left(_transport_id())


def forget_room() -> None:
    """Forget the room in which an earlier connection on the same transport was.

    When a client disconnects from the namespace only, its transport and the session of its socket
    stay.
    """
    session.pop("room", None)


def joined_room() -> Room:
    """Return the room of this connection, as it was when it entered. Raises NotJoined."""
    room: Room | None = session.get("room")
    if room is None:
        raise NotJoined
    return room


def people(room: Room) -> JSON:
    """Return the people in a room, the person who asks first, each once."""
    presence = services().presence
    listing = presence.roster.listing(room.label, room.mark(author()))
    if presence.partial:
        listing["partial"] = True
    return listing


def remember_handle(room: Room, handle: str) -> None:
    """List the person of this connection under this handle."""
    services().presence.roster.set_handle(room.label, room.mark(author()), handle)


def announce_typing(handle: str) -> None:
    """Announce to the others in the room that this person is typing. Raises NotJoined."""
    room = joined_room()
    now = time.monotonic()
    announced_at: float = session.get("typed", -TYPING_SECONDS)
    if now - announced_at < TYPING_SECONDS:
        return
    session["typed"] = now
    services().presence.announce_typing(
        {"label": room.label, "mark": room.mark(author()), "handle": handle}
    )


def _connection_id() -> str:
    return cast(str, request.sid)  # type: ignore[attr-defined]  # set by Flask-SocketIO


def _transport_id() -> str:
    """Return the session id of Engine.IO, which Socket.IO uses as its transport."""
    manager = services().socketio.server.manager
    return cast(str, manager.eio_sid_from_sid(_connection_id(), "/"))
