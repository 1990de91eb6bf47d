"""How long what belongs to moderation is kept, and the deletion of what is older.

Messages and rooms are deleted by purge.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from chat.models import rooms
from chat.moderation.rules import Role, SanctionKind
from chat.moderation.tables import (
    banned_addresses,
    host_links,
    known_names,
    last_posts,
    moderation_log,
    reports,
    sanctions,
)
from chat.storage.database import read_transaction, write_transaction

HOST_LINK_DAYS = 30
"""How long after its end a host link is remembered, so that the page can say why it is refused."""

SLOW_MODE_SECONDS = 3_600
"""How long the last post of a person in a room with slow mode is noted: longer than any pause."""

REPORT_DAYS = 90
LOG_DAYS = 365

PAGE_ROWS = 500


@dataclass(frozen=True)
class OldRows:
    """The rows of a table that are older than they may become."""

    table: sa.Table
    is_old: Callable[[datetime], sa.ColumnElement[bool]]
    """Takes the time; returns the condition."""


def _ended_sanction(now: datetime) -> sa.ColumnElement[bool]:
    return sanctions.c.until <= now


def _ended_host_link(now: datetime) -> sa.ColumnElement[bool]:
    return host_links.c.expires_at <= now - timedelta(days=HOST_LINK_DAYS)


def _free_name(now: datetime) -> sa.ColumnElement[bool]:
    """Select the names that are free again: a host holds a name as long as they are one."""
    role_text = sa.cast(rooms.c.roles, sa.Text)
    is_of_host = role_text.contains(known_names.c.mark + f'": "{Role.HOST}"')  # in the JSON object
    of_room = rooms.c.id == known_names.c.room_id
    return (known_names.c.held_until <= now) & ~sa.exists().where(of_room, is_of_host)


def _old_report(now: datetime) -> sa.ColumnElement[bool]:
    return reports.c.created_at <= now - timedelta(days=REPORT_DAYS)


def _old_log_entry(now: datetime) -> sa.ColumnElement[bool]:
    return moderation_log.c.at <= now - timedelta(days=LOG_DAYS)


def _old_post(now: datetime) -> sa.ColumnElement[bool]:
    return last_posts.c.posted_at <= now - timedelta(seconds=SLOW_MODE_SECONDS)


def _lifted_address_ban(_now: datetime) -> sa.ColumnElement[bool]:
    is_banned = (
        (sanctions.c.room_id == banned_addresses.c.room_id)
        & (sanctions.c.mark == banned_addresses.c.mark)
        & (sanctions.c.kind == SanctionKind.BAN)
    )
    return ~sa.exists(sa.select(sanctions.c.mark).where(is_banned))


OLD_ROWS = (
    OldRows(sanctions, _ended_sanction),
    OldRows(host_links, _ended_host_link),
    OldRows(known_names, _free_name),
    OldRows(last_posts, _old_post),
    OldRows(reports, _old_report),
    OldRows(moderation_log, _old_log_entry),
    OldRows(banned_addresses, _lifted_address_ban),
)


def delete_old_rows(now: datetime) -> Iterator[int]:
    """Delete them in small transactions; yield the number of rows after each. Raises Busy."""
    for old in OLD_ROWS:
        deleted = PAGE_ROWS
        while deleted == PAGE_ROWS:
            deleted = _delete_page(old, now)
            yield deleted


def count_old_rows(now: datetime) -> int:
    """Return how many rows `delete_old_rows` would delete. Raises Busy."""
    total = 0
    for old in OLD_ROWS:
        statement = sa.select(sa.func.count()).select_from(old.table).where(old.is_old(now))
        with read_transaction() as connection:
            total += connection.scalar(statement) or 0
    return total


def _delete_page(old: OldRows, now: datetime) -> int:
    """Delete at most PAGE_ROWS rows. The write lock is taken only if there are any."""
    key = list(old.table.primary_key)
    statement = sa.select(*key).where(old.is_old(now)).limit(PAGE_ROWS)
    with read_transaction() as connection:
        found = connection.execute(statement).all()
    if not found:
        return 0
    is_row = sa.and_(*(column == sa.bindparam(f"key_{column.name}") for column in key))
    rows = [{f"key_{name}": value for name, value in row._mapping.items()} for row in found]
    with write_transaction() as connection:
        connection.execute(sa.delete(old.table).where(is_row, old.is_old(now)), rows)
    return len(found)
