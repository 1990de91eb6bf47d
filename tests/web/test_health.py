"""The probes: /healthz reports on the process, /readyz on whether messages can be stored."""

import http.client
import json
import os
import select
import signal
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import text

from chat import create_app
from chat.errors import Busy
from chat.storage import database
from chat.storage.database import db
from chat.storage.readiness import RESULT_SECONDS, Readiness, check_writable, readiness_of
from config import Config
from tests.conftest import StoppedClock
from tests.servers import ConfabServer, _serving, bound_by_permissions, gunicorn, wait_until
from tests.services import Postgres

EACH_PROBE = pytest.mark.parametrize("path", ["/healthz", "/readyz"])
starts_servers = pytest.mark.servers


@dataclass(frozen=True)
class Answer:
    """A server's response to a request."""

    status: int
    media_type: str
    body: bytes
    closes_connection: bool

    @property
    def json(self) -> dict[str, Any]:
        """The decoded body, which has to be JSON."""
        assert self.media_type == "application/json", self
        answer: dict[str, Any] = json.loads(self.body)
        return answer


def ask(connection: http.client.HTTPConnection, path: str, method: str = "GET") -> Answer:
    """Send a request over a connection, which is opened again when the server has closed it."""
    connection.request(method, path)
    with connection.getresponse() as response:
        media_type = response.headers["Content-Type"].partition(";")[0]
        return Answer(response.status, media_type, response.read(), response.will_close)


def connection_to(server: ConfabServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)


def get(server: ConfabServer, path: str) -> Answer:
    """Send a request over a new connection."""
    with closing(connection_to(server)) as connection:
        return ask(connection, path)


# In this process


@EACH_PROBE
def test_a_probe_answers_ok(app: Flask, path: str) -> None:
    answer = app.test_client().get(path)

    assert (answer.status_code, answer.json) == (200, {"ok": True})
    assert answer.headers["Cache-Control"] == "no-store"


@EACH_PROBE
@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_another_method_is_refused_with_json(app: Flask, path: str, method: str) -> None:
    answer = getattr(app.test_client(), method)(path)

    assert answer.status_code == 405
    assert answer.json["code"] == "bad_request"
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@EACH_PROBE
def test_a_probe_with_a_slash_at_the_end_is_not_found(app: Flask, path: str) -> None:
    answer = app.test_client().get(f"{path}/")

    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["code"] == "not_found"


@pytest.fixture
def app_without_database(app: Flask) -> Flask:
    """Confab whose database file is gone, and cannot be created again."""
    with app.app_context():
        db.engine.dispose()
    path = Path(app.instance_path) / "confab.db"
    path.unlink()
    path.mkdir()
    return app


def test_healthz_answers_ok_without_a_database(app_without_database: Flask) -> None:
    browser = app_without_database.test_client()

    assert browser.get("/kitchen/").status_code == 503
    assert browser.get("/healthz").json == {"ok": True}


def test_readyz_answers_503_without_a_database(app_without_database: Flask) -> None:
    answer = app_without_database.test_client().get("/readyz")

    assert answer.status_code == 503
    assert answer.json is not None
    assert {"ok": False, "code": "busy", "retry": True}.items() <= answer.json.items()
    assert answer.json["message"].startswith("Nothing can be stored")


def test_readyz_does_not_create_a_missing_database(app: Flask) -> None:
    path = Path(app.instance_path) / "confab.db"
    path.unlink()

    assert app.test_client().get("/readyz").status_code == 503
    assert not path.exists()


def test_readyz_answers_503_for_an_empty_database(app: Flask) -> None:
    path = Path(app.instance_path) / "confab.db"
    path.unlink()
    path.touch()

    assert app.test_client().get("/readyz").status_code == 503


def test_readyz_writes_nothing_to_the_database(app: Flask) -> None:
    path = Path(app.instance_path) / "confab.db"
    wal_path = path.with_name("confab.db-wal")
    app.test_client().get("/kitchen/")
    content_before = path.read_bytes()
    wal_before = wal_path.read_bytes()

    assert app.test_client().get("/readyz").status_code == 200

    assert path.read_bytes() == content_before
    assert wal_path.read_bytes() == wal_before


