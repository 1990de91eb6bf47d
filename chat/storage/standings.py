"""Reads what is imposed on people: sanctions, banned addresses and the pause of slow mode.

Where a banned person connects from is added here too.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, or_, select

from chat.models import RoomRow, rooms
from chat.moderation.rules import SanctionKind, Standing, utc_now
from chat.moderation.tables import banned_addresses, last_posts, sanctions
from chat.storage.database import read_transaction, write_transaction
from chat.storage.effects import BanAddresses

MAX_BANNED_ADDRESSES = 100
"""How many addresses are banned with one person."""

SELECT_SANCTIONS = select(*sanctions.c["room_id", "mark", "kind", "until", "with_address"]).where(
    sanctions.c.room_id.in_(bindparam("room_ids", expanding=True)),
    sanctions.c.mark.in_(bindparam("marks", expanding=True)),
)
SELECT_LAST_POSTS = select(last_posts.c.mark, last_posts.c.posted_at).where(
    last_posts.c.room_id == bindparam("room_id"),
    last_posts.c.mark.in_(bindparam("marks", expanding=True)),
)
# An address is banned as long as a ban of one of its people is in force.
SELECT_BANNED_ADDRESSES = select(banned_addresses.c.address_hash).where(
    banned_addresses.c.room_id == bindparam("room_id"),
    sanctions.c.room_id == banned_addresses.c.room_id,
    sanctions.c.mark == banned_addresses.c.mark,
    sanctions.c.kind == SanctionKind.BAN,
    or_(sanctions.c.until.is_(None), sanctions.c.until > bindparam("now")),
)
SELECT_BANNED_ADDRESS = SELECT_BANNED_ADDRESSES.where(
    banned_addresses.c.address_hash == bindparam("address_hash")
)


def load_sanctions(
    connection: Connection, rooms_by_id: dict[int, RoomRow], marks: Collection[str]
) -> None:
    """Set the standings of these people in these rooms."""
    if not marks:
        return
    parameters = {"room_ids": list(rooms_by_id), "marks": list(marks)}
    for row in connection.execute(SELECT_SANCTIONS, parameters):
        _add_sanction(rooms_by_id[row.room_id].standings.setdefault(row.mark, Standing()), row)


def _add_sanction(standing: Standing, row: Row[Any]) -> None:
    kind = SanctionKind(row.kind)
    standing.sanctions[kind] = row.until
    if kind is SanctionKind.BAN:
        standing.bans_address = row.with_address


def load_last_posts(connection: Connection, room: RoomRow, marks: Collection[str]) -> None:
    """Set when these people posted last, for slow mode."""
    parameters = {"room_id": room.id, "marks": list(marks)}
    for mark, posted_at in connection.execute(SELECT_LAST_POSTS, parameters):
        room.standings.setdefault(mark, Standing()).posted_at = posted_at


def read_standing(room_id: int, mark: str) -> Standing:
    """Return what is imposed on a person. Raises Busy."""
    return read_standings(room_id, [mark]).get(mark, Standing())


def read_standings(room_id: int, marks: Collection[str]) -> dict[str, Standing]:
    """Return what is imposed on these people, by mark, if there is anything. Raises Busy."""
    standing_by_mark: dict[str, Standing] = {}
    parameters = {"room_ids": [room_id], "marks": list(marks)}
    with read_transaction() as connection:
        for row in connection.execute(SELECT_SANCTIONS, parameters):
            _add_sanction(standing_by_mark.setdefault(row.mark, Standing()), row)
    return standing_by_mark


def is_banned_address(room_id: int, address_hash: str) -> bool:
    """Return whether an address is banned from a room. Raises Busy."""
    parameters = {"room_id": room_id, "address_hash": address_hash, "now": utc_now()}
    with read_transaction() as connection:
        return connection.execute(SELECT_BANNED_ADDRESS, parameters).first() is not None


def read_banned_addresses(room_id: int) -> set[str]:
    """Return the hashes of the addresses that are banned from a room. Raises Busy."""
    parameters = {"room_id": room_id, "now": utc_now()}
    with read_transaction() as connection:
        return set(connection.scalars(SELECT_BANNED_ADDRESSES, parameters))


def add_banned_addresses(room_id: int, mark: str, address_hashes: Collection[str]) -> None:
    """Ban more addresses of a person, if their addresses are banned. Raises Busy."""
    with write_transaction() as connection:
        # As the journal does: another worker may be adding the same address, or lifting the ban.
        connection.execute(select(rooms.c.id).where(rooms.c.id == room_id).with_for_update())
        parameters = {"room_ids": [room_id], "marks": [mark]}
        standing = Standing()
        for row in connection.execute(SELECT_SANCTIONS, parameters):
            _add_sanction(standing, row)
        if not standing.are_addresses_banned(utc_now()):
            return
        of_person = banned_addresses.c.room_id == room_id, banned_addresses.c.mark == mark
        count = select(func.count()).select_from(banned_addresses).where(*of_person)
        if connection.execute(count).scalar_one() < MAX_BANNED_ADDRESSES:
            BanAddresses(room_id, mark, frozenset(address_hashes)).write(connection)
