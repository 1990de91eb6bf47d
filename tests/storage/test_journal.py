"""The journal's contract: numbers without holes, commit order is number order, twice is once, nobody waits for ever."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import DatabaseError

from chat.errors import Busy, IdTaken, NotFound
from chat.models import Message, MessageRow, Room, RoomRow, messages
from chat.services import services_of
from chat.storage import database, journal
from chat.storage.commands import Command, PostMessage
from chat.storage.database import read_transaction, write_transaction
from chat.storage.group_commit import MAX_BATCH_ITEMS, MAX_PENDING_ITEMS, GroupCommit
from tests.conftest import Log, Patch

ROOT = Path(__file__).parent.parent


def posting(room: Room, author: str, message: str, client_id: str | None = None) -> PostMessage:
    """Return the command that posts a message."""
    return PostMessage(room, author, "Ada", message, client_id)


def post(app: Flask, room: Room, author: str, message: str) -> int:
    """Post a message; return its sequence number."""
    result = services_of(app).journal.submit(posting(room, author, message))
    assert result.seq is not None
    return result.seq


def stored(room: Room) -> list[tuple[int, int, str]]:
    with read_transaction() as connection:
        rows = connection.execute(
            select(Message).where(Message.room_id == room.id).order_by(Message.seq)
        )
        return [(row.seq, row.rev, row.message) for row in rows]


@pytest.fixture
def published(app: Flask, monkeypatch: Patch) -> list[int]:
    """The numbers of published changes, in order; each is seen in the database at that moment."""
    numbers: list[int] = []

    def publish(room: RoomRow, message: MessageRow) -> None:
        with read_transaction() as connection:
            is_stored = (messages.c.room_id == room.id) & (messages.c.seq == message.seq)
            assert connection.execute(select(messages).where(is_stored)).one_or_none() is not None
        numbers.append(message.rev)

    monkeypatch.setattr(services_of(app).journal, "_publish", publish)
    return numbers


def test_ada_and_ben_write_at_once_and_every_number_is_told_in_order(
    app: Flask, kitchen: str, published: list[int]
) -> None:
    def writer(name: str) -> list[int]:
        with app.app_context():
            room = Room.find(kitchen)
            return [post(app, room, name, f"{name} {number}") for number in range(30)]

    with ThreadPoolExecutor(8) as threads:
        given = list(threads.map(writer, [f"person {number}" for number in range(8)]))

    assert published == list(range(1, 241))
    assert sorted(number for own in given for number in own) == published
    assert all(own == sorted(own) for own in given)
    with app.app_context():
        assert Room.find(kitchen).head == 240
        assert [seq for seq, _, _ in stored(Room.find(kitchen))] == published


@pytest.mark.slow
def test_two_processes_write_one_room_and_leave_no_hole(app: Flask, kitchen: str) -> None:
    program = """
import sys
from pathlib import Path
from chat import create_app
from chat.models import Room
from chat.services import services_of
from chat.storage.commands import PostMessage
from config import Config
app = create_app(Config(instance=Path(sys.argv[1])))
with app.app_context():
    room = Room.find("kitchen")
    for number in range(150):
        command = PostMessage(room, "someone", "Ada", str(number))
        print(services_of(app).journal.submit(command).seq)
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
    app: Flask, kitchen: str, published: list[int]
) -> None:
    with app.app_context():
        room = Room.find(kitchen)
        repeated = "the-very-same-id-"
        batch: list[Command] = [
            posting(room, "ada", "one", repeated),
            posting(room, "ada", "one", repeated),
            posting(room, "ben", "another", repeated),
            posting(room, "ben", "two"),
        ]

        services_of(app).journal.store_and_publish(batch)

        assert published == [1, 2]
        assert [type(command.failure) for command in batch] == [
            type(None),
            type(None),
            IdTaken,
            type(None),
        ]
        results = [command.result for command in batch if command.result]
        assert [result.duplicate for result in results] == [False, True, False]
        assert stored(room) == [(1, 1, "one"), (2, 2, "two")]


