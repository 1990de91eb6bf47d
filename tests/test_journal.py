"""The journal's contract: numbers without holes, commit order is number order, twice is once, nobody waits for ever."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import DatabaseError

from chat import broadcasts
from chat.errors import Busy, IdTaken, NotFound
from chat.models import Message, Room, messages
from chat.storage import database, journal
from chat.storage.commands import Command, PostMessage
from chat.storage.database import read_transaction, write_transaction
from chat.storage.group_commit import MAX_BATCH_ITEMS, MAX_PENDING_ITEMS, GroupCommit
from chat.wire import Chat
from tests.conftest import Log, Patch

ROOT = Path(__file__).parent.parent


def said(message: str, client_id: str | None = None) -> Chat:
    return Chat.model_construct(handle="Ada", message=message, id=client_id, reply_to=None)


def stored(room: Room) -> list[tuple[int, int, str]]:
    with read_transaction() as connection:
        rows = connection.execute(
            select(Message).where(Message.room_id == room.id).order_by(Message.seq)
        )
        return [(row.seq, row.rev, row.message) for row in rows]


@contextmanager
def told(monkeypatch: Patch) -> Iterator[list[int]]:
    """The numbers in the order in which the room was told of them, each seen in the database at that moment."""
    numbers: list[int] = []

    def tell(room: Room, _event: str, message: Message) -> None:
        with read_transaction() as connection:
            here = (messages.c.room_id == room.id) & (messages.c.seq == message.seq)
            assert connection.execute(select(messages).where(here)).one_or_none() is not None
        numbers.append(message.rev)

    monkeypatch.setattr(broadcasts, "_tell", tell)
    yield numbers


def test_ada_and_ben_write_at_once_and_every_number_is_told_in_order(
    app: Flask, kitchen: str, monkeypatch: Patch
) -> None:
    def writer(name: str) -> list[int]:
        with app.app_context():
            room = Room.find(kitchen)
            return [
                journal.post(room, name, said(f"{name} {number}")).message.seq
                for number in range(30)
            ]

    with told(monkeypatch) as numbers, ThreadPoolExecutor(8) as threads:
        given = list(threads.map(writer, [f"person {number}" for number in range(8)]))

    assert numbers == list(range(1, 241))
    assert sorted(number for own in given for number in own) == numbers
    assert all(own == sorted(own) for own in given)
    with app.app_context():
        assert Room.find(kitchen).head == 240
        assert [seq for seq, _, _ in stored(Room.find(kitchen))] == numbers


@pytest.mark.slow
def test_two_processes_write_one_room_and_leave_no_hole(app: Flask, kitchen: str) -> None:
    program = """
import sys
from pathlib import Path
from chat import create_app
from chat.storage import journal
from chat.models import Room
from chat.wire import Chat
from tests.conftest import Log, Patch
from config import Config
app = create_app(Config(instance=Path(sys.argv[1])))
with app.app_context():
    room = Room.find("kitchen")
    for number in range(150):
        print(journal.post(room, "someone", Chat(handle="Ada", message=str(number))).message.seq)
