"""Handlers of the events that change a message, a name or the room: edit, delete, react, rename and title."""

from collections.abc import Callable
from functools import partial

from flask import current_app

from chat import wire
from chat.identity import author
from chat.presence.tracker import joined_room, remember_handle
from chat.storage import journal
from chat.storage.commands import (
    Command,
    DeleteMessage,
    EditMessage,
    ReactToMessage,
    RenameAuthor,
    SetTitle,
)
from chat.wire import JSON, ok


def edit(data: object) -> JSON:
    """Say it differently: one's own message, for everyone who has it or comes later."""
    return _do(EditMessage, wire.Edit.parse(data))


def delete(data: object) -> JSON:
    """Take it back: the text is erased, its place remains."""
    return _do(DeleteMessage, wire.Delete.parse(data))


def react(data: object) -> JSON:
    """Put an emoji to a message, or take it back."""
    return _do(ReactToMessage, wire.React.parse(data))


def rename(data: object) -> JSON:
    """Go by another name in this room."""
    asked = wire.Rename.parse(data)
    room = joined_room()
    before = room.names([author()]).get(author())
    answer = _do(partial(RenameAuthor, before=before), asked)
    remember_handle(room, asked.handle)
    return answer


def title(data: object) -> JSON:
    """Give the room a name, or none: its label and its link stay."""
    return _do(SetTitle, wire.Title.parse(data))


def _do(kind: Callable[..., Command], asked: object) -> JSON:
    change = kind(joined_room(), author(), asked)
    current_app.extensions["to_clear"] = True  # from the files of the database, when we close them
    return ok(wire.changed(journal.change(change)))


EVENTS = {"edit": edit, "delete": delete, "react": react, "rename": rename, "title": title}
