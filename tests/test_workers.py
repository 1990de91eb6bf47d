"""Several workers: Redis between them, SQLite or PostgreSQL below; everything right from the first second."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import create_engine, text

from tests.clients import Node
from tests.servers import ConfabServer, _serving, gunicorn, wait_until
from tests.services import Postgres, Redis, UnixRedis, redis

SECONDS = float(os.environ.get("CROWD_SECONDS", "8"))
STARTS = int(os.environ.get("STARTS", "3"))
ROOT = Path(__file__).parent

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180 + 20 * STARTS)]


def crowd(folder: Path, servers: list[ConfabServer], **plan: Any) -> list[dict[str, Any]]:
    """What each of a crowd saw: see crowd.mjs."""
    node = shutil.which("node")
    assert node
    plan = {
        "urls": [server.url for server in servers],
        "label": "kitchen",
        "report": str(folder / "report"),
    } | plan
    subprocess.run([node, ROOT / "crowd.mjs", json.dumps(plan)], check=True, cwd=ROOT, timeout=120)
    people: list[dict[str, Any]] = json.loads((folder / "report").read_text())
    return people


def everyone_heard_everything_in_one_order(people: list[dict[str, Any]], head: int) -> None:
    acknowledged = {tuple(each) for person in people for each in person["acked"]}
    assert len(acknowledged) == head
    for person in people:
        [wire] = person["wires"]
        assert wire == list(range(wire[0], head + 1))
        assert {(seq, message) for seq, (_, message) in person["known"]} == acknowledged
        assert all(times == 1 for _, times in person["told"])


@pytest.mark.slow
def test_eight_people_on_two_workers_talk_at_once(
    tmp_path: Path, redis_server: Redis, database: dict[str, str]
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url, **database) as server:
        server.room("kitchen")

        people = crowd(tmp_path, [server], senders=8, listeners=2, seconds=SECONDS, pause_ms=20)

        everyone_heard_everything_in_one_order(people, server.head("kitchen"))


def test_two_programs_with_a_worker_each_are_one_chat(
    tmp_path: Path, redis_server: Redis, postgres_server: Postgres
) -> None:
    shared = {
        "REDIS_URL": redis_server.url,
        "DATABASE_URL": postgres_server.database(),
        "SECRET_KEY": "the same for both of them",
    }
    with (
        gunicorn(tmp_path / "one", 1, **shared) as one,
        gunicorn(tmp_path / "two", 1, **shared) as two,
        Node() as node,
    ):
        one.room("kitchen")
        ada, ben = node.person(one.url), node.person(two.url)
        ada.join("kitchen")
        ben.join("kitchen")

        ada.post("hello")
        ben.post("hello yourself")

        assert [said["message"] for said in ben.hear(2)] == ["hello", "hello yourself"]
        assert ada.hear(2) == ben.hear(2)


def test_a_redis_on_a_unix_socket_carries_messages_at_once(tmp_path: Path) -> None:
    shared = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/confab.db",
        "SECRET_KEY": "the same for both of them",
    }
    with redis(tmp_path / "redis", UnixRedis) as redis_server:
        shared["REDIS_URL"] = redis_server.url
        with (
            gunicorn(tmp_path / "one", 1, **shared) as one,
            gunicorn(tmp_path / "two", 1, **shared) as two,
            Node() as node,
        ):
            one.room("kitchen")
            ada, ben = node.person(one.url), node.person(two.url)
            ada.join("kitchen")
            assert "partial" not in ben.join("kitchen"), (
                "the people of the other worker are not known"
            )

            began = time.monotonic()
            for number in range(
                5
            ):  # one after the other: each has to wait for the reconciler when Redis does not work
                ada.post(f"message {number}")
                ben.hear(number + 1)
            took = time.monotonic() - began

            assert took < 4, "messages reach the other worker through the database"
            assert "Redis cannot be reached" not in one.log() + two.log()


def test_without_redis_people_on_other_workers_hear_a_little_later(tmp_path: Path) -> None:
    with gunicorn(tmp_path, workers=2) as server:
        server.room("kitchen")

        people = crowd(
            tmp_path, [server], senders=2, listeners=6, seconds=4, pause_ms=100, quiet_seconds=4
        )

        everyone_heard_everything_in_one_order(people, server.head("kitchen"))
        assert max(delay for person in people for _, delay in person["delays"]) <= 3_500
        without = "2 workers without REDIS_URL: clients of different workers receive messages up to 3.5 s late."
        wait_until(lambda: without in server.log())


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis://:wrong@127.0.0.1:{port}/0"])
def test_redis_out_of_reach_is_said_once_and_the_chat_goes_on(
    tmp_path: Path, redis_server: Redis, url: str
) -> None:
    redis_server.ask("CONFIG", "SET", "requirepass", "right")
    with (
        gunicorn(tmp_path, workers=1, REDIS_URL=url.format(port=redis_server.port)) as server,
        Node() as node,
    ):
        server.room("kitchen")
        ada = node.person(server.url)
        ada.join("kitchen")

        assert ada.post("hello")["ok"]
        ada.hear(1)
        wait_until(lambda: "Redis cannot be reached" in server.log())
        ada.hear(1, "head")  # the beacon beats, seconds later

        assert server.log().count("Redis cannot be reached") == 1


def test_what_is_not_ours_in_the_queue_does_nothing(tmp_path: Path, redis_server: Redis) -> None:
    with gunicorn(tmp_path, REDIS_URL=redis_server.url) as server, Node() as node:
        server.room("kitchen")
        ada = node.person(server.url)
        ada.join("kitchen")
        [channel] = cast(list[bytes], redis_server.ask("PUBSUB", "CHANNELS", "confab:*"))
        theirs = {
            "namespace": "/",
            "room": "chat-kitchen",
            "host_id": "a",
        }  # as python-socketio writes it
        for news in (
            b"\xff\x00 no text",
            "{",
            "[" * 100_000,
            json.dumps({"method": "emit", "event": "chat", "data": ["x"]} | theirs),
            json.dumps({"method": "disconnect", "sid": "x"} | theirs),
            json.dumps({"method": "close_room"} | theirs),
            json.dumps(
                {
                    "from": "a",
                    "event": "connect",
                    "payload": {"label": "kitchen", "rev": 1, "seq": 1},
                }
            ),
            json.dumps({"from": "a", "event": "chat", "payload": {"label": "kitchen", "rev": "1"}}),
            json.dumps(
                {
                    "from": "a",
                    "event": "presence",
                    "payload": {"worker": "b", "here": [], "gone": {}},
                }
            ),
            json.dumps(
                {
                    "from": "a",
                    "event": "presence",
                    "payload": {"worker": "b", "here": {"kitchen": 1}},
                }
            ),
            json.dumps(
                {"from": "a", "event": "typing", "payload": {"label": ["kitchen"], "handle": "Eve"}}
            ),
            json.dumps({"from": "a", "event": "chat", "payload": ["kitchen", 1]}),
            json.dumps({"from": "a", "event": "chat"}),
        ):
            redis_server.ask("PUBLISH", channel, news)

        ada.post("hello")

        assert [said["message"] for said in ada.hear(1)] == ["hello"]
        assert ada.post("still here")["ok"]


def test_several_workers_speak_websocket_only_and_say_so(tmp_path: Path) -> None:
    with gunicorn(tmp_path, workers=2) as server:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server.url}/socket.io/?EIO=4&transport=polling")
        assert refused.value.code == 400
        assert json.load(refused.value)["transports"] == ["websocket"]
        wait_until(lambda: "2 workers offer only WebSocket" in server.log())
        assert "websocket" in server.page("/kitchen/")


def test_transports_can_be_chosen(tmp_path: Path) -> None:
    with gunicorn(tmp_path, workers=2, TRANSPORTS="polling,websocket") as server:
        with urllib.request.urlopen(f"{server.url}/socket.io/?EIO=4&transport=polling") as answer:
            assert answer.status == 200
        assert "WebSocket only" not in server.log()


@pytest.mark.slow
def test_four_workers_start_together_on_nothing(
    tmp_path: Path, database: dict[str, str], postgres_server: Postgres
) -> None:
    for start in range(STARTS):
        if database:
            database = {"DATABASE_URL": postgres_server.database()}
        with gunicorn(tmp_path / str(start), workers=4, **database) as server:
            with ThreadPoolExecutor(20) as visitors:
                pages = list(visitors.map(lambda _: server.page("/party/"), range(20)))

            assert len(pages) == 20
            with server.database() as engine, engine.connect() as connection:
                assert connection.execute(text("SELECT count(*) FROM rooms")).scalar() == 1
                assert (
                    connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
                )
            assert (server.folder / "instance" / "secret_key").stat().st_mode & 0o777 == 0o600
            wait_until(lambda: len(server.processes()) == 5)
            assert not re.search(r"\[ERROR\]|\[CRITICAL\]|Error:", server.log())


def test_a_locked_sqlite_stops_nobody_from_reading(tmp_path: Path) -> None:
    with gunicorn(tmp_path, workers=2) as server, Node() as node:
        server.room("kitchen")
        reader, *people = [node.person(server.url) for _ in range(7)]
        reader.join("kitchen")
        for person in people:
            person.join("kitchen")
        with closing(
            sqlite3.connect(tmp_path / "instance" / "confab.db", isolation_level=None)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            released = time.monotonic() + 3
            calls = [
                person.send("chat", {"handle": "Ada", "message": "hello"}) for person in people
            ]
            while time.monotonic() < released:
                assert "kitchen" in server.page("/kitchen/")
                assert reader.ask("since", {"after": 0})["ok"]
            assert not any(
                call in person.answers for call, person in zip(calls, people, strict=True)
            )
            other.execute("ROLLBACK")

        assert all(person.answer(call)["ok"] for call, person in zip(calls, people, strict=True))
        assert server.head("kitchen") == 6
        assert "The event loop of this worker was blocked" not in server.log()


def test_a_slow_query_keeps_nobody_else_waiting(tmp_path: Path, postgres_server: Postgres) -> None:
    words = [
        sys.executable,
        "-m",
        "gunicorn",
        "-k",
        "eventlet",
        "-w",
        "1",
        "tests.sleepy:app",
        "-b",
    ]
    server = ConfabServer(
        tmp_path,
        lambda port: [*words, f"127.0.0.1:{port}"],
        DATABASE_URL=postgres_server.database(),
    )
    with _serving(server), ThreadPoolExecutor(3) as sleepers:
        began = time.monotonic()
        pages = list(sleepers.map(lambda _: server.page("/sleep/now"), range(3)))
        took = time.monotonic() - began

        assert pages == ["done"] * 3
        assert 1 <= took < 1.8
        assert "The event loop of this worker was blocked" not in server.log()


WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from chat import create_app
from chat.storage import journal
from chat.models import Room
from chat.wire import Chat
from config import Config
app = create_app(Config(instance=Path(sys.argv[1]), database_url=sys.argv[2], secret_key="the same for all"))
def write(writer):
    with app.app_context():
        room = journal.open_room("kitchen")
        for number in range(int(sys.argv[3])):
            journal.post(room, "someone", Chat(handle="Ada", message=f"{writer} {number}"))
with ThreadPoolExecutor(4) as threads:
    list(threads.map(write, range(4)))
"""


