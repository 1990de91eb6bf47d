"""The Socket.IO events that change existing messages, a handle or the room's name."""

from chat import wire
from chat.dispatch import Handler
from chat.identity import author
from chat.membership import joined_room, name_claim, remember_handle
from chat.services import services
from chat.storage.commands import (
    ChangeHandle,
    DeleteMessage,
    EditMessage,
    ReactToMessage,
    SetTitle,
)
from chat.wire import JSON, ok


def edit(data: object) -> JSON:
    """Replace the text of one's own message."""
    asked = wire.Edit.parse(data)
    command = EditMessage(joined_room(), author(), asked.seq, asked.message)
    return ok(wire.changed(services().journal.submit(command)))


def delete(data: object) -> JSON:
    """Delete one's own message: text, handle and author are erased, its number remains."""
    asked = wire.Delete.parse(data)
    command = DeleteMessage(joined_room(), author(), asked.seq)
    return ok(wire.changed(services().journal.submit(command)))


def react(data: object) -> JSON:
    """Add one's reaction to a message, or remove it."""
    asked = wire.React.parse(data)
    command = ReactToMessage(joined_room(), author(), asked.seq, asked.emoji, asked.on)
    return ok(wire.changed(services().journal.reactions.submit(command)))


def rename(data: object) -> JSON:
    """Use another handle in this room."""
    asked = wire.Rename.parse(data)
    room = joined_room()
    command = ChangeHandle(room, author(), asked.handle, claim=name_claim())
    result = services().journal.submit(command)
    remember_handle(room, asked.handle)
    return ok(wire.changed(result))


def title(data: object) -> JSON:
    """Set or remove the name of the room; its label and its link stay."""
    asked = wire.Title.parse(data)
    room = joined_room()
    command = SetTitle(room, author(), asked.name, asked.handle or "", claim=name_claim())
    return ok(wire.changed(services().journal.submit(command)))


EVENTS: dict[str, Handler] = {
    "edit": edit,
    "delete": delete,
    "react": react,
    "rename": rename,
    "title": title,
}
