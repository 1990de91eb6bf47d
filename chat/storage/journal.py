"""The journal: the only writer of new and changed messages and of the heads of rooms.

It checks the rules of the room, assigns sequence numbers, commits, then broadcasts. What else a
command writes (see effects) is in the same transaction. The purge and the deletion of a room only
delete messages.

Concurrent commands are stored together in one transaction (see group_commit). The lock on the
rows of their rooms makes commit order equal to number order, without gaps.
"""

import secrets
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from chat.errors import NameTaken, NotFound, Refusal
from chat.models import (
    LOCKED_COLUMNS,
    RULES_COLUMNS,
    MessageRow,
    Room,
    RoomRow,
    message_row,
    messages,
    room_row,
    rooms,
)
from chat.moderation.expiry import first_purge_at
from chat.moderation.rules import Role, utc_now
from chat.storage import known_names, standings
from chat.storage.commands import (
    ChangeHandle,
    Command,
    CommandResult,
    MessageKey,
    PostMessage,
    Unchanged,
)
from chat.storage.database import KeptConnection, write_transaction
from chat.storage.driver_statement import DriverStatement, ListParameter, is_in, list_names
from chat.storage.effects import Effect
from chat.storage.group_commit import GroupCommit
from chat.storage.known_names import Wanted
from chat.storage.reactions import ReactionPacer
from chat.storage.recent_claims import RecentClaims

RowByRoomId: TypeAlias = dict[int, RoomRow]
RowByKey: TypeAlias = dict[tuple[int, MessageKey], MessageRow]
"""Messages by the id of their room and by `client_id` or `seq`."""

Publish: TypeAlias = Callable[[RoomRow, MessageRow], None]
"""Called for each stored message, after the commit, in the order of the numbers; must not raise."""

# What is executed for every message is a DriverStatement; SQLAlchemy executes the others.

# Two lists, since with pairs, as in (room_id, seq) IN (...), SQLite reads the whole table.
SELECT_BY_CLIENT_ID = select(messages).where(
    messages.c.room_id.in_(bindparam("room_ids")), messages.c.client_id.in_(bindparam("client_ids"))
)
SELECT_BY_SEQ = select(messages).where(
    messages.c.room_id.in_(bindparam("room_ids")), messages.c.seq.in_(bindparam("seqs"))
)
INSERT_MESSAGES = DriverStatement(insert(messages), messages.c.keys())
UPDATE_MESSAGE = update(messages).where(
    messages.c.room_id == bindparam("where_room_id"), messages.c.seq == bindparam("where_seq")
)
UPDATE_ROOM = DriverStatement(
    update(rooms)
    .where(rooms.c.id == bindparam("where_id"))
    .values(
        head=bindparam("new_head"),
        name=bindparam("new_name"),
        names_version=bindparam("new_names_version"),
    ),
    ("new_head", "new_name", "new_names_version", "where_id"),
)
UPDATE_RULES = (
    update(rooms)
    .where(rooms.c.id == bindparam("where_id"))
    .values({column.name: bindparam(f"new_{column.name}") for column in RULES_COLUMNS})
    .values(floor=bindparam("new_floor"), epoch=bindparam("new_epoch"), purge_at=bindparam("now"))
)


class Decision(NamedTuple):
    """What one command of a batch writes. `message` is None when there is none to store."""

    room: RoomRow
    message: MessageRow | None
    effects: list[Effect]