def test_the_check_waits_about_a_second_for_another_writer(app: Flask) -> None:
    with app.app_context(), closing(open_database(app)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(Busy):
            check_writable()
        waited = time.monotonic() - started
        writer.execute("ROLLBACK")
        check_writable()

    assert 0.5 < waited < 5


def test_readyz_checks_the_database_at_most_once_a_second(app: Flask) -> None:
    browser = app.test_client()
    clock = StoppedClock()
    readiness_of(app).clock = clock
    assert browser.get("/readyz").status_code == 200

    with closing(open_database(app)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert [browser.get("/readyz").status_code for _ in range(20)] == [200] * 20
        clock.now += RESULT_SECONDS
        assert [browser.get("/readyz").status_code for _ in range(20)] == [503] * 20
        writer.execute("ROLLBACK")

    assert browser.get("/readyz").status_code == 503
    clock.now += RESULT_SECONDS
    assert browser.get("/readyz").status_code == 200


def test_those_who_ask_during_a_check_wait_for_its_result() -> None:
    checks: list[int] = []
    has_begun = threading.Event()
    may_end = threading.Event()

    def check() -> None:
        checks.append(1)
        has_begun.set()
        may_end.wait(10)
        raise Busy("The database is locked.")

    readiness = Readiness(check, StoppedClock())
    with ThreadPoolExecutor(20) as executor:
        first = executor.submit(readiness.require)
        assert has_begun.wait(10)
        others = [executor.submit(readiness.require) for _ in range(19)]
        may_end.set()
        errors = [each.exception() for each in [first, *others]]

    assert [str(error) for error in errors] == ["The database is locked."] * 20
    assert len(checks) == 1


def test_a_check_that_takes_too_long_is_not_repeated_at_once() -> None:
    checks: list[int] = []

    def check() -> None:
        checks.append(1)
        raise TimeoutError

    readiness = Readiness(check, StoppedClock())

    for _ in range(3):
        with pytest.raises(Busy, match="does not answer"):
            readiness.require()
    assert len(checks) == 1


def open_database(app: Flask) -> sqlite3.Connection:
    """Open the app's database with a connection that begins no transactions by itself."""
    return sqlite3.connect(Path(app.instance_path) / "confab.db", isolation_level=None)


@starts_servers
def test_readyz_answers_503_while_postgresql_is_read_only_or_locked(
    postgres_server: Postgres, tmp_path: Path
) -> None:
    url = postgres_server.database()
    name = url.rpartition("/")[2]
    end_connections = (
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    )
    with gunicorn(tmp_path, DATABASE_URL=url) as server:
        assert get(server, "/readyz").json == {"ok": True}

        postgres_server.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        postgres_server.run(end_connections)
        wait_until(
            lambda: get(server, "/readyz").status == 503,
            what="a read-only database is not ready",
        )
        assert get(server, "/readyz").json["code"] == "busy"
        assert get(server, "/healthz").json == {"ok": True}

        postgres_server.run(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
        postgres_server.run(end_connections)
        wait_until(lambda: get(server, "/readyz").status == 200, what="a writable one is ready")

        with server.database() as engine, engine.connect() as connection:
            connection.execute(text("LOCK TABLE rooms IN ACCESS EXCLUSIVE MODE"))
            started = time.monotonic()
            wait_until(lambda: get(server, "/readyz").status == 503, what="a locked one is not")
            assert time.monotonic() - started < 4
            connection.rollback()
        wait_until(lambda: get(server, "/readyz").status == 200, what="an unlocked one is ready")


# In servers


@pytest.fixture
def bound_server(tmp_path: Path) -> ConfabServer:
    """A gunicorn, not started yet, to which file permissions apply even when we are root."""

    def command_line(port: int) -> list[str]:
        command = [sys.executable, "-m", "gunicorn", "app:app", "-b", f"127.0.0.1:{port}"]
        return [*bound_by_permissions(), *command]

    return ConfabServer(tmp_path, command_line)


def remove_write_permission(instance: Path) -> None:
    for path in instance.glob("confab.db*"):
        path.chmod(0o444)


@starts_servers
def test_readyz_answers_503_for_a_database_without_write_permission(
    bound_server: ConfabServer, tmp_path: Path
) -> None:
    app = create_app(Config(instance=tmp_path / "instance"))
    database.close(app)
    remove_write_permission(tmp_path / "instance")

    with _serving(bound_server):
        assert get(bound_server, "/kitchen/").status == 503
        assert get(bound_server, "/new/").status == 503
        assert get(bound_server, "/healthz").json == {"ok": True}
        answer = get(bound_server, "/readyz")
        assert answer.status == 503
        assert answer.json["ok"] is False
        assert answer.json["code"] == "busy"


@starts_servers
def test_readyz_answers_503_after_a_database_has_lost_its_write_permission(
    bound_server: ConfabServer, tmp_path: Path
) -> None:
    with _serving(bound_server):
        bound_server.room("kitchen")
        assert get(bound_server, "/readyz").status == 200

        remove_write_permission(tmp_path / "instance")

        wait_until(lambda: get(bound_server, "/readyz").status == 503, what="it is not ready")
        assert get(bound_server, "/healthz").status == 200


@starts_servers
def test_readyz_answers_503_for_a_locked_database_without_delaying_other_requests(
    tmp_path: Path,
) -> None:
    with (
        gunicorn(tmp_path) as server,
        closing(sqlite3.connect(tmp_path / "instance" / "confab.db")) as writer,
    ):
        server.room("kitchen")
        writer.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with closing(connection_to(server)) as probe:
            probe.request("GET", "/readyz")
            for _ in range(3):
                assert get(server, "/healthz").status == 200
            readable, _, _ = select.select([probe.sock], [], [], 0)
            assert readable == []  # the probe still waits for the lock
            assert probe.getresponse().status == 503
        assert time.monotonic() - started < 3
        writer.rollback()

        wait_until(lambda: get(server, "/readyz").status == 200, what="an unlocked one is ready")


@starts_servers
def test_readyz_answers_503_while_the_worker_drains(tmp_path: Path) -> None:
    with gunicorn(tmp_path) as server, closing(connection_to(server)) as connection:
        assert ask(connection, "/readyz").json == {"ok": True}
        answers: list[Answer] = []

        def is_closed_while_draining() -> bool:
            answers.append(ask(connection, "/readyz"))
            # gunicorn decides before the app runs whether it closes the connection: an answer to a
            # request that began before the signal may keep it open.
            return answers[-1].status == 503 and answers[-1].closes_connection

        os.kill(server.processes()[0], signal.SIGTERM)
        wait_until(is_closed_while_draining, what="the worker drains and closes the connection")

        assert {"ok": False, "code": "draining", "retry": True}.items() <= answers[-1].json.items()
