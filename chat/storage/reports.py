"""Reports of messages and rooms, for the hosts of the room and, on request, for the operator."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from chat.errors import Gone, NotFound
from chat.models import MessageRow, Room, message_row, messages
from chat.moderation.tables import reports
from chat.storage.database import read_transaction, write_transaction

MAX_LISTED_REPORTS = 200


@dataclass(frozen=True)
class StoredReport:
    """A row of `reports`. Without a `seq`, the room was reported.

    `message` is a copy of the message as it was, and `handle` the name beside it. Both are empty
    when its author has erased everything they wrote.
    """

    id: int
    room_id: int
    label: str
    seq: int | None
    reporter: str
    reason: str
    target: str
    handle: str
    message: str
    to_operator: bool
    created_at: datetime
    resolved_at: datetime | None


_COLUMNS = [reports.c[each.name] for each in fields(StoredReport)]


def reportable_message(room: Room, seq: int) -> MessageRow:
    """Return a message that somebody posted. Raises NotFound, Gone when it was deleted, Busy."""
    statement = sa.select(messages).where(messages.c.room_id == room.id, messages.c.seq == seq)
    with read_transaction() as connection:
        row = connection.execute(statement).one_or_none()
    message = None if row is None else message_row(row)
    if message is None or message.kind is not None or message.seq <= room.floor:
        raise NotFound("There is no such message in this room.")
    if message.deleted_at is not None:
        raise Gone
    return message


def create_report(
    room: Room, reporter: str, reason: str, message: MessageRow | None, *, to_operator: bool
) -> int:
    """Store a report by the person with the mark `reporter`; return its id.

    `message` is what is reported; None: the room. Raises Busy.
    """
    row: dict[str, Any] = {
        "room_id": room.id,
        "label": room.label,
        "seq": None,
        "reporter": reporter,
        "reason": reason,
        "to_operator": to_operator,
        "created_at": datetime.now(UTC),
    }
    if message is not None:
        row |= {
            "seq": message.seq,
            "target": room.mark(message.author),
            "handle": message.handle,
            "message": message.message,
        }
    with write_transaction() as connection:
        created = connection.execute(sa.insert(reports).returning(reports.c.id), row)
        return int(created.scalar_one())


def reports_of_room(room: Room, *, include_resolved: bool = False) -> list[StoredReport]:
    """Return the reports for the hosts of a room, the latest first. Raises Busy."""
    return _list(reports.c.room_id == room.id, include_resolved=include_resolved)


def reports_to_operator(*, include_resolved: bool = False) -> list[StoredReport]:
    """Return the reports for the operator from all rooms, the latest first. Raises Busy."""
    return _list(reports.c.to_operator.is_(True), include_resolved=include_resolved)


def find_report(report_id: int) -> StoredReport:
    """Return a report. Raises NotFound, Busy."""
    statement = sa.select(*_COLUMNS).where(reports.c.id == report_id)
    with read_transaction() as connection:
        row = connection.execute(statement).one_or_none()
    if row is None:
        raise NotFound("There is no such report.")
    return StoredReport(*row)


def resolve_report(report_id: int, room: Room | None = None) -> None:
    """Mark a report as dealt with; with `room`, only one of that room.

    Raises NotFound, Busy.
    """
    found = [reports.c.id == report_id]
    if room is not None:
        found.append(reports.c.room_id == room.id)
    resolved_at = sa.func.coalesce(reports.c.resolved_at, sa.bindparam("now", datetime.now(UTC)))
    statement = sa.update(reports).where(*found).values(resolved_at=resolved_at)
    with write_transaction() as connection:
        if connection.execute(statement).rowcount == 0:
            raise NotFound("There is no such report.")


def _list(condition: sa.ColumnElement[bool], *, include_resolved: bool) -> list[StoredReport]:
    statement = sa.select(*_COLUMNS).where(condition)
    if not include_resolved:
        statement = statement.where(reports.c.resolved_at.is_(None))
    statement = statement.order_by(reports.c.id.desc()).limit(MAX_LISTED_REPORTS)
    with read_transaction() as connection:
        return [StoredReport(*row) for row in connection.execute(statement)]
