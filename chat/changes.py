"""The door for changes to what stands: edit, delete, react, rename and title."""

from flask import current_app

from chat import journal, wire
from chat.identity import author
from chat.presence import joined_room, known_as
from chat.revisions import Change, Delete, Edit, React, Rename, Title
from chat.wire import JSON, ok


def edit(data: object) -> JSON:
    """Say it differently: one's own message, for everyone who has it or comes later."""
    asked = wire.Edit.parse(data)
    return _do(Edit(joined_room(), author(), asked))


def delete(data: object) -> JSON:
    """Take it back: the text is erased, its place remains."""
    asked = wire.Delete.parse(data)
    return _do(Delete(joined_room(), author(), asked))


def react(data: object) -> JSON:
    """Put an emoji to a message, or take it back."""
    asked = wire.React.parse(data)
    return _do(React(joined_room(), author(), asked))


def rename(data: object) -> JSON:
    """Go by another name in this room."""
    asked = wire.Rename.parse(data)
    room = joined_room()
    before = room.names([author()]).get(author())
    answer = _do(Rename(room, author(), asked, before=before))
    known_as(asked.handle)
    return answer


def title(data: object) -> JSON:
    """Give the room a name, or none: its label and its link stay."""
    asked = wire.Title.parse(data)
    return _do(Title(joined_room(), author(), asked))


def _do(change: Change) -> JSON:
    current_app.extensions["to_clear"] = True  # from the files of the database, when we close them
    return ok(wire.changed(journal.change(change)))


EVENTS = {"edit": edit, "delete": delete, "react": react, "rename": rename, "title": title}
