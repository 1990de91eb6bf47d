"""Which room a connection is in: what the event handlers share to find, enter and leave rooms."""

import time
from contextlib import suppress
from typing import cast

from flask import request, session

from chat.broadcasts import socketio_room
from chat.errors import (
    Banned,
    Busy,
    NotFound,
    NotJoined,
    PasswordRequired,
    RateLimited,
    Refusal,
)
from chat.event_limits import requester
from chat.identity import author, has_visited, identity_answer, is_known
from chat.models import MessagePage, Room, room_mark
from chat.moderation import rules
from chat.moderation.address_hash import hash_address
from chat.moderation.names import NameClaim
from chat.moderation.room_password import check_password, has_given_password
from chat.moderation.rules import Person, RoomRules, SanctionKind, Standing, utc_now
from chat.services import services
from chat.storage.known_names import is_name_taken
from chat.storage.standings import add_banned_addresses, is_banned_address, read_standing
from chat.web.client_address import client_address
from chat.wire import JSON, iso_timestamp

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
        if "room" not in session:
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
        if has_visited(label):
            return
        if room_mark(label, author()) not in services().presence.people_in(label).handles:
            raise


def check_access(room: Room, password: str | None = None) -> None:
    """Check whether the person of this request or event may see a room.

    The rules of a shared room may be old here. So a refusal is checked again with those of the
    database. What only newer rules refuse is found by the second check of `join`, after
    `read_entered`: a host may have changed them, or sanctioned this person, before the connection
    was in the room.

    `password` is what they have given, if anything. Raises Closed, Banned, Removed,
    PasswordRequired, WrongPassword, RateLimited, NotFound, Busy.
    """
    checked = room.rules
    try:
        _apply_rules(room, checked, password)
    except Refusal:
        current = _with_newer_rules(room, checked)
        if current is None:
            raise
        _apply_rules(current, current.rules, password)


def _with_newer_rules(room: Room, checked: RoomRules) -> Room | None:
    """Read a shared room again, whose rules may be old here; None if `checked` are its rules.

    The rules of a shared room change at any time, so those that were checked are compared.
    Raises NotFound, Busy.
    """
    if services().reconciler.rooms.get(room.label) is not room:
        return None  # it was just read
    current = Room.find(room.label)
    if current.id == room.id:
        if current.rules == checked:
            return None
        room.set_rules(current.rules, current.epoch, current.head)
    return current


def _apply_rules(room: Room, current: RoomRules, password: str | None) -> None:
    """Raise what these rules refuse.

    A banned person's new address is banned too, if that was asked.
    """
    if current.is_open_to_all:
        return
    person = person_in(room, current, author())
    address_hash = hash_address(room.label, client_address())
    try:
        rules.check_may_enter(current, person, utc_now())
    except Banned:
        _ban_address(room, person, address_hash)
        raise
    if person.is_host:
        return
    if current.has_sanctions and address_hash and is_banned_address(room.id, address_hash):
        raise Banned
    if current.password_hash:
        _check_password(room, password)


def _ban_address(room: Room, person: Person, address_hash: str) -> None:
    """Ban the address from which a banned person has come back, if that was asked."""
    if not address_hash or not person.standing.are_addresses_banned(utc_now()):
        return
    with suppress(Busy):  # refused all the same
        if not is_banned_address(room.id, address_hash):
            add_banned_addresses(room.id, person.mark, {address_hash})


def _check_password(room: Room, password: str | None) -> None:
    """Check that this person has given the password, now or earlier. Each attempt takes a token."""
    if has_given_password(room):
        return
    if password is None:
        raise PasswordRequired
    limits = services().limits
    limits.take_form("passwords", limits.requester(author(), client_address()))
    check_password(room, password)


def person_in(room: Room, current: RoomRules, author_id: str) -> Person:
    """Return a person of a room with their role and, where there are any, sanctions."""
    mark = room.mark(author_id)
    standing = read_standing(room.id, mark) if current.has_sanctions else Standing()
    return Person(mark, current.role(mark), standing)


