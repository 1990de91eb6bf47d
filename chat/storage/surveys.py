"""Surveys of all rooms, for the operator's commands: rooms, people, and what is imposed on them.

Their statements read whole rooms. They are for commands, not for requests.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from chat.models import RULES_COLUMNS, messages, rooms
from chat.moderation.rules import RoomRules
from chat.moderation.tables import banned_addresses, known_names, reports, sanctions
from chat.storage.database import read_transaction

IS_POSTED = sa.and_(
    messages.c.room_id == rooms.c.id,
    messages.c.seq > rooms.c.floor,
    messages.c.kind.is_(None),
    messages.c.deleted_at.is_(None),
)
"""Messages that people have posted, and that still exist."""

LAST_MESSAGE_AT = (
    sa.select(messages.c.timestamp)
    .where(IS_POSTED)
    .order_by(messages.c.seq.desc())
    .limit(1)
    .correlate(rooms)
    .scalar_subquery()
    .label("last_message_at")
)
ROOM_COLUMNS = rooms.c["id", "label", "name", "created_at"]
COUNT_COLUMNS = (
    rooms.c.id,
    sa.func.count().label("messages"),
    sa.func.count(messages.c.author.distinct()).label("people"),
)


@dataclass
class RoomSummary:
    """A room, with how many messages exist in it and how many people have written them."""

    id: int
    label: str
    name: str
    created_at: datetime
    last_message_at: datetime | None
    rules: RoomRules
    messages: int = 0
    people: int = 0


def survey_rooms(
    search: str = "", *, label: str | None = None, only_closed: bool = False, limit: int | None
) -> list[RoomSummary]:
    """Return rooms, those with the latest messages first. Raises Busy.

    `search` is a part of the label or the name, in lower or upper case.
    """
    columns: list[sa.ColumnElement[Any]] = [*ROOM_COLUMNS, LAST_MESSAGE_AT, *RULES_COLUMNS]
    statement = sa.select(*columns)
    if search:
        is_found = [
            column.icontains(search, autoescape=True) for column in rooms.c["label", "name"]
        ]
        statement = statement.where(sa.or_(*is_found))
    if label is not None:
        statement = statement.where(rooms.c.label == label)
    if only_closed:
        statement = statement.where(rooms.c.closed_at.is_not(None))
    statement = statement.order_by(sa.nulls_last(LAST_MESSAGE_AT.desc()), rooms.c.id.desc())
    with read_transaction() as connection:
        rows = connection.execute(statement.limit(limit)).all()
    found = [_summary(row) for row in rows]
    _count_messages({room.id: room for room in found})
    return found


def _summary(row: sa.Row[Any]) -> RoomSummary:
    rules = RoomRules(*row[-len(RULES_COLUMNS) :])
    return RoomSummary(row.id, row.label, row.name, row.created_at, row.last_message_at, rules)


def _count_messages(found: dict[int, RoomSummary]) -> None:
    statement = (
        sa.select(*COUNT_COLUMNS)
        .select_from(rooms.join(messages, IS_POSTED))
        .where(rooms.c.id.in_(sa.bindparam("room_ids", expanding=True)))
        .group_by(rooms.c.id)
    )
    with read_transaction() as connection:
        for room_id, posted, people in connection.execute(statement, {"room_ids": list(found)}):
            found[room_id].messages = posted
            found[room_id].people = people


@dataclass(frozen=True)
class StoredSanction:
    """What is imposed on a person in a room; `until` is None when it has no end."""

    label: str
    mark: str
    handle: str
    kind: str
    until: datetime | None
    created_at: datetime
    addresses: int
    """How many addresses are banned with the person."""


def survey_sanctions(now: datetime, *, label: str | None = None) -> list[StoredSanction]:
    """Return the sanctions in force, of one room or of all, the latest first. Raises Busy."""
    imposed = sanctions.c
    addresses = (
        sa.select(sa.func.count())
        .where(
            imposed.kind == "ban",
            banned_addresses.c.room_id == imposed.room_id,
            banned_addresses.c.mark == imposed.mark,
        )
        .correlate(sanctions)
        .scalar_subquery()
    )
    of_person = imposed["mark", "handle", "kind", "until", "created_at"]
    columns: list[sa.ColumnElement[Any]] = [rooms.c.label, *of_person, addresses]
    statement = (
        sa.select(*columns)
        .select_from(sanctions.join(rooms))
        .where(sa.or_(imposed.until.is_(None), imposed.until > now))
        .order_by(imposed.created_at.desc())
    )
    if label is not None:
        statement = statement.where(rooms.c.label == label)
    with read_transaction() as connection:
        return [StoredSanction(*row) for row in connection.execute(statement)]


def count_open_reports(room_id: int) -> int:
    """Return how many reports of a room nobody has dealt with. Raises Busy."""
    is_open = reports.c.room_id == room_id, reports.c.resolved_at.is_(None)
    with read_transaction() as connection:
        statement = sa.select(sa.func.count()).select_from(reports).where(*is_open)
        return connection.scalar(statement) or 0


def known_handle(room_id: int, mark: str) -> str:
    """Return the handle that a person has used last in a room; "" if it is not known. Raises Busy.

    It is known of people who wrote long ago too, and of those who never wrote.
    """
    names = known_names.c
    statement = sa.select(names.handle).where(names.room_id == room_id, names.mark == mark)
    with read_transaction() as connection:
        return connection.scalar(statement) or ""