"""
    command = [sys.executable, "-W", "ignore", "-c", program, app.instance_path]
    writers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)
    ]

    given = [
        [int(line) for line in writer.communicate(timeout=50)[0].split()] for writer in writers
    ]

    assert [writer.returncode for writer in writers] == [0, 0]
    assert sorted(given[0] + given[1]) == list(range(1, 301))
    with app.app_context():
        assert [seq for seq, _, _ in stored(Room.find(kitchen))] == list(range(1, 301))
        assert Room.find(kitchen).head == 300


def test_what_waits_is_stored_in_one_transaction_in_the_order_it_came(
    app: Flask, kitchen: str, monkeypatch: Patch
) -> None:
    with app.app_context(), told(monkeypatch) as numbers:
        room = Room.find(kitchen)
        repeated = "the-very-same-id-"
        batch: list[Command] = [
            PostMessage(room, "ada", said("one", repeated)),
            PostMessage(room, "ada", said("one", repeated)),
            PostMessage(room, "ben", said("another", repeated)),
            PostMessage(room, "ben", said("two")),
        ]

        journal._store_and_broadcast(batch)

        assert numbers == [1, 2]
        assert [(change.duplicate, type(change.failure)) for change in batch] == [
            (False, type(None)),
            (True, type(None)),
            (False, IdTaken),
            (False, type(None)),
        ]
        assert stored(room) == [(1, 1, "one"), (2, 2, "two")]


def test_one_transaction_writes_in_several_rooms(
    app: Flask, kitchen: str, monkeypatch: Patch
) -> None:
    with app.app_context(), told(monkeypatch):
        garden = journal.get_or_create_room("garden")
        rooms = [Room.find(kitchen), garden]
        batch: list[Command] = [
            PostMessage(rooms[number % 2], "ada", said(str(number))) for number in range(4)
        ]

        journal._store_and_broadcast(batch)

        assert [stored(room) for room in rooms] == [
            [(1, 1, "0"), (2, 2, "2")],
            [(1, 1, "1"), (2, 2, "3")],
        ]


def test_a_change_that_cannot_be_stored_takes_nobody_with_it(app: Flask, kitchen: str) -> None:
    with app.app_context():
        room = Room.find(kitchen)
        poison = PostMessage(room, "ada", said("poison"))
        poison.asked = Chat.model_construct(
            handle=["no text"], message="poison", id=None, reply_to=None
        )  # type: ignore[arg-type]
        changes = [
            PostMessage(room, "ada", said("before")),
            poison,
            PostMessage(room, "ada", said("after")),
        ]

        app.extensions["journal"]._complete(changes)

        assert isinstance(poison.failure, DatabaseError)
        assert stored(room) == [(1, 1, "before"), (2, 2, "after")]


def test_a_room_that_could_not_be_told_keeps_what_was_stored(
    app: Flask, kitchen: str, caplog: Log
) -> None:
    with app.app_context():
        app.extensions["socketio"].server = None  # nothing can be emitted any more
        app.extensions["heads"].order.begin(kitchen, 0)
        room = Room.find(kitchen)

        assert journal.post(room, "ada", said("hello")).message.seq == 1
        assert stored(room) == [(1, 1, "hello")]
    assert "could not be told" in caplog.text


def test_nobody_writes_into_a_room_that_is_gone(app: Flask) -> None:
    with app.app_context(), pytest.raises(NotFound):
        journal.post(Room(id=99, label="gone"), "ada", said("hello"))


def test_a_locked_database_is_busy_for_everyone_who_waits(
    app: Flask, kitchen: str, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(database, "LOCK_WAIT_SECONDS", 0.3)

    def post(number: int) -> str:
        with app.app_context():
            try:
                return str(journal.post(Room.find(kitchen), "ada", said(str(number))).message.seq)
            except Busy as busy:
                return busy.code

    with app.app_context(), write_transaction(), ThreadPoolExecutor(6) as threads:
        began = time.monotonic()
        answers = list(threads.map(post, range(6)))
        waited = time.monotonic() - began

    assert answers == ["busy"] * 6
    assert waited < 1.5
    with app.app_context():
        assert journal.post(Room.find(kitchen), "ada", said("later")).message.seq == 1


def test_a_database_that_is_locked_for_a_moment_is_waited_for(app: Flask, kitchen: str) -> None:
    locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        with app.app_context(), write_transaction():
            locked.set()
            release.wait(10)

    with ThreadPoolExecutor(2) as threads, app.app_context():
        threads.submit(hold)
        assert locked.wait(10)
        room = Room.find(kitchen)  # reading goes on meanwhile
        later = threads.submit(lambda: _post_in(app, room))
        release.set()
        assert later.result(10) == 1


def test_too_many_waiting_is_busy_at_once() -> None:
    together: GroupCommit[Command] = GroupCommit(lambda batch: None)
    together._pending.extend([Command(Room(id=1), "ada", None)] * MAX_PENDING_ITEMS)

    with pytest.raises(Busy):
        together.submit(Command(Room(id=1), "ada", None))


def test_who_stops_in_the_midst_of_it_leaves_nobody_waiting_for_ever() -> None:
    def work(_batch: list[Command]) -> None:
        raise SystemExit

    together = GroupCommit(work)
    waiting = Command(Room(id=1), "ben", None)
    together._pending.append(waiting)

    with pytest.raises(SystemExit):
        together.submit(Command(Room(id=1), "ada", None))

    assert isinstance(waiting.failure, Busy)


def test_who_stops_before_it_leaves_the_work_to_the_next() -> None:
    def work(batch: list[Command]) -> None:
        for change in batch:
            change.done = True

    leaving = iter([SystemExit])

    def gather() -> None:
        for reason in leaving:
            raise reason

    together = GroupCommit(work, gather)
    ada, ben = Command(Room(id=1), "ada", None), Command(Room(id=1), "ben", None)
    with pytest.raises(SystemExit):
        together.submit(ada)

    with ThreadPoolExecutor() as threads:
        threads.submit(together.submit, ben).result(10)

    assert ada.done
    assert ben.done


def test_what_is_stored_is_not_stored_again_when_something_fails_afterwards(
    app: Flask, kitchen: str
) -> None:
    with app.app_context():
        room = Room.find(kitchen)
        changes: list[Command] = [
            PostMessage(room, "ada", said(str(number))) for number in range(3)
        ]

        def store_then_fail(batch: list[Command]) -> None:
            journal._store_and_broadcast(batch)
            raise RuntimeError

        together = GroupCommit(store_then_fail)
        together._pending.extend(changes[:2])
        together.submit(changes[2])

        assert stored(room) == [(1, 1, "0"), (2, 2, "1"), (3, 3, "2")]


def test_a_crowd_is_served_in_batches() -> None:
    sizes = []

    def work(batch: list[Command]) -> None:
        sizes.append(len(batch))
        for change in batch:
            change.done = True

    together = GroupCommit(work)
    together._pending.extend(Command(Room(id=1), "ada", None) for _ in range(MAX_BATCH_ITEMS))
    together.submit(Command(Room(id=1), "ada", None))

    assert sizes == [MAX_BATCH_ITEMS, 1]


def test_twenty_who_open_a_room_at_once_share_it(app: Flask) -> None:
    def visit(_number: int) -> int:
        with app.app_context():
            return journal.get_or_create_room("party").id

    with ThreadPoolExecutor(20) as threads:
        rooms = set(threads.map(visit, range(20)))

    assert len(rooms) == 1


def _post_in(app: Flask, room: Room) -> int:
    with app.app_context():
        return journal.post(room, "ada", said("hello")).message.seq
