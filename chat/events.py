"""The Socket.IO events of the original chat and of catching up.

A handler has five steps: parse, find, store, broadcast, answer. It returns the acknowledgement; a
refusal is an exception, which becomes an acknowledgement in one place (dispatch.py).
"""

from chat import membership, wire
from chat.dispatch import Handler
from chat.identity import author
from chat.membership import check_access, enter, find_room, joined_room
from chat.services import services
from chat.storage.commands import PostMessage
from chat.wire import JSON, ok


def join(data: object) -> JSON:
    """Enter the room a link names; the answer holds the latest messages (was: ws_connect)."""
    asked = wire.Join.parse(data)
    room = find_room(asked.label)  # raises NotFound
    check_access(room, asked.password)  # raises Closed, Banned, Removed, PasswordRequired
    enter(room)  # the Socket.IO room chat-<label>; before reading, so nothing is missed
    try:
        room, page = membership.read_entered(room, asked.after)
        check_access(room, asked.password)  # again, with the rules that were just read
    except Exception:
        membership.leave()  # whoever was not checked again receives nothing
        raise
    return ok(wire.joined(room, page), membership.people(room), membership.you(room))


def chat(data: object) -> JSON:
    """Post a message: stored, then broadcast to the room (was: ws_receive)."""
    posted = wire.Chat.parse(data)  # handle, message and the optional keys; nothing else
    room = joined_room()  # raises NotJoined
    command = PostMessage(
        room,
        author(),
        posted.handle,
        posted.message,
        posted.id,
        posted.reply_to,
        claim=membership.name_claim(),
    )
    result = services().journal.submit(command)  # committed, and sent to chat-<label>
    if result.duplicate:
        membership.look_up_handle(room)  # the journal has not checked the handle of a repetition
    else:
        membership.remember_handle(room, posted.handle)
    return ok(wire.posted(result))


def since(data: object) -> JSON:
    """Catch up: return what changed after a number."""
    asked = wire.Since.parse(data)
    room = joined_room()
    return ok(wire.changes(room, room.changes(asked.after, asked.limit)))


def history(data: object) -> JSON:
    """Return a page of messages in the order of the screen."""
    asked = wire.History.parse(data)
    room = joined_room()
    page = room.history(asked.limit, asked.before, asked.after, asked.around)
    return ok(wire.history(room, page))


def typing(data: object) -> JSON:
    """Announce that this person is typing; nothing is stored."""
    asked = wire.Typing.parse(data)
    membership.announce_typing(asked.handle)
    return ok()


def leave(data: object) -> JSON:
    """Leave the room (was: ws_disconnect; a connection that ends leaves its room without this)."""
    wire.Leave.parse(data)
    membership.leave()
    return ok()


EVENTS: dict[str, Handler] = {
    "join": join,
    "chat": chat,
    "since": since,
    "history": history,
    "typing": typing,
    "leave": leave,
}
