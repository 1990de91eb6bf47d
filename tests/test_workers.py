"""Several workers, with and without Redis between them, on SQLite and PostgreSQL."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.clients import JSON, POLLING, UPGRADE, WEBSOCKET, Node
from tests.room_load import RoomLoad, check_uninterrupted_delivery, max_delay_ms
from tests.servers import ROOT, ConfabServer, _serving, gunicorn, wait_until
from tests.services import Postgres, Redis, UnixRedis, redis

# The longer forms of two tests: how long messages are posted, and how often the workers start.
LOAD_SECONDS = float(os.environ.get("LOAD_SECONDS", "8"))
STARTS = int(os.environ.get("STARTS", "3"))

MAX_DELAY_MS = 3_500

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180 + 20 * STARTS)]


@contextmanager
def two_servers(
    folder: Path, settings: dict[str, str]
) -> Iterator[tuple[ConfabServer, ConfabServer]]:
    """Run two servers of one worker each that share a database, a Redis and a secret key."""
    shared = settings | {"SECRET_KEY": "the same for both of them"}
    with gunicorn(folder / "one", 1, **shared) as one, gunicorn(folder / "two", 1, **shared) as two:
        yield one, two


@pytest.mark.slow
def test_eight_senders_on_two_workers_receive_all_messages_in_one_order(
    tmp_path: Path, redis_server: Redis, database: dict[str, str]
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url, **database) as server:
        label = server.room("kitchen")
        with RoomLoad(
            tmp_path, [server.url], label, senders=8, listeners=2, seconds=LOAD_SECONDS, pause_ms=20
        ) as load:
            reports = load.wait_for_reports()

        check_uninterrupted_delivery(reports, server.head(label))


def test_two_servers_share_their_rooms(
    tmp_path: Path, redis_server: Redis, postgres_server: Postgres
) -> None:
    settings = {"REDIS_URL": redis_server.url, "DATABASE_URL": postgres_server.database()}
    with two_servers(tmp_path, settings) as (one, two), Node() as node:
        one.room("kitchen")
        ada = node.person(one.url)
        ben = node.person(two.url)
        ada.join("kitchen")
        ben.join("kitchen")

        ada.post("hello")
        ben.post("hello yourself")

        received = ben.hear(2)
        assert [message["message"] for message in received] == ["hello", "hello yourself"]
        assert ada.hear(2) == received


def test_a_redis_on_a_unix_socket_carries_messages_at_once(tmp_path: Path) -> None:
    with redis(tmp_path / "redis", UnixRedis) as redis_server:
        settings = {
            "REDIS_URL": redis_server.url,
            "DATABASE_URL": f"sqlite:///{tmp_path}/confab.db",
        }
        with two_servers(tmp_path, settings) as (one, two), Node() as node:
            one.room("kitchen")
            ada = node.person(one.url)
            ben = node.person(two.url)
            ada.join("kitchen")
            assert "partial" not in ben.join("kitchen"), "presence on the other worker is unknown"

            started = time.monotonic()
            # Without Redis, each of them would have to wait for the reconciler.
            for number in range(5):
                ada.post(f"message {number}")
                ben.hear(number + 1)
            took = time.monotonic() - started

            assert took < 4, "messages reach the other worker through the database"
            assert "Redis cannot be reached" not in one.log() + two.log()


def test_without_redis_messages_reach_other_workers_within_3500_ms(tmp_path: Path) -> None:
    with gunicorn(tmp_path, workers=2) as server:
        label = server.room("kitchen")
        with RoomLoad(
            tmp_path,
            [server.url],
            label,
            senders=2,
            listeners=6,
            seconds=4,
            pause_ms=100,
            quiet_seconds=6,
            server=server,
        ) as load:
            reports = load.wait_for_reports()

        check_uninterrupted_delivery(reports, server.head(label))
        assert max_delay_ms(reports, cpu_waits=load.cpu_waits) <= MAX_DELAY_MS
        warning = (
            "2 workers without REDIS_URL: "
            "messages between clients of different workers arrive up to 3.5 s late."
        )
        wait_until(lambda: warning in server.log())


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis://:wrong@127.0.0.1:{port}/0"])
def test_an_unreachable_redis_is_logged_once_and_messages_are_still_delivered(
    tmp_path: Path, redis_server: Redis, url: str
) -> None:
    redis_server.ask("CONFIG", "SET", "requirepass", "right")
    url = url.format(port=redis_server.port)
    with gunicorn(tmp_path, REDIS_URL=url) as server, Node() as node:
        server.room("kitchen")
        ada = node.person(server.url)
        ada.join("kitchen")

        assert ada.post("hello")["ok"]
        ada.hear(1)
        wait_until(lambda: "Redis cannot be reached" in server.log())
        ada.hear(1, "head")  # broadcast by the reconciler, seconds later

        assert server.log().count("Redis cannot be reached") == 1


def test_foreign_and_malformed_bus_messages_have_no_effect(
    tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, REDIS_URL=redis_server.url) as server, Node() as node:
        server.room("kitchen")
        ada = node.person(server.url)
        ada.join("kitchen")
        wait_until(redis_server.room_channels)
        for channel in redis_server.shared_channels() + redis_server.room_channels():
            for message in foreign_bus_messages():
                redis_server.publish(channel, message)

        ada.post("hello")

        assert [message["message"] for message in ada.hear(1)] == ["hello"]
        assert ada.post("still here")["ok"]


@pytest.mark.parametrize("engine", ["on", "off"])
def test_a_forged_bus_message_does_not_hide_the_message_with_its_number(
    tmp_path: Path, redis_server: Redis, engine: str
) -> None:
    with (
        gunicorn(tmp_path, REDIS_URL=redis_server.url, ENGINE=engine) as server,
        Node() as node,
    ):
        server.room("kitchen")
        ada = node.person(server.url)
        ada.join("kitchen")
        wait_until(redis_server.room_channels)
        [channel] = redis_server.room_channels()
        forged = {"label": "kitchen", "seq": 1, "rev": 1, "handle": "Ada", "message": "forged"}
        for rev in (1, 2, 50):
            payload = forged | {"rev": rev, "seq": rev}
            redis_server.publish(channel, envelope({"event": "chat", "payload": payload}))
        wait_until(lambda: "not signed with the secret key" in server.log())

        ada.post("hello")

        assert [message["message"] for message in ada.hear(1)] == ["hello"]


def foreign_bus_messages() -> list[bytes | str]:
    """Return messages that no worker of Confab publishes."""
    # As python-socketio's own message queue writes them.
    of_socketio: JSON = {"namespace": "/", "room": "chat-kitchen", "host_id": "a"}
    socketio_messages: list[JSON] = [
        {"method": "emit", "event": "chat", "data": ["x"]} | of_socketio,
        {"method": "disconnect", "sid": "x"} | of_socketio,
        {"method": "close_room"} | of_socketio,
    ]
    events: list[JSON] = [
        {"event": "connect", "payload": {"label": "kitchen", "rev": 1, "seq": 1}},
        {"event": "chat", "payload": {"label": "kitchen", "rev": "1"}},
        {"event": "presence", "payload": {"worker": "b", "here": [], "gone": {}}},
        {"event": "presence", "payload": {"worker": "b", "here": {"kitchen": 1}}},
        {"event": "typing", "payload": {"label": ["kitchen"], "handle": "Eve"}},
        {"event": "chat", "payload": ["kitchen", 1]},
        {"event": "chat"},
    ]
    not_json: list[bytes | str] = [b"\xff\x00 no text", "{", "[" * 100_000]
    foreign = [json.dumps(message) for message in socketio_messages]
    return not_json + foreign + [envelope(event) for event in events]


def envelope(event: JSON) -> str:
    """Return an event as a worker would publish it now, without a signature."""
    return f"another-worker {time.time_ns() // 1_000} {json.dumps(event)}"


@pytest.mark.slow
def test_four_workers_start_concurrently_with_an_empty_database(
    tmp_path: Path, database: dict[str, str], postgres_server: Postgres
) -> None:
    for start in range(STARTS):
        if database:
            database = {"DATABASE_URL": postgres_server.database()}
        with gunicorn(tmp_path / str(start), workers=4, **database) as server:
            with ThreadPoolExecutor(20) as visitors:
                pages = list(visitors.map(lambda _: server.page("/party/"), range(20)))

            assert len(pages) == 20
            assert count_rows(server, "rooms") == 1
            assert count_rows(server, "alembic_version") == 1
            secret_key = server.folder / "instance" / "secret_key"
            assert secret_key.stat().st_mode & 0o777 == 0o600
            wait_until(lambda: len(server.processes()) == 5)
            assert not re.search(r"Z (ERROR|CRITICAL) |Error:", server.log())


def count_rows(server: ConfabServer, table: str) -> int:
    with server.database() as engine, engine.connect() as connection:
        count: int = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
        return count


def test_a_locked_sqlite_database_delays_writers_and_no_readers(tmp_path: Path) -> None:
    with gunicorn(tmp_path, workers=2) as server, Node() as node:
        server.room("kitchen")
        reader = node.person(server.url)
        reader.join("kitchen")
        writers = [node.person(server.url) for _ in range(6)]
        for writer in writers:
            writer.join("kitchen")
        database = tmp_path / "instance" / "confab.db"
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            unlock_at = time.monotonic() + 3
            message = {"handle": "Ada", "message": "hello"}
            calls = [writer.send("chat", message) for writer in writers]
            while time.monotonic() < unlock_at:
                assert "kitchen" in server.page("/kitchen/")
                assert reader.ask("since", {"after": 0})["ok"]
            for writer, call in zip(writers, calls, strict=True):
                assert call not in writer.answers
            other.execute("ROLLBACK")

        for writer, call in zip(writers, calls, strict=True):
            assert writer.answer(call)["ok"]
        assert server.head("kitchen") == 6
        assert longest_block_ms(server) < 1000, "the lock lasts 3 s"


def longest_block_ms(server: ConfabServer) -> int:
    """Return for how long the event loop of a worker was blocked; 0 if it was not."""
    blocks = re.findall(r"The event loop of this worker was blocked for (\d+) ms", server.log())
    return max((int(milliseconds) for milliseconds in blocks), default=0)


def test_slow_postgresql_queries_run_concurrently_in_one_worker(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    database = postgres_server.database()
    with (
        gunicorn(tmp_path, app="tests.sleepy:app", DATABASE_URL=database) as server,
        ThreadPoolExecutor(3) as visitors,
    ):
        list(visitors.map(lambda _: server.page("/sleep/now"), range(3)))  # opens connections
        started = time.monotonic()
        pages = list(visitors.map(lambda _: server.page("/sleep/now"), range(3)))
        took = time.monotonic() - started

        assert pages == ["done"] * 3
        assert 1 <= took < 2, "each query takes a second"
        assert longest_block_ms(server) < 500


# Four threads that post through the journal: python -c WRITER INSTANCE DATABASE_URL MESSAGES
WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from chat import create_app
from chat.services import services_of
from chat.storage import journal
from chat.storage.commands import PostMessage
from config import Config

instance, database_url, messages = sys.argv[1:]
app = create_app(
    Config(instance=Path(instance), database_url=database_url, secret_key="the same for all")
)

def write(writer):
    with app.app_context():
        room = journal.get_or_create_room("kitchen")
        for number in range(int(messages)):
            command = PostMessage(room, "someone", "Ada", f"{writer} {number}")
            services_of(app).journal.submit(command)

with ThreadPoolExecutor(4) as threads:
    list(threads.map(write, range(4)))
"""


