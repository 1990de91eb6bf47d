"""Handlers of the events that change a message, a name or the room: edit, delete, react, rename and title."""

from collections.abc import Callable
from functools import partial

from flask import current_app

from chat import journal, wire
from chat.identity import author
from chat.presence import joined_room, known_as
from chat.revisions import Change, Delete, Edit, React, Rename, Title
from chat.wire import JSON, ok


def edit(data: object) -> JSON:
    """Say it differently: one's own message, for everyone who has it or comes later."""
    return _do(Edit, wire.Edit.parse(data))


def delete(data: object) -> JSON:
    """Take it back: the text is erased, its place remains."""
    return _do(Delete, wire.Delete.parse(data))


def react(data: object) -> JSON:
    """Put an emoji to a message, or take it back."""
    return _do(React, wire.React.parse(data))


def rename(data: object) -> JSON:
    """Go by another name in this room."""
    asked = wire.Rename.parse(data)
    room = joined_room()
    before = room.names([author()]).get(author())
    answer = _do(partial(Rename, before=before), asked)
    known_as(room, asked.handle)
    return answer


def title(data: object) -> JSON:
    """Give the room a name, or none: its label and its link stay."""
    return _do(Title, wire.Title.parse(data))


def _do(kind: Callable[..., Change], asked: object) -> JSON:
    change = kind(joined_room(), author(), asked)
    current_app.extensions["to_clear"] = True  # from the files of the database, when we close them
    return ok(wire.changed(journal.change(change)))


EVENTS = {"edit": edit, "delete": delete, "react": react, "rename": rename, "title": title}
