"""The purge: expired and cleared messages, closed rooms and abandoned rooms are deleted.

One round has two steps. First the floors of all rooms with expired messages are raised: from then
on, these messages exist for nobody. Then their rows are deleted in small transactions with pauses,
so that people who chat meanwhile hardly wait. A room stays due (`rooms.purge_at`) until its rows
are deleted, so a purge that was interrupted goes on in the next round.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import sqlalchemy as sa

from chat.current_config import current_config
from chat.models import LOCKED_COLUMNS, RoomRow, messages, room_row, rooms
from chat.moderation.expiry import ABANDONED_AFTER, expiry_seconds
from chat.moderation.rules import CLOSED_ROOM_KEPT
from chat.storage import retention
from chat.storage.database import is_sqlite, read_transaction, write_transaction
from chat.storage.migrations import Instance
from config import NEVER

BATCH_MESSAGES = 200
"""Rows that are deleted in one transaction. docs/performance.md has the measurement."""

MIN_BATCH_MESSAGES = 25
SLOW_SECONDS = 0.05
"""After a transaction that took longer, for example because pages were read from the disk, the next
one deletes half as many rows."""

PAGE_ROOMS = 100
SCAN_ROOMS = 1_000

CLOSING_GRACE = timedelta(seconds=15)
"""The messages of a closed room are kept until every worker has read that it is closed."""

OCCUPIED_ROOM_PAUSE = timedelta(hours=1)
"""When an otherwise abandoned room, in which somebody is present, is looked at again."""

EXPIRY_SETTINGS = "expiry_settings"
"""A key of the table `instance`: the settings with which all rooms were scheduled."""

IsOccupied: TypeAlias = Callable[[str], bool]
"""Takes a label; returns whether somebody is in the room, or may be."""

SELECT_DUE_ROOMS = (
    sa.select(*LOCKED_COLUMNS, *rooms.c["created_at", "purge_at"])
    .where(rooms.c.purge_at <= sa.bindparam("now"), rooms.c.id > sa.bindparam("after"))
    .order_by(rooms.c.id)
    .limit(PAGE_ROOMS)
)
# Every change of the rules of a room, and clearing it, sets `purge_at`. So an unchanged `purge_at`
# means that what was decided about the room is still valid.
IS_UNCHANGED = (rooms.c.id == sa.bindparam("where_id")) & (
    rooms.c.purge_at == sa.bindparam("where_purge_at")
)
RAISE_FLOOR = (
    sa.update(rooms)
    .where(IS_UNCHANGED, rooms.c.floor < sa.bindparam("new_floor"))
    .values(floor=sa.bindparam("new_floor"))
)
SET_PURGE_AT = sa.update(rooms).where(IS_UNCHANGED).values(purge_at=sa.bindparam("new_purge_at"))
DELETE_CLOSED_ROOM = sa.delete(rooms).where(IS_UNCHANGED, rooms.c.closed_at.is_not(None))
DELETE_ABANDONED_ROOM = sa.delete(rooms).where(IS_UNCHANGED, rooms.c.head == 0)

_of_room = messages.c.room_id == sa.bindparam("room")
_times = sa.select(messages.c.seq, messages.c.timestamp)
SELECT_FIRST_FROM = (
    _times.where(_of_room, messages.c.seq >= sa.bindparam("from")).order_by(messages.c.seq).limit(1)
)
SELECT_LAST = _times.where(_of_room).order_by(messages.c.seq.desc()).limit(1)
_is_leftover = (
    _of_room & (messages.c.seq > sa.bindparam("after")) & (messages.c.seq <= sa.bindparam("upto"))
)
SELECT_LEFTOVERS = (
    sa.select(messages.c.seq)
    .where(_is_leftover)
    .order_by(messages.c.seq)
    .limit(sa.bindparam("limit"))
)
COUNT_LEFTOVERS = sa.select(sa.func.count()).where(_is_leftover)
DELETE_LEFTOVERS = sa.delete(messages).where(_is_leftover)


@dataclass
class DueRoom:
    """A room that the purge looks at. Rows with a `seq` up to `deleted` are deleted already."""

    row: RoomRow
    created_at: datetime
    purge_at: datetime
    deleted: int = -1

    @property
    def key(self) -> dict[str, Any]:
        """The parameters of IS_UNCHANGED."""
        return {"where_id": self.row.id, "where_purge_at": self.purge_at}

    @property
    def is_unused(self) -> bool:
        """Whether nobody has ever written in the room, nor has it a host, a name or a password."""
        rules = self.row.rules
        has_owner = bool(rules.roles or rules.password_hash or self.row.name)
        return self.row.head == 0 and not has_owner and rules.closed_at is None

    def may_be_deleted(self, now: datetime) -> bool:
        """Return whether the room itself is deleted: closed for long, or unused for a day."""
        closed_at = self.row.rules.closed_at
        if closed_at is not None:
            return closed_at + CLOSED_ROOM_KEPT <= now
        return self.is_unused and self.created_at + ABANDONED_AFTER <= now


@dataclass
class PurgeReport:
    """What a round has deleted, or would delete."""

    messages: int = 0
    rooms: int = 0
    other_rows: int = 0


class Purge:
    """The steps of a round. `pause` is called after each transaction, with the time it took.

    It returns whether to go on.
    """

    def __init__(self, is_occupied: IsOccupied, pause: Callable[[float], bool]) -> None:
        self._is_occupied = is_occupied
        self._pause = pause
        self._batch_messages = BATCH_MESSAGES

    def raise_floors(self, now: datetime, announce: Callable[[], None]) -> list[DueRoom]:
        """Raise the floors of all rooms with expired messages; return the rooms that are due.

        `announce` is called after each transaction that has raised some. Raises Busy.
        """
        found: list[DueRoom] = []
        for page in due_rooms(now):
            found += page
            floors = {room.row.id: expired_upto(room, now) for room in page}
            raised = [room for room in page if floors[room.row.id] > room.row.floor]
            if not raised:
                continue
            started = time.monotonic()
            with write_transaction() as connection:
                for room in raised:
                    floor = floors[room.row.id]
                    parameters = {**room.key, "new_floor": floor}
                    if connection.execute(RAISE_FLOOR, parameters).rowcount == 1:
                        room.row.floor = floor
            announce()
            if not self._pause(time.monotonic() - started):
                return []
        return found

    def delete_leftovers(self, due: Sequence[DueRoom], now: datetime) -> Iterator[PurgeReport]:
        """Delete the rows up to the floors of these rooms, and the rooms that nobody needs.

        Yields what each transaction has deleted. The rooms take turns. Raises Busy.
        """
        queue = deque(due)
        while queue:
            batch, finished = _next_batch(queue, self._batch_messages)
            started = time.monotonic()
            deleted_rooms = self._store(batch, finished, now)
            seconds = time.monotonic() - started
            self._adapt_to(seconds)
            yield PurgeReport(sum(size for _, size in batch), deleted_rooms)
            if not self._pause(seconds):
                return

    def _adapt_to(self, seconds: float) -> None:
        """Let the next transaction delete fewer rows if this one was slow, otherwise more."""
        size = self._batch_messages
        changed = size // 2 if seconds > SLOW_SECONDS else 2 * size
        self._batch_messages = min(max(changed, MIN_BATCH_MESSAGES), BATCH_MESSAGES)

    def _store(self, batch: "Batch", finished: Sequence[DueRoom], now: datetime) -> int:
        """Delete a batch, and set when its finished rooms are looked at again, or delete them.

        Returns the number of deleted rooms.
        """
        unneeded = [room for room in finished if self._is_unneeded(room, now)]
        unneeded_ids = {room.row.id for room in unneeded}
        kept = [room for room in finished if room.row.id not in unneeded_ids]
        next_times = [{**room.key, "new_purge_at": next_purge_at(room, now)} for room in kept]
        deleted_rooms = 0
        with write_transaction() as connection:
            if not is_sqlite():
                # If a crash undoes this transaction, it is repeated. Nobody waits for the disk.
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            if batch:
                connection.execute(DELETE_LEFTOVERS, [parameters for parameters, _ in batch])
            if next_times:
                connection.execute(SET_PURGE_AT, next_times)
            for room in unneeded:
                is_closed = room.row.rules.closed_at is not None
                statement = DELETE_CLOSED_ROOM if is_closed else DELETE_ABANDONED_ROOM
                deleted_rooms += connection.execute(statement, room.key).rowcount
        return deleted_rooms

    def _is_unneeded(self, room: DueRoom, now: datetime) -> bool:
        if not room.may_be_deleted(now):
            return False
        is_closed = room.row.rules.closed_at is not None
        return is_closed or not self._is_occupied(room.row.label)

    def delete_old_rows(self, now: datetime) -> Iterator[PurgeReport]:
        """Delete the rows of moderation that are too old. Yields what each transaction did."""
        started = time.monotonic()
        for deleted in retention.delete_old_rows(now):
            yield PurgeReport(other_rows=deleted)
            if not self._pause(time.monotonic() - started):
                return
            started = time.monotonic()

    def schedule_rooms(self, now: datetime) -> None:
        """Make all rooms due that have to be looked at and are not scheduled.

        Rooms that a release without expiry has created are not scheduled, nor are existing rooms
        when the settings for expiry have changed. Raises Busy.
        """
        settings = _expiry_settings()
        has_changed = settings != _stored_expiry_settings()
        for parameters in _id_ranges():
            started = time.monotonic()
            _schedule_range(parameters | {"now": now}, has_changed=has_changed)
            if not self._pause(time.monotonic() - started):
                return
        if has_changed:
            _store_expiry_settings(settings)


Batch: TypeAlias = list[tuple[dict[str, int], int]]
"""Ranges of messages, as parameters of DELETE_LEFTOVERS, with the number of their rows."""


def _next_batch(queue: deque[DueRoom], size: int) -> tuple[Batch, list[DueRoom]]:
    """Take rooms from the queue until their leftovers fill a batch of `size` messages.

    Returns the batch and the rooms that have no leftovers after it; the others are queued again.
    """
    batch: Batch = []
    finished: list[DueRoom] = []
    free = size
    while queue and free > 0 and len(finished) < PAGE_ROOMS:
        room = queue.popleft()
        seqs = _leftovers(room, free)
        if seqs:
            parameters = _leftover_parameters(room) | {"upto": seqs[-1]}
            batch.append((parameters, len(seqs)))
            room.deleted = seqs[-1]
        if len(seqs) < free:
            finished.append(room)
        else:
            queue.append(room)
        free -= len(seqs)
    return batch, finished


def _leftovers(room: DueRoom, limit: int) -> Sequence[int]:
    parameters = _leftover_parameters(room) | {"limit": limit}
    with read_transaction() as connection:
        return connection.scalars(SELECT_LEFTOVERS, parameters).all()


def _leftover_parameters(room: DueRoom) -> dict[str, int]:
    return {"room": room.row.id, "after": room.deleted, "upto": room.row.floor}


def due_rooms(now: datetime) -> Iterator[list[DueRoom]]:
    """Yield the rooms that are due, in pages, in the order of their ids. Raises Busy."""
    after = 0
    while True:
        with read_transaction() as connection:
            found = connection.execute(SELECT_DUE_ROOMS, {"now": now, "after": after}).all()
        if not found:
            return
        yield [DueRoom(room_row(row[:-2]), row.created_at, row.purge_at) for row in found]
        after = found[-1].id


def expired_upto(room: DueRoom, now: datetime) -> int:
    """Return up to which `seq` all messages have expired: at least the floor of the room.

    Messages expire in the order of their numbers. So a message whose worker's clock was ahead may
    expire with those around it.
    """
    floor = room.row.floor
    closed_at = room.row.rules.closed_at
    if closed_at is not None:
        return room.row.head if closed_at + CLOSING_GRACE <= now else floor
    seconds = expiry_seconds(room.row.rules)
    if seconds == 0:
        return floor
    posted_until = now - timedelta(seconds=seconds)
    first = _first_message(room, floor + 1)
    if first is None or first[1] > posted_until:
        return floor
    with read_transaction() as connection:
        last = connection.execute(SELECT_LAST, {"room": room.row.id}).one()
    if last.timestamp <= posted_until:
        return int(last.seq)
    return _bisect(room, first[0], last.seq, posted_until)


def _bisect(room: DueRoom, expired: int, kept: int, posted_until: datetime) -> int:
    """Return the last expired `seq` between one that has expired and one that has not."""
    while kept - expired > 1:
        middle = (expired + kept) // 2
        found = _first_message(room, middle)
        if found is None or found[0] >= kept or found[1] > posted_until:
            kept = middle
        else:
            expired = found[0]
    return expired


def _first_message(room: DueRoom, seq: int) -> tuple[int, datetime] | None:
    """Return the number and the time of the first message from a number on."""
    with read_transaction() as connection:
        found = connection.execute(SELECT_FIRST_FROM, {"room": room.row.id, "from": seq})
        row = found.one_or_none()
    return None if row is None else (row.seq, row.timestamp)


def next_purge_at(room: DueRoom, now: datetime) -> datetime | None:
    """Return when a room has to be looked at again; None: when its rules change."""
    closed_at = room.row.rules.closed_at
    if closed_at is not None:
        is_erased = closed_at + CLOSING_GRACE <= now
        return closed_at + (CLOSED_ROOM_KEPT if is_erased else CLOSING_GRACE)
    times: list[datetime] = []
    seconds = expiry_seconds(room.row.rules)
    if seconds > 0:
        first = _first_message(room, room.row.floor + 1)
        begin = now if first is None else first[1]
        times.append(begin + timedelta(seconds=seconds))
    if room.is_unused:
        is_old = room.created_at + ABANDONED_AFTER <= now
        times.append(now + OCCUPIED_ROOM_PAUSE if is_old else room.created_at + ABANDONED_AFTER)
    return min(times, default=None)


def preview(now: datetime) -> PurgeReport:
    """Return what a round would delete. Raises Busy."""
    report = PurgeReport(other_rows=retention.count_old_rows(now))
    for page in due_rooms(now):
        for room in page:
            parameters = _leftover_parameters(room) | {"upto": expired_upto(room, now)}
            with read_transaction() as connection:
                report.messages += connection.scalar(COUNT_LEFTOVERS, parameters) or 0
            is_closed = room.row.rules.closed_at is not None
            report.rooms += is_closed and room.may_be_deleted(now)
    return report


def _expiry_settings() -> str:
    config = current_config()
    return f"{config.default_expiry} {config.max_expiry}"


def _stored_expiry_settings() -> str:
    """Return the settings with which all rooms are scheduled."""
    statement = sa.select(Instance.value).where(Instance.key == EXPIRY_SETTINGS)
    with read_transaction() as connection:
        return connection.scalar(statement) or f"{NEVER} {NEVER}"


def _store_expiry_settings(settings: str) -> None:
    with write_transaction() as connection:
        connection.execute(sa.delete(Instance).where(Instance.key == EXPIRY_SETTINGS))
        connection.execute(sa.insert(Instance), {"key": EXPIRY_SETTINGS, "value": settings})


def _id_ranges() -> Iterator[dict[str, int]]:
    """Yield ranges of the ids of all rooms."""
    with read_transaction() as connection:
        last = connection.scalar(sa.select(sa.func.max(rooms.c.id))) or 0
    for after in range(0, last, SCAN_ROOMS):
        yield {"after": after, "upto": after + SCAN_ROOMS}


def _schedule_range(parameters: dict[str, Any], *, has_changed: bool) -> None:
    """Make the rooms of a range due. The write lock is taken only if there are any."""
    is_unscheduled: sa.ColumnElement[bool] = rooms.c.purge_at.is_(None)
    if has_changed:
        is_unscheduled |= rooms.c.purge_at > sa.bindparam("now")
    expires = rooms.c.expiry_seconds > 0
    if _expiry_settings() != f"{NEVER} {NEVER}":
        expires = sa.true()
    condition = sa.and_(
        rooms.c.id > sa.bindparam("after"),
        rooms.c.id <= sa.bindparam("upto"),
        is_unscheduled,
        sa.or_(rooms.c.head == 0, rooms.c.closed_at.is_not(None), expires),
    )
    with read_transaction() as connection:
        found = connection.scalar(sa.select(rooms.c.id).where(condition).limit(1), parameters)
    if found is None:
        return
    with write_transaction() as connection:
        statement = sa.update(rooms).where(condition).values(purge_at=sa.bindparam("now"))
        connection.execute(statement, parameters)
