"""The journal: the only writer. It assigns sequence numbers, commits, then broadcasts.

Concurrent commands are stored together in one transaction (see group_commit). The lock on the
rows of their rooms makes commit order equal to number order, without gaps.
"""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from chat.errors import NotFound, Refusal
from chat.models import MessageRow, Room, RoomRow, message_row, messages, rooms
from chat.storage.commands import Command, CommandResult, MessageKey, Unchanged
from chat.storage.database import write_transaction
from chat.storage.group_commit import GroupCommit
from chat.storage.reactions import ReactionPacer

RowByRoomId: TypeAlias = dict[int, RoomRow]
RowByKey: TypeAlias = dict[tuple[int, MessageKey], MessageRow]
"""Messages by the id of their room and by `client_id` or `seq`."""

Publish: TypeAlias = Callable[[RoomRow, MessageRow], None]
"""Called for each stored message, after the commit, in the order of the numbers; must not raise."""

# Ordered by id, so that two writers never wait for each other's locks.
LOCK_ROOMS = (
    select(*rooms.c["id", "label", "name", "head", "epoch"])
    .where(rooms.c.id.in_(bindparam("room_ids")))
    .order_by(rooms.c.id)
    .with_for_update()
)
# Two lists, since with pairs, as in (room_id, seq) IN (...), SQLite reads the whole table.
SELECT_BY_CLIENT_ID = select(messages).where(
    messages.c.room_id.in_(bindparam("room_ids")), messages.c.client_id.in_(bindparam("client_ids"))
)
SELECT_BY_SEQ = select(messages).where(
    messages.c.room_id.in_(bindparam("room_ids")), messages.c.seq.in_(bindparam("seqs"))
)
INSERT_MESSAGES = insert(messages)
UPDATE_MESSAGE = update(messages).where(
    messages.c.room_id == bindparam("where_room_id"), messages.c.seq == bindparam("where_seq")
)
UPDATE_ROOM = (
    update(rooms)
    .where(rooms.c.id == bindparam("where_id"))
    .values(head=bindparam("new_head"), name=bindparam("new_name"))
)


class Journal:
    """Stores commands and publishes what they changed. One instance for each process.

    Reactions are submitted to `reactions`, which stores those to the same message together.
    """

    def __init__(
        self, publish: Publish, yield_now: Callable[[], None], reaction_seconds: float
    ) -> None:
        self._publish = publish
        self.has_erased_text = False  # whether an edit or a deletion was stored
        self._group_commit = GroupCommit(self.store_and_publish, yield_now)
        self.reactions = ReactionPacer(self.submit, reaction_seconds)

    def submit(self, command: Command) -> CommandResult:
        """Store a command; return when it is committed and was broadcast on this worker.

        Raises what the command refuses, NotFound when the room is gone, Busy.
        """
        self._group_commit.submit(command)
        if command.result is None:
            raise RuntimeError("the group commit finished a command without a result")
        return command.result

    def store_and_publish(self, batch: list[Command]) -> None:
        """Store a batch in one transaction, then publish it in the order of the numbers."""
        stored: list[tuple[RoomRow, MessageRow]] = []
        with write_transaction() as connection:
            rooms_by_id = _lock_rooms(connection, batch)
            targets = _select_targets(connection, batch)
            for command in batch:
                change = _apply(command, rooms_by_id, targets)
                if change is not None:
                    stored.append(change)
            _write(connection, stored)
        for command in batch:
            command.done = True
        for room, message in stored:
            if not message.is_new:
                self.has_erased_text = True
            self._publish(room, message)


def get_or_create_room(label: str) -> Room:
    """Return the room with this label; create it if there is none. Raises Busy."""
    try:
        return Room.find(label)
    except NotFound:
        return create_room(label) or Room.find(label)


