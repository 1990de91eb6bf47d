"""Finds people in all rooms, for the operator: by name, by mark, and by author."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from chat.models import NO_AUTHOR, Room, messages, room_mark, rooms
from chat.moderation.tables import banned_addresses, known_names, moderation_log, reports, sanctions
from chat.storage.database import read_transaction
from chat.text.skeletons import skeleton

MIN_MARK_DIGITS = 4
"""Fewer digits are looked for in names only."""

_of_room = (
    messages.c.room_id == sa.bindparam("room_id"),
    messages.c.seq > sa.bindparam("floor"),
)
_writings = (
    sa.select(
        messages.c.author,
        messages.c.seq,
        messages.c.timestamp,
        messages.c.kind,
        sa.case((messages.c.kind == "rename", messages.c.message), else_=messages.c.handle).label(
            "shown_handle"
        ),
    )
    .where(
        *_of_room,
        messages.c.author != NO_AUTHOR,
        sa.or_(messages.c.kind.is_(None), messages.c.kind == "rename"),
    )
    .subquery()
)
SELECT_WRITERS = (
    sa.select(
        _writings.c.author,
        _writings.c.shown_handle,
        sa.func.sum(sa.case((_writings.c.kind.is_(None), 1), else_=0)),
        sa.func.max(_writings.c.timestamp, type_=messages.c.timestamp.type),
    )
    .group_by(_writings.c.author, _writings.c.shown_handle)
    .order_by(sa.func.max(_writings.c.seq))
)
SELECT_NAMES = sa.select(*known_names.c["mark", "handle", "address_hash"]).where(
    known_names.c.room_id == sa.bindparam("room_id")
)
HAS_TRACE = sa.select(messages.c.seq).where(
    *_of_room,
    sa.or_(
        messages.c.author == sa.bindparam("author"),
        sa.cast(messages.c.reactions, sa.Text).like(sa.bindparam("author_pattern")),
    ),
)


@dataclass
class PersonSummary:
    """A person in a room. `handles` are their names there, the last one last.

    `has_address` says whether a hash of their address is stored.
    """

    label: str
    mark: str
    handles: list[str] = field(default_factory=list)
    messages: int = 0
    last_seen_at: datetime | None = None
    has_address: bool = False

    @property
    def handle(self) -> str:
        """The name used last; "" when it is not known."""
        return self.handles[-1] if self.handles else ""


def search_people(text: str, *, label: str | None = None) -> list[PersonSummary]:
    """Return people by a part of one of their names, or by the first digits of their mark.

    They are listed room by room. Raises Busy.
    """
    digits = text.lower()
    looks = skeleton(text)
    found = []
    for room in _all_rooms(label):
        for person in _people(room):
            has_mark = len(digits) >= MIN_MARK_DIGITS and person.mark.startswith(digits)
            has_name = looks != "" and any(looks in skeleton(name) for name in person.handles)
            if has_mark or has_name:
                found.append(person)
    return found


def rooms_of_author(author: str) -> list[Room]:
    """Return the rooms in which an author has left anything. Raises Busy."""
    return [room for room in _all_rooms() if _has_left_anything(room, author)]


def is_recorded(room_id: int, mark: str) -> bool:
    """Return whether a table beside that of the messages names a person. Raises Busy."""
    columns = (
        known_names.c.mark,
        sanctions.c.mark,
        banned_addresses.c.mark,
        moderation_log.c.mark,
        moderation_log.c.target,
        reports.c.reporter,
        reports.c.target,
    )
    conditions = [
        sa.exists().where(column.table.c.room_id == room_id, column == mark) for column in columns
    ]
    with read_transaction() as connection:
        return bool(connection.scalar(sa.select(sa.or_(*conditions))))


def _has_left_anything(room: Room, author: str) -> bool:
    parameters = {
        "room_id": room.id,
        "floor": room.floor,
        "author": author,
        "author_pattern": f'%"{author}"%',
    }
    with read_transaction() as connection:
        if connection.scalar(HAS_TRACE.limit(1), parameters) is not None:
            return True
    return is_recorded(room.id, room.mark(author))


def _all_rooms(label: str | None = None) -> Iterator[Room]:
    """Yield all rooms, or the one with a label, in the order of their labels."""
    statement = sa.select(rooms).order_by(rooms.c.label)
    if label is not None:
        statement = statement.where(rooms.c.label == label)
    with read_transaction() as connection:
        found = connection.execute(statement).all()
    for row in found:
        yield Room(**row._mapping)


def _people(room: Room) -> list[PersonSummary]:
    """Return the people who have written in a room, or used a name there."""
    people: dict[str, PersonSummary] = {}
    parameters = {"room_id": room.id, "floor": room.floor}
    with read_transaction() as connection:
        writers = connection.execute(SELECT_WRITERS, parameters).all()
    for author, handle, posted, last_seen_at in writers:
        mark = room_mark(room.label, author)
        person = people.setdefault(mark, PersonSummary(room.label, mark))
        person.handles.append(handle)
        person.messages += posted
        person.last_seen_at = last_seen_at
    with read_transaction() as connection:
        names = connection.execute(SELECT_NAMES, {"room_id": room.id}).all()
    for mark, handle, address_hash in names:
        person = people.setdefault(mark, PersonSummary(room.label, mark))
        person.has_address = bool(address_hash)
        if handle and handle not in person.handles:
            person.handles.append(handle)
    return list(people.values())
