"""The journal: numbers without gaps, commit order is number order, and idempotent posts."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

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
from chat.storage.group_commit import GroupCommit
from tests.conftest import Log, Patch
from tests.servers import ROOT


def post_command(
    room: Room, author: str, message: str, client_id: str | None = None
) -> PostMessage:
    """Return the command that posts a message."""
    return PostMessage(room, author, "Ada", message, client_id)


def post(app: Flask, room: Room, author: str, message: str) -> int:
    """Post a message; return its sequence number."""
    result = services_of(app).journal.submit(post_command(room, author, message))
    assert result.seq is not None
    return result.seq


def post_in_context(app: Flask, room: Room, author: str, message: str) -> int:
    """Post a message from a thread without an app context; return its sequence number."""
    with app.app_context():
        return post(app, room, author, message)


def stored(room: Room) -> list[tuple[int, int, str]]:
    """Return seq, rev and text of the messages in the database."""
    statement = select(Message).where(Message.room_id == room.id).order_by(Message.seq)
    with read_transaction() as connection:
        return [(row.seq, row.rev, row.message) for row in connection.execute(statement)]


@pytest.fixture
def published(app: Flask, monkeypatch: Patch) -> list[int]:
    """The numbers of published changes, in order. Each change must be committed by then."""
    numbers: list[int] = []

    def publish(room: RoomRow, message: MessageRow) -> None:
        is_same = (messages.c.room_id == room.id) & (messages.c.seq == message.seq)
        with read_transaction() as connection:
            assert connection.execute(select(messages).where(is_same)).one_or_none() is not None
        numbers.append(message.rev)

    monkeypatch.setattr(services_of(app).journal, "_publish", publish)
    return numbers


def test_concurrent_posts_are_numbered_and_published_in_order(
    app: Flask, kitchen: str, published: list[int]
) -> None:
    def post_thirty(author: str) -> list[int]:
        with app.app_context():
            room = Room.find(kitchen)
            return [post(app, room, author, f"{author} {number}") for number in range(30)]

    authors = [f"author {number}" for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        seqs_by_thread = list(threads.map(post_thirty, authors))

    assert published == list(range(1, 241))
    assert sorted(seq for seqs in seqs_by_thread for seq in seqs) == published
    assert all(seqs == sorted(seqs) for seqs in seqs_by_thread)
    with app.app_context():
        assert Room.find(kitchen).head == 240
        assert [seq for seq, _, _ in stored(Room.find(kitchen))] == published


@pytest.mark.slow
def test_two_processes_that_post_in_one_room_leave_no_gap(app: Flask, kitchen: str) -> None:
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
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)
    ]

    outputs = [process.communicate(timeout=50)[0] for process in processes]

    seqs = [int(line) for output in outputs for line in output.split()]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(seqs) == list(range(1, 301))
    with app.app_context():
        assert [seq for seq, _, _ in stored(Room.find(kitchen))] == list(range(1, 301))
        assert Room.find(kitchen).head == 300


def test_a_batch_is_stored_in_order_and_repeated_posts_are_duplicates(
    app: Flask, kitchen: str, published: list[int]
) -> None:
    with app.app_context():
        room = Room.find(kitchen)
        repeated_id = "the-very-same-id-"
        batch: list[Command] = [
            post_command(room, "ada", "one", repeated_id),
            post_command(room, "ada", "one", repeated_id),
            post_command(room, "ben", "another", repeated_id),
            post_command(room, "ben", "two"),
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


def test_one_transaction_stores_messages_of_several_rooms(
    app: Flask, kitchen: str, published: list[int]
) -> None:
    with app.app_context():
        first = Room.find(kitchen)
        second = journal.get_or_create_room("garden")
        batch: list[Command] = [
            post_command(first, "ada", "0"),
            post_command(second, "ada", "1"),
            post_command(first, "ada", "2"),
            post_command(second, "ada", "3"),
        ]

        services_of(app).journal.store_and_publish(batch)

        assert stored(first) == [(1, 1, "0"), (2, 2, "2")]
        assert stored(second) == [(1, 1, "1"), (2, 2, "3")]


def test_a_change_that_cannot_be_stored_does_not_affect_the_others_in_its_batch(
    app: Flask, kitchen: str
) -> None:
    with app.app_context():
        room = Room.find(kitchen)
        faulty = post_command(room, "ada", "faulty")
        faulty.message = ["no text"]  # type: ignore[assignment]  # no database stores this
        batch: list[Command] = [
            post_command(room, "ada", "before"),
            faulty,
            post_command(room, "ada", "after"),
        ]

        services_of(app).journal._group_commit._complete(batch)

        assert isinstance(faulty.failure, DatabaseError)
        assert stored(room) == [(1, 1, "before"), (2, 2, "after")]


def test_changes_that_are_stored_are_not_stored_again_after_a_later_failure(
    app: Flask, kitchen: str
) -> None:
    def store_then_fail(batch: list[Command]) -> None:
        services_of(app).journal.store_and_publish(batch)
        raise RuntimeError

    with app.app_context():
        room = Room.find(kitchen)
        batch: list[Command] = [post_command(room, "ada", str(number)) for number in range(3)]
        group = GroupCommit(store_then_fail)
        group._pending.extend(batch[:2])

        group.submit(batch[2])

        assert stored(room) == [(1, 1, "0"), (2, 2, "1"), (3, 3, "2")]


def test_changes_are_not_stored_again_when_their_names_cannot_be_remembered(
    app: Flask, kitchen: str, monkeypatch: Patch
) -> None:
    journal = services_of(app).journal

    def fail(*_arguments: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(journal, "_remember_claim", fail)
    with app.app_context():
        room = Room.find(kitchen)
        batch: list[Command] = [post_command(room, "ada", str(number)) for number in range(3)]

        journal.submit_many(batch)

        assert stored(room) == [(1, 1, "0"), (2, 2, "1"), (3, 3, "2")]
        assert [command.failure for command in batch] == [None, None, None]


def test_a_message_stays_stored_and_acknowledged_when_broadcasting_fails(
    app: Flask, kitchen: str, caplog: Log
) -> None:
    with app.app_context():
        room = Room.find(kitchen)
        services_of(app).reconciler.track(room)
        services_of(app).socketio.server = None  # type: ignore[misc]  # emitting fails

        assert post(app, room, "ada", "hello") == 1
        assert stored(room) == [(1, 1, "hello")]
    assert "could not be broadcast" in caplog.text


def test_posting_in_a_room_that_does_not_exist_raises_not_found(app: Flask) -> None:
    with app.app_context(), pytest.raises(NotFound):
        post(app, Room(id=99, label="gone"), "ada", "hello")


def test_all_who_wait_for_a_locked_database_are_refused_as_busy(
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


def test_a_post_waits_for_a_short_lock_of_the_database(app: Flask, kitchen: str) -> None:
    locked = threading.Event()
    release = threading.Event()

    def hold_lock() -> None:
        with app.app_context(), write_transaction():
            locked.set()
            release.wait(10)

    with ThreadPoolExecutor(2) as threads, app.app_context():
        threads.submit(hold_lock)
        assert locked.wait(10)
        room = Room.find(kitchen)  # a lock does not prevent reading
        posting = threads.submit(post_in_context, app, room, "ada", "hello")
        release.set()

        assert posting.result(10) == 1


def test_simultaneous_first_visits_create_one_room(app: Flask) -> None:
    def visit(_number: int) -> int:
        with app.app_context():
            return journal.get_or_create_room("party").id

    with ThreadPoolExecutor(20) as threads:
        room_ids = set(threads.map(visit, range(20)))

    assert len(room_ids) == 1