def create_room(label: str) -> Room | None:
    """Create a room; return None when there is one with this label already. Raises Busy."""
    row = {"label": label, "epoch": secrets.token_hex(8), "created_at": datetime.now(UTC)}
    try:
        with write_transaction() as connection:
            connection.execute(insert(rooms), row)
    except IntegrityError:
        return None
    return Room.find(label)


def _lock_rooms(connection: Connection, batch: list[Command]) -> RowByRoomId:
    room_ids = {command.room.id for command in batch}
    rows = connection.execute(LOCK_ROOMS, {"room_ids": room_ids})
    return {row.id: RoomRow(*row) for row in rows}


def _select_targets(connection: Connection, batch: list[Command]) -> RowByKey:
    """Read the messages that the batch repeats, changes or replies to."""
    client_ids: set[str] = set()
    seqs: set[int] = set()
    for command in batch:
        for key in (command.target, command.replied_to):
            if isinstance(key, str):
                client_ids.add(key)
            elif isinstance(key, int):
                seqs.add(key)
    targets: RowByKey = {}
    room_ids = {command.room.id for command in batch}
    if client_ids:
        parameters = {"room_ids": room_ids, "client_ids": client_ids}
        for row in connection.execute(SELECT_BY_CLIENT_ID, parameters):
            targets[row.room_id, row.client_id] = message_row(row)
    if seqs:
        parameters = {"room_ids": room_ids, "seqs": seqs}
        for row in connection.execute(SELECT_BY_SEQ, parameters):
            targets[row.room_id, row.seq] = message_row(row)
    return targets


def _apply(
    command: Command, rooms_by_id: RowByRoomId, targets: RowByKey
) -> tuple[RoomRow, MessageRow] | None:
    """Decide one command and number its change; return None when there is nothing to store."""
    command.failure = None
    try:
        room = _locked_room(command, rooms_by_id)
        _check_reply(command, targets)
        target = _target_of(command, targets)
        number = room.head + 1
        outcome = command.apply(room, target, number)
    except Refusal as refusal:
        command.failure = refusal
        return None
    if isinstance(outcome, Unchanged):
        rev = room.head if outcome.message is None else outcome.message.rev
        command.result = CommandResult(outcome.message, rev, room.head, duplicate=True)
        return None
    room.head = number
    if command.target is not None:
        targets[room.id, command.target] = outcome
    command.result = CommandResult(outcome, number, number, duplicate=False)
    return room, outcome


def _locked_room(command: Command, rooms_by_id: RowByRoomId) -> RoomRow:
    """Return the locked row of the command's room. Raises NotFound when it has been deleted.

    A row with the same id but another label is another room: after restoring a backup, for example.
    The epoch may differ, because it changes while people are in the room.
    """
    room = rooms_by_id.get(command.room.id)
    if room is None or room.label != command.room.label:
        raise NotFound("This room is gone.")
    return room


def _check_reply(command: Command, targets: RowByKey) -> None:
    if command.replied_to is None:
        return
    if (command.room.id, command.replied_to) not in targets:
        raise NotFound("There is no such message in this room.")


def _target_of(command: Command, targets: RowByKey) -> MessageRow | None:
    if command.target is None:
        return None
    return targets.get((command.room.id, command.target))


def _write(connection: Connection, stored: list[tuple[RoomRow, MessageRow]]) -> None:
    """Insert new messages, update changed ones, and set the head and name of their rooms."""
    inserts = []
    updates = []
    room_updates = {}
    for room, message in stored:
        columns = message.columns()
        if message.is_new:
            inserts.append(columns)
        else:
            key = {"where_room_id": message.room_id, "where_seq": message.seq}
            updates.append(columns | key)
        room_updates[room.id] = {
            "where_id": room.id,
            "new_head": room.head,
            "new_name": room.name,
        }
    if inserts:
        connection.execute(INSERT_MESSAGES, inserts)
    if updates:
        connection.execute(UPDATE_MESSAGE, updates)
    if room_updates:
        connection.execute(UPDATE_ROOM, list(room_updates.values()))