@pytest.mark.slow
def test_a_reader_of_postgres_that_follows_the_numbers_misses_nothing(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    each, url = 650, postgres_server.database()
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg2:"))
    command = [sys.executable, "-W", "ignore", "-c", WRITER, str(tmp_path), url, str(each)]
    writers = [subprocess.Popen(command, cwd=ROOT.parent) for _ in range(2)]
    seen: list[int] = []
    there = text("SELECT to_regclass('messages')")
    following = text("SELECT rev FROM messages WHERE rev > :after ORDER BY rev")
    try:
        with engine.connect() as connection:
            while connection.execute(there).scalar() is None:
                connection.rollback()
                time.sleep(0.05)
            running = True
            while running:
                running = any(writer.poll() is None for writer in writers)
                after = seen[-1] if seen else 0
                seen += connection.execute(following, {"after": after}).scalars()
                connection.rollback()
    finally:
        for writer in writers:
            writer.wait(60)
        engine.dispose()

    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen == list(range(1, 8 * each + 1))


def test_gevent_serves_too(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", "1", "app:app", "-b"]
    with (
        _serving(ConfabServer(tmp_path, lambda port: [*words, f"127.0.0.1:{port}"])) as server,
        Node() as node,
    ):
        server.room("kitchen")
        ada, ben = node.person(server.url), node.person(server.url, transports=("polling",))
        ada.join("kitchen")
        ben.join("kitchen")

        ada.post("hello")

        assert [said["message"] for said in ben.hear(1)] == ["hello"]
