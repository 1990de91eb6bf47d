"""Reads what hosts and moderators have done in a room, and what is in force there."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from chat.models import Room
from chat.moderation.rules import SanctionKind
from chat.moderation.tables import known_names, moderation_log, sanctions
from chat.storage.database import read_transaction

MAX_LISTED_SANCTIONS = 500


@dataclass(frozen=True)
class LogRow:
    """An action; `handle` and `sentence` are empty for the deletion of one message."""

    id: int
    at: datetime
    mark: str
    handle: str
    action: str
    target: str
    sentence: str


@dataclass(frozen=True)
class SanctionRow:
    """A sanction that is in force. `until` is None when it has no end."""

    mark: str
    kind: SanctionKind
    handle: str
    until: datetime | None
    bans_address: bool


LOG_COLUMNS = moderation_log.c["id", "at", "mark", "handle", "action", "target", "sentence"]


def read_log(room: Room, limit: int, before: int | None = None) -> list[LogRow]:
    """Return the last actions, or the last ones before an id, the latest first. Raises Busy."""
    log = moderation_log.c
    statement = sa.select(*LOG_COLUMNS).where(log.room_id == room.id)
    if before is not None:
        statement = statement.where(log.id < before)
    with read_transaction() as connection:
        rows = connection.execute(statement.order_by(log.id.desc()).limit(limit))
        return [LogRow(*row) for row in rows]


def read_sanctions(room: Room, now: datetime) -> list[SanctionRow]:
    """Return the sanctions that are in force, the latest first. Raises Busy."""
    imposed = sanctions.c
    in_force = sa.or_(imposed.until.is_(None), imposed.until > now)
    statement = (
        sa.select(
            imposed.mark,
            imposed.kind,
            imposed.handle,
            imposed.until,
            imposed.with_address,
        )
        .where(imposed.room_id == room.id, in_force)
        .order_by(imposed.created_at.desc(), imposed.mark)
        .limit(MAX_LISTED_SANCTIONS)
    )
    with read_transaction() as connection:
        return [
            SanctionRow(row.mark, SanctionKind(row.kind), row.handle, row.until, row.with_address)
            for row in connection.execute(statement)
        ]


def read_known_handles(room: Room, marks: Collection[str]) -> dict[str, str]:
    """Return the handles under which the database knows these people, by mark. Raises Busy."""
    names = known_names.c
    statement = sa.select(names.mark, names.handle).where(
        names.room_id == room.id, names.mark.in_(marks)
    )
    with read_transaction() as connection:
        return {row.mark: row.handle for row in connection.execute(statement)}
