"""Deletes a room with everything that belongs to it, for the operator."""

import time

import sqlalchemy as sa

from chat.models import Room, messages, rooms
from chat.storage.database import read_transaction, write_transaction

BATCH_MESSAGES = 500
"""Rows that are deleted in one transaction."""

BATCH_PAUSE_SECONDS = 0.05
"""Between batches, so that people who chat in other rooms hardly wait."""

LOCK_ROOM = sa.select(rooms.c.id).where(rooms.c.id == sa.bindparam("room_id")).with_for_update()
NEXT_SEQS = (
    sa.select(messages.c.seq)
    .where(messages.c.room_id == sa.bindparam("room_id"))
    .order_by(messages.c.seq)
    .limit(BATCH_MESSAGES)
)
DELETE_BATCH = sa.delete(messages).where(
    messages.c.room_id == sa.bindparam("room_id"), messages.c.seq <= sa.bindparam("upto")
)
DELETE_MESSAGES = sa.delete(messages).where(messages.c.room_id == sa.bindparam("room_id"))
DELETE_ROOM = sa.delete(rooms).where(rooms.c.id == sa.bindparam("room_id"))


def delete_room(room: Room) -> None:
    """Delete a room, its messages, and the rows of other tables that belong to it.

    The room should be closed before, so that nobody writes in it meanwhile. When this is
    interrupted, it can be called again. Raises Busy.
    """
    parameters = {"room_id": room.id}
    while True:
        with read_transaction() as connection:
            seqs = connection.scalars(NEXT_SEQS, parameters).all()
        if len(seqs) < BATCH_MESSAGES:
            break
        with write_transaction() as connection:
            connection.execute(DELETE_BATCH, parameters | {"upto": seqs[-1]})
        time.sleep(BATCH_PAUSE_SECONDS)
    with write_transaction() as connection:
        connection.execute(LOCK_ROOM, parameters)
        connection.execute(DELETE_MESSAGES, parameters)
        connection.execute(DELETE_ROOM, parameters)  # and, by their foreign keys, all other rows