def test_one_transaction_writes_in_several_rooms(
    app: Flask, kitchen: str, published: list[int]
) -> None:
    with app.app_context():
        garden = journal.get_or_create_room("garden")
        rooms = [Room.find(kitchen), garden]
        batch: list[Command] = [
            posting(rooms[number % 2], "ada", str(number)) for number in range(4)
        ]

        services_of(app).journal.store_and_publish(batch)

        assert [stored(room) for room in rooms] == [
            [(1, 1, "0"), (2, 2, "2")],
            [(1, 1, "1"), (2, 2, "3")],
        ]


def test_a_change_that_cannot_be_stored_takes_nobody_with_it(app: Flask, kitchen: str) -> None:
    with app.app_context():
        room = Room.find(kitchen)
        poison = posting(room, "ada", "poison")
        poison.handle = ["no text"]  # type: ignore[assignment]  # no database stores this
        changes: list[Command] = [
            posting(room, "ada", "before"),
            poison,
            posting(room, "ada", "after"),
        ]

        services_of(app).journal._group_commit._complete(changes)

        assert isinstance(poison.failure, DatabaseError)
        assert stored(room) == [(1, 1, "before"), (2, 2, "after")]


def test_a_room_that_could_not_be_told_keeps_what_was_stored(
    app: Flask, kitchen: str, caplog: Log
) -> None:
    with app.app_context():
        room = Room.find(kitchen)
        services_of(app).reconciler.track(room)
        services_of(app).socketio.server = None  # type: ignore[misc]  # emitting fails

        assert post(app, room, "ada", "hello") == 1
        assert stored(room) == [(1, 1, "hello")]
    assert "could not be broadcast" in caplog.text


def test_nobody_writes_into_a_room_that_is_gone(app: Flask) -> None:
    with app.app_context(), pytest.raises(NotFound):
        post(app, Room(id=99, label="gone"), "ada", "hello")


def test_a_locked_database_is_busy_for_everyone_who_waits(
    app: Flask, kitchen: str, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(database, "LOCK_WAIT_SECONDS", 0.3)

    def try_to_post(number: int) -> str:
        with app.app_context():
            try:
                return str(post(app, Room.find(kitchen), "ada", str(number)))
            except Busy as busy:
                return busy.code

    with app.app_context(), write_transaction(), ThreadPoolExecutor(6) as threads:
        began = time.monotonic()
        answers = list(threads.map(try_to_post, range(6)))
        waited = time.monotonic() - began

    assert answers == ["busy"] * 6
    assert waited < 1.5
    with app.app_context():
        assert post(app, Room.find(kitchen), "ada", "later") == 1


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
    together._pending.extend([Command(Room(id=1), "ada")] * MAX_PENDING_ITEMS)

    with pytest.raises(Busy):
        together.submit(Command(Room(id=1), "ada"))


def test_who_stops_in_the_midst_of_it_leaves_nobody_waiting_for_ever() -> None:
    def work(_batch: list[Command]) -> None:
        raise SystemExit

    together = GroupCommit(work)
    waiting = Command(Room(id=1), "ben")
    together._pending.append(waiting)

    with pytest.raises(SystemExit):
        together.submit(Command(Room(id=1), "ada"))

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
    ada, ben = Command(Room(id=1), "ada"), Command(Room(id=1), "ben")
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
        changes: list[Command] = [posting(room, "ada", str(number)) for number in range(3)]

        def store_then_fail(batch: list[Command]) -> None:
            services_of(app).journal.store_and_publish(batch)
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
    together._pending.extend(Command(Room(id=1), "ada") for _ in range(MAX_BATCH_ITEMS))
    together.submit(Command(Room(id=1), "ada"))

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
        return post(app, room, "ada", "hello")
