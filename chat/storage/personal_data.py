"""Finds what one person has written in a room: to count it, to export it, and to erase it.

Authors have no index, because it would make every message more expensive. So a room is read in
windows of sequence numbers: each takes a few milliseconds, however many messages the room has.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from chat.models import NO_AUTHOR, MessageRow, Room, message_row, messages
from chat.storage.database import read_transaction

WINDOW_SEQS = 500
"""Sequence numbers that one statement reads."""

MODERATION = "moderation"
"""The `kind` of the messages that announce what hosts and moderators have done."""

_SEQ = messages.c.seq
_IN_WINDOW = (
    messages.c.room_id == sa.bindparam("room_id", type_=sa.Integer),
    sa.bindparam("after", type_=sa.BigInteger) < _SEQ,
    sa.bindparam("upto", type_=sa.BigInteger) >= _SEQ,
)
_IS_BY_PERSON = messages.c.author == sa.bindparam("author")
_IS_ABOUT_PERSON = sa.and_(
    messages.c.kind == MODERATION,
    messages.c.details["target"].as_string() == sa.bindparam("mark"),
)
_HAS_REACTION = sa.cast(messages.c.reactions, sa.Text).like(sa.bindparam("author_pattern"))
_SELECT_WINDOW = (
    sa.select(messages)
    .where(*_IN_WINDOW, sa.or_(_IS_BY_PERSON, _IS_ABOUT_PERSON, _HAS_REACTION))
    .order_by(_SEQ)
)
_SELECT_ANNOUNCEMENTS = sa.select(messages).where(*_IN_WINDOW, _IS_ABOUT_PERSON).order_by(_SEQ)
_SELECT_AUTHORS = (
    sa.select(messages.c.author).where(*_IN_WINDOW, messages.c.author != NO_AUTHOR).distinct()
)
_SELECT_DELETABLE = sa.select(*messages.c["seq", "author", "timestamp"]).where(
    *_IN_WINDOW,
    messages.c.deleted_at.is_(None),
    sa.or_(messages.c.kind.is_(None), messages.c.kind.in_(("rename", "title"))),
)
_SELECT_REACTIONS = sa.select(messages.c.reactions).where(
    *_IN_WINDOW, messages.c.reactions.is_not(None)
)


@dataclass(frozen=True)
class Traces:
    """What concerns a person in a window of a room, which ends with the number `upto`.

    `rows` are messages and system messages by the person, and system messages about the person.
    `reacted` are messages of others to which the person has reacted.
    """

    upto: int
    rows: list[MessageRow]
    reacted: list[MessageRow]


@dataclass
class Count:
    """How much a person has written in a room."""

    messages: int = 0
    system_messages: int = 0
    reactions: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether the room has nothing of the person."""
        return not (self.messages or self.system_messages or self.reactions)

    def add(self, traces: Traces, author: str) -> None:
        """Add the traces of a window."""
        written = sum(row.kind is None for row in traces.rows)
        self.messages += written
        self.system_messages += len(traces.rows) - written
        for row in (*traces.rows, *traces.reacted):
            self.reactions += len(given_reactions(row, author))


def traces(room: Room, author: str, after: int = 0) -> Iterator[Traces]:
    """Yield what concerns a person after the number `after`, window by window, up to the head.

    Raises NotFound when the room has been deleted, Busy.
    """
    mark = room.mark(author)
    person = {"author": author, "mark": mark, "author_pattern": f'%"{author}"%'}
    for after_seq, upto in windows(room, after):
        concerning = []
        reacted = []
        for row in _read_window(room, after_seq, upto, person):
            if is_by_or_about(row, author, mark):
                concerning.append(row)
            elif given_reactions(row, author):
                reacted.append(row)
        yield Traces(upto, concerning, reacted)


def announcements_about(room: Room, mark: str, after: int = 0) -> Iterator[Traces]:
    """Yield the system messages about a person whose author id is not known, as `traces` does.

    Raises NotFound when the room has been deleted, Busy.
    """
    for after_seq, upto in windows(room, after):
        parameters = {"room_id": room.id, "after": after_seq, "upto": upto, "mark": mark}
        with read_transaction() as connection:
            rows = connection.execute(_SELECT_ANNOUNCEMENTS, parameters).all()
        yield Traces(upto, [message_row(row) for row in rows], [])


def count(room: Room, author: str, pause: Callable[[], None]) -> Count:
    """Count what concerns a person in a room. `pause` is called now and then. Raises Busy."""
    found = Count()
    for each in traces(room, author):
        found.add(each, author)
        pause()
    return found


def author_with_mark(room: Room, mark: str, pause: Callable[[], None]) -> str | None:
    """Return the author with this mark; None when nothing in the room is by them. Raises Busy."""
    for after, upto in windows(room, 0):
        parameters = {"room_id": room.id, "after": after, "upto": upto}
        with read_transaction() as connection:
            authors: set[str] = set(connection.scalars(_SELECT_AUTHORS, parameters))
        with read_transaction() as connection:
            for reactions in connection.scalars(_SELECT_REACTIONS, parameters):
                authors.update(*reactions.values())
        for author in authors:
            if room.mark(author) == mark:
                return author
        pause()
    return None


def seqs_of(room: Room, mark: str, since: datetime | None, pause: Callable[[], None]) -> list[int]:
    """Return the messages of a person that are not deleted, and the lines with names they chose.

    With `since`, those since a time: the room is read backwards from its head, window by window,
    until everything in a window is older. `pause` is called after each. Raises NotFound, Busy.
    """
    current = Room.find(room.label)
    upto = current.head
    seqs: list[int] = []
    while upto > current.floor:
        after = max(current.floor, upto - WINDOW_SEQS)
        parameters = {"room_id": room.id, "after": after, "upto": upto}
        with read_transaction() as connection:
            rows = connection.execute(_SELECT_DELETABLE, parameters).all()
        found = [row for row in rows if since is None or row.timestamp >= since]
        seqs += [row.seq for row in found if room.mark(row.author) == mark]
        if rows and not found:
            break
        upto = after
        pause()
    return sorted(seqs)


def windows(room: Room, after: int) -> Iterator[tuple[int, int]]:
    """Yield the windows of a room after a number: each from above one number up to another.

    The head is read anew after the last one. Raises NotFound when the room has been deleted, Busy.
    """
    current = Room.find(room.label)
    after = max(after, current.floor)
    while after < current.head:
        upto = min(after + WINDOW_SEQS, current.head)
        yield after, upto
        after = upto
        if after == current.head:
            current = Room.find(room.label)


def is_about(row: MessageRow, mark: str) -> bool:
    """Return whether a message is a system message that names a person as its target."""
    return row.kind == MODERATION and (row.details or {}).get("target") == mark


def is_by_or_about(row: MessageRow, author: str, mark: str) -> bool:
    """Return whether a person wrote a message, or a system message names them as its target."""
    return row.author == author or is_about(row, mark)


def given_reactions(row: MessageRow, author: str) -> list[str]:
    """Return the emoji with which a person has reacted to a message."""
    return [emoji for emoji, authors in (row.reactions or {}).items() if author in authors]


def _read_window(room: Room, after: int, upto: int, person: dict[str, Any]) -> list[MessageRow]:
    parameters = {"room_id": room.id, "after": after, "upto": upto, **person}
    with read_transaction() as connection:
        return [message_row(row) for row in connection.execute(_SELECT_WINDOW, parameters)]