@pytest.mark.slow
def test_a_reader_of_postgresql_that_follows_rev_misses_no_message(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    messages_of_a_thread = 650
    url = postgres_server.database()
    arguments = [str(tmp_path), url, str(messages_of_a_thread)]
    command = [sys.executable, "-W", "ignore", "-c", WRITER, *arguments]
    writers = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    try:
        revs = read_revs_until_ended(url, writers)
    finally:
        for writer in writers:
            writer.wait(60)

    assert [writer.returncode for writer in writers] == [0, 0]
    assert revs == list(range(1, 2 * 4 * messages_of_a_thread + 1))


def read_revs_until_ended(url: str, writers: list["subprocess.Popen[bytes]"]) -> list[int]:
    """Read the `rev` of new messages, again and again, until all writers have ended."""
    table_exists = text("SELECT to_regclass('messages')")
    next_revs = text("SELECT rev FROM messages WHERE rev > :after ORDER BY rev")
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg2:"))
    revs: list[int] = []
    try:
        with engine.connect() as connection:
            while connection.execute(table_exists).scalar() is None:
                connection.rollback()
                time.sleep(0.05)
            running = True
            while running:
                # Before the query, so that the last query runs after the writers have ended.
                running = any(writer.poll() is None for writer in writers)
                after = revs[-1] if revs else 0
                revs += connection.execute(next_revs, {"after": after}).scalars()
                connection.rollback()
    finally:
        engine.dispose()
    return revs


def test_gevent_workers_deliver_messages(tmp_path: Path) -> None:
    def command_line(port: int) -> list[str]:
        options = ["-k", "gevent", "-w", "3", "-b", f"127.0.0.1:{port}"]
        return [sys.executable, "-m", "gunicorn", *options, "app:app"]

    with _serving(ConfabServer(tmp_path, command_line)) as server, Node() as node:
        server.room("kitchen")
        kinds = (WEBSOCKET, POLLING, UPGRADE)
        people = [node.person(server.url, kind) for kind in kinds for _ in range(4)]
        for person in people:
            person.join("kitchen")

        people[0].post("hello")

        for person in people:
            assert [message["message"] for message in person.hear(1)] == ["hello"]
            assert "disconnect" not in [state for state, _ in person.states]
        for person in people[-4:]:
            assert person.wait_until("upgrade") == "websocket"