class Journal:
    """Stores commands and publishes what they changed. One instance for each process.

    Reactions are submitted to `reactions`, which stores those to the same message together.
    """

    def __init__(
        self,
        publish: Publish,
        yield_now: Callable[[], None],
        reaction_seconds: float,
    ) -> None:
        self._publish = publish
        self._kept_connection = KeptConnection()  # only the leader of the group commit uses it
        self.has_erased_text = False  # whether an edit or a deletion was stored
        self._recent_claims = RecentClaims()
        self._group_commit = GroupCommit(self.store_and_publish, yield_now)
        self.reactions = ReactionPacer(self.submit, reaction_seconds)

    def submit(self, command: Command) -> CommandResult:
        """Store a command; return when it is committed and was broadcast on this worker.

        Raises what the command refuses, NotFound when the room is gone, Busy.
        """
        try:
            self._group_commit.submit(command)
        except NameTaken as taken:
            mark = command.mark
            suggestion = known_names.free_name(command.room, mark, taken.handle)
            raise NameTaken(taken.handle, suggestion) from None
        if command.result is None:
            raise RuntimeError("the group commit finished a command without a result")
        return command.result

    def submit_many(self, commands: Sequence[Command]) -> None:
        """Store many commands in few transactions; return when all are done.

        Each has its own `result` or `failure` then. Raises Busy when too many changes are pending.
        """
        self._group_commit.submit_many(commands)

    def close(self) -> None:
        """Give back the connection to the database that is kept between two batches."""
        self._kept_connection.close()

    def store_and_publish(self, batch: list[Command]) -> None:
        """Store a batch in one transaction, then publish it in the order of the numbers."""
        with self._kept_connection.transaction() as connection:
            rooms_by_id = _lock_rooms(connection, batch)
            targets = _select_targets(connection, batch, rooms_by_id)
            _load_standings(connection, batch, rooms_by_id)
            _load_handles(connection, batch, rooms_by_id)
            self._load_names(connection, batch, rooms_by_id)
            decisions = _decide_all(batch, rooms_by_id, targets)
            _write(connection, decisions)
        for command in batch:
            command.done = True  # first: what is committed must not be stored again
        for command in batch:
            self._remember_claim(command, rooms_by_id)
        for room, message, _ in decisions:
            if message is not None:
                self.has_erased_text = self.has_erased_text or not message.is_new
                self._publish(room, message)

    def _load_names(
        self, connection: Connection, batch: list[Command], rooms_by_id: RowByRoomId
    ) -> None:
        """Mark the names of the batch that have to be checked, and read who holds them.

        Those that were allowed recently are not checked.
        """
        wanted = []
        for command in batch:
            room = rooms_by_id.get(command.room.id)
            handle = command.claimed_handle
            if room is None or handle is None:
                continue
            mark = command.mark
            if not self._recent_claims.is_recent(room, mark, handle, command.claim):
                room.names.to_check.add((mark, handle))
                wanted.append(Wanted(room.id, mark, handle))
        known_names.load_names(connection, rooms_by_id, wanted)

    def _remember_claim(self, command: Command, rooms_by_id: RowByRoomId) -> None:
        room = rooms_by_id.get(command.room.id)
        handle = command.claimed_handle
        if room is None or handle is None or not room.names.allowed:
            return
        mark = command.mark
        names_version = room.names.allowed.get((mark, handle))
        if command.failure is None and names_version is not None:
            self._recent_claims.add(room.id, mark, handle, command.claim, names_version)


def get_or_create_room(label: str) -> Room:
    """Return the room with this label; create it if there is none. Raises Busy."""
    try:
        return Room.find(label)
    except NotFound:
        return create_room(label) or Room.find(label)


def create_room(
    label: str, *, host_mark: str | None = None, is_private: bool = False
) -> Room | None:
    """Create a room, with a host if there is one.

    Returns None when there is a room with this label already. Raises Busy.
    """
    now = utc_now()
    row = {
        "label": label,
        "epoch": secrets.token_hex(8),
        "created_at": now,
        "purge_at": first_purge_at(now),
        "is_private": is_private,
        "roles": None if host_mark is None else {host_mark: Role.HOST.value},
    }
    try:
        with write_transaction() as connection:
            connection.execute(insert(rooms), row)
    except IntegrityError:
        return None
    return Room.find(label)


def _lock_rooms(connection: Connection, batch: list[Command]) -> RowByRoomId:
    """Lock the rows of the rooms of a batch, and read them."""
    ids = ListParameter("id", {command.room.id for command in batch})
    rows = _lock_statement(len(ids.names)).rows(connection, ids.values)
    locked = [room_row(row) for row in rows]
    return {room.id: room for room in locked}


@cache
def _lock_statement(id_count: int) -> DriverStatement:
    """Return the statement that locks rooms, with their ids as `id_0`, `id_1` and so on.

    Rooms are locked in the order of their ids, so that two writers never wait for each other.
    """
    ids = list_names("id", id_count)
    statement = select(*LOCKED_COLUMNS).where(is_in(rooms.c.id, ids)).order_by(rooms.c.id)
    return DriverStatement(statement.with_for_update(), ids)


def _load_standings(connection: Connection, batch: list[Command], rooms_by_id: RowByRoomId) -> None:
    """Read the sanctions of the people of the batch, in the rooms that have any.

    In rooms with slow mode, read also when they posted last.
    """
    marks: set[str] = set()
    sanctioned_rooms: RowByRoomId = {}
    slow_marks: dict[int, set[str]] = {}
    for command in batch:
        room = rooms_by_id.get(command.room.id)
        if room is None:
            continue
        if room.rules.has_sanctions or command.acts_on_people:
            marks |= command.marks
            sanctioned_rooms[room.id] = room
        if room.rules.slow_mode_seconds and isinstance(command, PostMessage):
            slow_marks.setdefault(room.id, set()).add(command.mark)
    standings.load_sanctions(connection, sanctioned_rooms, marks)
    for room_id, slow_marks_of_room in slow_marks.items():
        standings.load_last_posts(connection, rooms_by_id[room_id], slow_marks_of_room)


def _load_handles(connection: Connection, batch: list[Command], rooms_by_id: RowByRoomId) -> None:
    """Read the current handles of the people of the batch who rename themselves."""
    for command in batch:
        room = rooms_by_id.get(command.room.id)
        if room is None or not isinstance(command, ChangeHandle) or command.author in room.handles:
            continue
        room.handles |= command.room.recent_handles_in(connection, [command.author])


