"""Reads who holds which name of a room, and extends it. storage/effects.py writes new claims."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, and_, bindparam, exists, or_, select, union_all, update

from chat.current_config import current_config
from chat.models import Room, RoomRow, rooms
from chat.moderation.names import CLAIM_MEMORY_SECONDS, HOLD_SECONDS, HeldName, held_until, is_taken
from chat.moderation.rules import utc_now
from chat.moderation.tables import known_names
from chat.storage.database import read_transaction, write_transaction
from chat.text.alternative_names import alternative_names
from chat.text.skeletons import skeleton

EXTEND_BELOW_SECONDS = HOLD_SECONDS - CLAIM_MEMORY_SECONDS // 2
"""Names of people who are present are extended when they are held for less time than this."""

COLUMNS = known_names.c["room_id", "mark", "skeleton", "held_until"]
OF_ROOMS = known_names.c.room_id.in_(bindparam("room_ids", expanding=True))
BY_SKELETON = known_names.c.skeleton.in_(bindparam("skeletons", expanding=True))
BY_MARK = known_names.c.mark.in_(bindparam("marks", expanding=True))

# Two parts, each of which uses an index.
SELECT_NAMES = union_all(
    select(*COLUMNS).where(OF_ROOMS, BY_SKELETON), select(*COLUMNS).where(OF_ROOMS, BY_MARK)
)

ROOM_ID = select(rooms.c.id).where(rooms.c.label == bindparam("label")).scalar_subquery()
LOCK_ROOM = select(rooms.c.id).where(rooms.c.label == bindparam("label")).with_for_update()
OF_PEOPLE = and_(known_names.c.room_id == ROOM_ID, BY_MARK)
ENDS_SOON = known_names.c.held_until < bindparam("soon")
other_names = known_names.alias()
IS_TAKEN = exists().where(
    other_names.c.room_id == known_names.c.room_id,
    other_names.c.skeleton == known_names.c.skeleton,
    other_names.c.mark != known_names.c.mark,
    other_names.c.held_until > bindparam("now"),
)
SELECT_ENDING = select(known_names.c.mark).where(OF_PEOPLE, ENDS_SOON)
EXTEND = (
    update(known_names)
    .where(OF_PEOPLE, ENDS_SOON, or_(known_names.c.held_until > bindparam("now"), ~IS_TAKEN))
    .values(held_until=bindparam("until"))
)


@dataclass(frozen=True)
class Wanted:
    """A name that somebody wants to use."""

    room_id: int
    mark: str
    handle: str


def load_names(
    connection: Connection, rooms_by_id: dict[int, RoomRow], wanted: Collection[Wanted]
) -> None:
    """Read who holds these names or ones that look like them, into the names of the rooms."""
    if not wanted:
        return
    parameters = {
        "room_ids": list({each.room_id for each in wanted}),
        "skeletons": list({skeleton(each.handle) for each in wanted}),
        "marks": list({each.mark for each in wanted}),
    }
    for room_id, mark, looks, until in connection.execute(SELECT_NAMES, parameters):
        rooms_by_id[room_id].names.add(HeldName(mark, looks, until))


def is_name_taken(room: Room, mark: str, handle: str) -> bool:
    """Return whether this person cannot use a name, because of who holds it now. Raises Busy."""
    looks = skeleton(handle)
    names = _read_names(room, mark, [looks])
    return is_taken(looks, mark, names, room.rules.hosts, utc_now())


def free_name(room: Room, mark: str, handle: str) -> str | None:
    """Return a name like `handle` that this person can use; None if there is none. Raises Busy."""
    max_chars = current_config().handle_chars
    candidates = {name: skeleton(name) for name in alternative_names(handle, max_chars)}
    names = _read_names(room, mark, set(candidates.values()))
    hosts = room.rules.hosts
    now = utc_now()
    free = (
        name for name, looks in candidates.items() if not is_taken(looks, mark, names, hosts, now)
    )
    return next(free, None)


def _read_names(room: Room, mark: str, skeletons: Collection[str]) -> list[HeldName]:
    """Return who holds the names with these skeletons, and the name of one person. Raises Busy."""
    parameters = {"room_ids": [room.id], "skeletons": list(skeletons), "marks": [mark]}
    with read_transaction() as connection:
        return [HeldName(*row[1:]) for row in connection.execute(SELECT_NAMES, parameters)]


def extend_names(label: str, marks: Collection[str]) -> None:
    """Keep the names of people who are present held. Raises Busy.

    A name that somebody else has taken meanwhile stays theirs.
    """
    now = utc_now()
    parameters = {
        "label": label,
        "marks": list(marks),
        "soon": now + timedelta(seconds=EXTEND_BELOW_SECONDS),
    }
    with read_transaction() as connection:
        ending = list(connection.scalars(SELECT_ENDING, parameters))
    if not ending:
        return
    with write_transaction() as connection:
        connection.execute(LOCK_ROOM, parameters)  # first, as the journal does
        connection.execute(
            EXTEND, parameters | {"marks": ending, "now": now, "until": held_until(now)}
        )