def enter(room: Room) -> None:
    """Put this connection into a room, after taking it out of its previous one."""
    # First, because the reconciler stops tracking a room without connections.
    shared = services().reconciler.track(room)
    leave()
    # The session of a socket belongs to this connection alone and never reaches a cookie.
    session["room"] = shared
    services().socketio.server.enter_room(_connection_id(), socketio_room(room.label))
    services().presence.enter(room, author(), _connection_id())
    # Once the subscription is confirmed, the reconciler reads what was published before it.
    services().bus.follow(room.label)
    services().name_holder.on_entered(room.label, room.mark(author()))
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
    Its rules are those that were read with the messages, unless newer ones are known. Raises
    NotFound, Busy.
    """
    try:
        page = _page(room, after)
    except NotFound:
        room = enter_recreated(room)
        page = _page(room, after)
    room.set_rules(page.rules, page.epoch, page.head)
    return room, page


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
    is_partial = not presence.wait_for_people(room.label)
    listing = presence.roster.listing(room.label, room.mark(author()))
    if is_partial:
        listing["partial"] = True
    return listing


def you(room: Room) -> JSON:
    """Return the key `you` of an answer: who this person is in a room, and until when muted."""
    return {"you": {**identity_answer(room), **_mute(room)}}


def _mute(room: Room) -> JSON:
    """Return until when this person is muted; nothing when they are not, or it cannot be read."""
    current = room.rules
    if not current.has_sanctions:
        return {}
    try:
        person = person_in(room, current, author())
    except Busy:
        return {}  # their next write is refused, or stored
    if person.is_host or not person.standing.is_under(SanctionKind.MUTE, utc_now()):
        return {}
    until = person.standing.sanctions[SanctionKind.MUTE]
    return {"muted_until": None if until is None else iso_timestamp(until)}


def name_claim() -> NameClaim:
    """Return the claim of the person of this request or event to the name that they use."""
    return NameClaim(is_known(), client_address())


def remember_handle(room: Room, handle: str) -> None:
    """List the person of this connection under a handle that the journal has allowed them."""
    services().presence.roster.set_handle(room.label, room.mark(author()), handle)


def look_up_handle(room: Room) -> None:
    """List the person of this connection under their last stored handle, if they have none yet."""
    services().presence.look_up_handle(room, author())


def announce_typing(handle: str) -> None:
    """Announce to the others in the room that this person is typing. Raises NotJoined.

    The handle is for people who have not used one in the room yet. Nothing is announced of people
    who may not write or not use the handle, nor in a large room.
    """
    room = joined_room()
    now = time.monotonic()
    announced_at: float = session.get("typed", -TYPING_SECONDS)
    if now - announced_at < TYPING_SECONDS:
        return
    session["typed"] = now
    presence = services().presence
    if not presence.announces_typing(room.label) or not _may_write(room):
        return
    mark = room.mark(author())
    shown_handle = presence.roster.handles(room.label).get(mark) or handle
    if _may_use(room, mark, shown_handle):
        presence.announce_typing({"label": room.label, "mark": mark, "handle": shown_handle})


def _may_write(room: Room) -> bool:
    """Return whether the person of this event may write; False when that cannot be read."""
    current = room.rules
    if current.lets_everybody_write:
        return True
    try:
        rules.check_may_write(current, person_in(room, current, author()), utc_now())
    except Refusal:
        return False
    return True


def _may_use(room: Room, mark: str, handle: str) -> bool:
    """Return whether a person may use a handle; False when that cannot be read."""
    try:
        return not is_name_taken(room, mark, handle)
    except Busy:
        return False


def _connection_id() -> str:
    return cast(str, request.sid)  # type: ignore[attr-defined]  # set by Flask-SocketIO


def _transport_id() -> str:
    """Return the session id of Engine.IO, which Socket.IO uses as its transport."""
    manager = services().socketio.server.manager
    return cast(str, manager.eio_sid_from_sid(_connection_id(), "/"))
