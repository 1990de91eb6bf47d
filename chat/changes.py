"""The door for changes to what stands: edit and delete."""

from chat import journal, wire
from chat.identity import author
from chat.presence import joined_room
from chat.wire import JSON, ok


def edit(data: object) -> JSON:
    """Say it differently: one's own message, for everyone who has it or comes later."""
    asked = wire.Edit.parse(data)
    return ok(wire.changed(journal.edit(joined_room(), author(), asked)))


def delete(data: object) -> JSON:
    """Take it back: the text is erased, its place remains."""
    asked = wire.Delete.parse(data)
    return ok(wire.changed(journal.delete(joined_room(), author(), asked)))


EVENTS = {"edit": edit, "delete": delete}