def _select_targets(
    connection: Connection, batch: list[Command], rooms_by_id: RowByRoomId
) -> RowByKey:
    """Read the messages that the batch repeats, changes or replies to.

    One at or below the floor of its room does not exist any more, but a repeated post finds it.
    """
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
    if client_ids and _are_stored(connection, room_ids, client_ids):
        parameters = {"room_ids": room_ids, "client_ids": client_ids}
        for row in connection.execute(SELECT_BY_CLIENT_ID, parameters):
            targets[row.room_id, row.client_id] = message_row(row)
    if seqs:
        parameters = {"room_ids": room_ids, "seqs": seqs}
        for row in connection.execute(SELECT_BY_SEQ, parameters):
            if row.seq > rooms_by_id[row.room_id].floor:
                targets[row.room_id, row.seq] = message_row(row)
    return targets


def _are_stored(connection: Connection, room_ids: set[int], client_ids: set[str]) -> bool:
    """Return whether a message of these rooms has one of these client ids.

    Hardly any post is a repetition, and this statement finds that out faster than one that reads
    the messages.
    """
    of_rooms = ListParameter("room", room_ids)
    of_messages = ListParameter("client_id", client_ids)
    statement = _stored_statement(len(of_rooms.names), len(of_messages.names))
    return bool(statement.rows(connection, of_rooms.values | of_messages.values))


@cache
def _stored_statement(room_count: int, client_id_count: int) -> DriverStatement:
    """Return the statement that looks for messages of rooms by `client_id`."""
    room_names = list_names("room", room_count)
    client_id_names = list_names("client_id", client_id_count)
    statement = select(messages.c.seq).where(
        is_in(messages.c.room_id, room_names), is_in(messages.c.client_id, client_id_names)
    )
    return DriverStatement(statement, room_names + client_id_names)


def _decide_all(
    batch: list[Command], rooms_by_id: RowByRoomId, targets: RowByKey
) -> list[Decision]:
    """Decide the commands in their order; those that are refused have a failure instead."""
    now = utc_now()
    decisions = [_decide(command, rooms_by_id, targets, now) for command in batch]
    return [decision for decision in decisions if decision is not None]


def _decide(
    command: Command, rooms_by_id: RowByRoomId, targets: RowByKey, now: datetime
) -> Decision | None:
    """Decide one command and number its change; return None when it was refused."""
    command.failure = None
    try:
        room = _locked_room(command, rooms_by_id)
        command.check(room, now)
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
        return Decision(room, None, outcome.effects)
    room.head = number
    if command.target is not None:
        targets[room.id, command.target] = outcome.message
    command.result = CommandResult(outcome.message, number, number, duplicate=False)
    return Decision(room, outcome.message, outcome.effects)


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


def _write(connection: Connection, decisions: list[Decision]) -> None:
    """Write the messages and what has changed of their rooms, then all effects."""
    changed_messages = []
    changed_rooms = {}
    for room, message, effects in decisions:
        if message is not None:
            changed_messages.append(message)
        if message is not None or effects:
            changed_rooms[room.id] = room
    _write_messages(connection, changed_messages)
    _write_rooms(connection, changed_rooms.values())
    for decision in decisions:
        for effect in decision.effects:
            effect.write(connection)


def _write_messages(connection: Connection, changed: list[MessageRow]) -> None:
    """Insert new messages, and update those that were changed."""
    inserts = []
    updates = []
    for message in changed:
        columns = message.columns()
        if message.is_new:
            inserts.append(columns)
        else:
            key = {"where_room_id": message.room_id, "where_seq": message.seq}
            updates.append(columns | key)
    if inserts:
        INSERT_MESSAGES.execute_many(connection, inserts)
    if updates:
        connection.execute(UPDATE_MESSAGE, updates)


def _write_rooms(connection: Connection, changed: Collection[RoomRow]) -> None:
    """Set the heads and names of rooms, and the rules of those that have new ones."""
    updates = [
        {
            "where_id": room.id,
            "new_head": room.head,
            "new_name": room.name,
            "new_names_version": room.names_version,
        }
        for room in changed
    ]
    rules_updates = [_rules_parameters(room) for room in changed if room.has_new_rules]
    if updates:
        UPDATE_ROOM.execute_many(connection, updates)
    if rules_updates:
        connection.execute(UPDATE_RULES, rules_updates)


def _rules_parameters(room: RoomRow) -> dict[str, Any]:
    """Return the parameters of UPDATE_RULES. The purge job looks at the room next."""
    parameters: dict[str, Any] = {
        f"new_{column.name}": getattr(room.rules, column.name) for column in RULES_COLUMNS
    }
    return parameters | {
        "where_id": room.id,
        "new_floor": room.floor,
        "new_epoch": room.epoch,
        "now": utc_now(),
    }
