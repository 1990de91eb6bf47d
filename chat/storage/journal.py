"""The only writer: stores messages and changes, gives out their numbers, commits, then tells, in that order."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

from flask import current_app
from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from chat import broadcasts, wire
from chat.errors import NotFound, Refusal
from chat.models import Message, Room, Standing, messages, rooms
from chat.storage.commands import Command, Key, PostMessage
from chat.storage.database import write_transaction
from chat.storage.group_commit import GroupCommit

# Statements are made once, for that takes long.
LOCK_ROOMS = select(*rooms.c["id", "label", "name", "head", "epoch"]).where(
    rooms.c.id.in_(bindparam("rooms"))
)
LOCK_ROOMS = LOCK_ROOMS.order_by(rooms.c.id).with_for_update()
# Each half names the columns of one index. Pairs, as in (room_id, seq) IN (...), make SQLite read the whole table.
IN_ROOMS, BY_ID, BY_SEQ = (
    messages.c[key].in_(bindparam(key)) for key in ("room_id", "client_id", "seq")
)
SELECT_KNOWN_MESSAGES = select(messages).where(IN_ROOMS & BY_ID | IN_ROOMS & BY_SEQ)
UPDATE_MESSAGE = update(messages).where(
    messages.c.room_id == bindparam("of_room"), messages.c.seq == bindparam("at")
)
UPDATE_ROOM = (
    update(rooms)
    .where(rooms.c.id == bindparam("of_room"))
    .values(head=bindparam("to"), name=bindparam("called"))
)


def post(room: Room, author: str, said: wire.Chat) -> Command:
    """Store a message and tell the room. Raises IdTaken, NotFound when the room is gone, Busy."""
    return change(PostMessage(room, author, said))


def change(what: Command) -> Command:
    """Store any other change and tell the room. Raises what its kind refuses, NotFound when the room is gone, Busy."""
    current_app.extensions["journal"].submit(what)
    return what


def get_or_create_room(label: str) -> Room:
    """The room of this label, made by whoever comes first. Raises Busy."""
    try:
        return Room.find(label)
    except NotFound:
        return make_room(label) or Room.find(label)


def make_room(label: str) -> Room | None:
    """A new room, or None when there is one of this label. Raises Busy."""
    try:
        with write_transaction() as transaction:
            room = {"label": label, "epoch": secrets.token_hex(8), "created_at": datetime.now(UTC)}
            transaction.execute(insert(rooms), room)
    except IntegrityError:
        return None
    return Room.find(label)


def journal(yield_now: Callable[[], None]) -> GroupCommit[Command]:
    """A new journal, one for each process: it stores what waits together, after `gather` let come who is ready."""
    return GroupCommit(_store_and_broadcast, yield_now)


def _store_and_broadcast(batch: list[Command]) -> None:
    """All of a batch in one transaction, then the rooms are told in the order of the numbers."""
    with write_transaction() as transaction:
        locked = _lock(transaction, batch)
        known = _known(transaction, batch)
        stored = [change for change in batch if _number(change, locked, known)]
        _write(transaction, stored)
    for change in batch:
        change.done = True
    for change in stored:
        tell = broadcasts.chat if change.is_new else broadcasts.change
        tell(change.room, change.message)


def _lock(transaction: Connection, batch: list[Command]) -> dict[int, Room]:
    """Lock the rooms, in the order of their ids so that no two writers wait for each other; as they stand, by id."""
    found = transaction.execute(LOCK_ROOMS, {"rooms": {change.room.id for change in batch}})
    return {row.id: cast(Room, Standing(**row._mapping)) for row in found}


def _known(transaction: Connection, batch: list[Command]) -> dict[tuple[int, Key], Message]:
    """The messages that the batch repeats or changes, by room and key."""
    keys = {key for change in batch for key in (change.key, change.answers)} - {None}
    ids, seqs = (
        [key for key in keys if isinstance(key, str)],
        [key for key in keys if isinstance(key, int)],
    )
    sought = {"room_id": {change.room.id for change in batch}, "client_id": ids, "seq": seqs}
    known: dict[tuple[int, Key], Message] = {}
    for row in transaction.execute(SELECT_KNOWN_MESSAGES, sought) if keys else ():
        known[row.room_id, row.client_id] = known[row.room_id, row.seq] = cast(
            Message, Standing(**row._mapping)
        )
    return known


def _number(
    change: Command, locked: dict[int, Room], known: dict[tuple[int, Key], Message]
) -> bool:
    """Decide one change and give it the next number of its room. False when there is nothing to store."""
    key = change.room.id, change.key
    change.failure = None
    try:
        change.room = _same_room(change.room, locked)
        if change.answers is not None and (change.room.id, change.answers) not in known:
            raise NotFound("There is no such message in this room.")
        number = change.room.head + 1
        change.message = change.apply(known.get(key) if change.key is not None else None, number)
    except Refusal as refusal:
        change.failure = refusal
        return False
    change.duplicate = change.message.rev != number
    if not change.duplicate:
        change.room.head = number
        known[key] = change.message
    change.head = change.room.head
    return not change.duplicate


def _same_room(found: Room, locked: dict[int, Room]) -> Room:
    """The locked row of a room that was found earlier. Raises NotFound when the room has been deleted since.

    A row with the same id but another label is another room: after a backup has been restored, for example. The epoch
    may differ, because it changes while people are in the room.
    """
    room = locked.get(found.id)
    if room is None or room.label != found.label:
        raise NotFound("This room is gone.")
    return room


def _write(transaction: Connection, stored: list[Command]) -> None:
    """Write what has a number, and the rooms it moved."""
    fresh = [vars(each.message) for each in stored if each.is_new]
    again = [each for each in stored if not each.is_new]
    changed = [
        vars(each.message) | {"of_room": each.room.id, "at": each.message.seq} for each in again
    ]
    moved = {
        each.room.id: {"of_room": each.room.id, "to": each.room.head, "called": each.room.name}
        for each in stored
    }
    for statement, rows in (
        (insert(messages), fresh),
        (UPDATE_MESSAGE, changed),
        (UPDATE_ROOM, list(moved.values())),
    ):
        if rows:
            transaction.execute(statement, rows)
