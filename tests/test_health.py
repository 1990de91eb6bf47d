"""/healthz reports on the process, /readyz on whether messages can be stored; both answer with JSON."""

import http.client
import json
import os
import select
import signal
import sqlite3
import sys
import time
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
from chat.storage.readiness import check_writable
from config import Config
from tests.servers import ConfabServer, _serving, bound_by_permissions, gunicorn, wait_until
from tests.services import Postgres

PROBES = pytest.mark.parametrize("path", ["/healthz", "/readyz"])
servers = pytest.mark.servers


@dataclass(frozen=True)
class Answer:
    """What a server answers to a request."""

    status: int
    kind: str
    body: bytes
    closes: bool

    @property
    def json(self) -> dict[str, Any]:
        """The body, which has to be JSON."""
        assert self.kind == "application/json", self
        answer: dict[str, Any] = json.loads(self.body)
        return answer


def ask(connection: http.client.HTTPConnection, path: str, method: str = "GET") -> Answer:
    """Send a request over a connection, which opens again when the server has closed it."""
    connection.request(method, path)
    with connection.getresponse() as response:
        kind = response.headers["Content-Type"].partition(";")[0]
        return Answer(response.status, kind, response.read(), response.will_close)


def connection_to(server: ConfabServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)


def get(server: ConfabServer, path: str) -> Answer:
    """Send a request over a connection of its own."""
    with closing(connection_to(server)) as connection:
        return ask(connection, path)


# In one process


@PROBES
def test_a_probe_answers_ok(app: Flask, path: str) -> None:
    answer = app.test_client().get(path)

    assert (answer.status_code, answer.json) == (200, {"ok": True})
    assert answer.headers["Cache-Control"] == "no-store"


@PROBES
@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_a_wrong_method_is_refused_with_json(app: Flask, path: str, method: str) -> None:
    answer = getattr(app.test_client(), method)(path)

    assert answer.status_code == 405
    assert answer.json["code"] == "bad_request"
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@PROBES
def test_a_probe_has_one_address(app: Flask, path: str) -> None:
    answer = app.test_client().get(f"{path}/")

    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["code"] == "not_found"


@pytest.fixture
def broken(app: Flask) -> Flask:
    """Confab without its database."""
    with app.app_context():
        db.engine.dispose()
    path = Path(app.instance_path) / "confab.db"
    path.unlink()
    path.mkdir()
    return app


def test_the_process_is_healthy_without_its_database(broken: Flask) -> None:
    browser = broken.test_client()

    assert browser.get("/kitchen/").status_code == 503
    assert browser.get("/healthz").json == {"ok": True}


def test_nothing_is_ready_without_its_database(broken: Flask) -> None:
    answer = broken.test_client().get("/readyz")

    assert answer.status_code == 503
    assert answer.json is not None
    assert {"ok": False, "code": "busy", "retry": True}.items() <= answer.json.items()
    assert answer.json["message"].startswith("Nothing can be stored")


def test_the_probe_does_not_make_a_database_that_has_gone(app: Flask) -> None:
    path = Path(app.instance_path) / "confab.db"
    path.unlink()

    assert app.test_client().get("/readyz").status_code == 503
    assert not path.exists()


def test_an_empty_database_is_not_ready(app: Flask) -> None:
    path = Path(app.instance_path) / "confab.db"
    path.unlink()
    path.touch()

    assert app.test_client().get("/readyz").status_code == 503


def test_the_probe_stores_nothing(app: Flask) -> None:
    path = Path(app.instance_path) / "confab.db"
    app.test_client().get("/kitchen/")
    before = path.read_bytes(), path.with_name("confab.db-wal").read_bytes()

    assert app.test_client().get("/readyz").status_code == 200

    assert (path.read_bytes(), path.with_name("confab.db-wal").read_bytes()) == before


def test_another_writer_does_not_make_it_unready_before_a_second_has_passed(app: Flask) -> None:
    with app.app_context(), closing(_writer(app)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with pytest.raises(Busy):
            check_writable()
        waited = time.monotonic() - begun
        writer.execute("ROLLBACK")
        check_writable()

    assert 0.5 < waited < 5


def _writer(app: Flask) -> sqlite3.Connection:
    return sqlite3.connect(Path(app.instance_path) / "confab.db", isolation_level=None)


@servers
def test_a_postgresql_that_cannot_be_written_is_not_ready(
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
            what="a database that only reads is not ready",
        )
        assert get(server, "/readyz").json["code"] == "busy"
        assert get(server, "/healthz").json == {"ok": True}

        postgres_server.run(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
        postgres_server.run(end_connections)
        wait_until(lambda: get(server, "/readyz").status == 200, what="it is ready again")

        with server.database() as engine, engine.connect() as connection:
            connection.execute(text("LOCK TABLE rooms IN ACCESS EXCLUSIVE MODE"))
            begun = time.monotonic()
            assert get(server, "/readyz").status == 503
            assert time.monotonic() - begun < 3
            connection.rollback()
        wait_until(
            lambda: get(server, "/readyz").status == 200, what="it is ready when the lock is gone"
        )


# As a server


@pytest.fixture
def bound_server(tmp_path: Path) -> ConfabServer:
    """A gunicorn that may write only where permissions let it, root too; it is not started yet."""
    words = [*bound_by_permissions(), sys.executable, "-m", "gunicorn", "app:app", "-b"]
    return ConfabServer(tmp_path, lambda port: [*words, f"127.0.0.1:{port}"])


def take_away_write_permission(instance: Path) -> None:
    for path in instance.glob("confab.db*"):
        path.chmod(0o444)


@servers
def test_a_database_that_cannot_be_written_is_not_ready(
    bound_server: ConfabServer, tmp_path: Path
) -> None:
    app = create_app(Config(instance=tmp_path / "instance"))
    database.close(app)
    take_away_write_permission(tmp_path / "instance")

    with _serving(bound_server):
        assert get(bound_server, "/kitchen/").status == 503
        assert get(bound_server, "/new/").status == 503
        assert get(bound_server, "/healthz").json == {"ok": True}
        answer = get(bound_server, "/readyz")
        assert (answer.status, answer.json["ok"], answer.json["code"]) == (503, False, "busy")


@servers
def test_a_database_that_becomes_unwritable_is_not_ready(
    bound_server: ConfabServer, tmp_path: Path
) -> None:
    with _serving(bound_server):
        bound_server.room("kitchen")
        assert get(bound_server, "/readyz").status == 200

        take_away_write_permission(tmp_path / "instance")

        assert get(bound_server, "/readyz").status == 503
        assert get(bound_server, "/healthz").status == 200


@servers
def test_a_locked_database_delays_nobody_and_is_answered_soon(tmp_path: Path) -> None:
    with (
        gunicorn(tmp_path) as server,
        closing(sqlite3.connect(tmp_path / "instance" / "confab.db")) as writer,
    ):
        server.room("kitchen")
        writer.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with closing(connection_to(server)) as probe:
            probe.request("GET", "/readyz")
            for _ in range(3):
                assert get(server, "/healthz").status == 200
            assert (
                select.select([probe.sock], [], [], 0)[0] == []
            )  # the probe still waits for the lock
            assert probe.getresponse().status == 503
        assert time.monotonic() - begun < 3
        writer.rollback()

        assert get(server, "/readyz").status == 200


@servers
def test_a_worker_that_drains_is_not_ready(tmp_path: Path) -> None:
    with gunicorn(tmp_path) as server, closing(connection_to(server)) as connection:
        assert ask(connection, "/readyz").json == {"ok": True}
        answers: list[Answer] = []

        def drains() -> bool:
            answers.append(ask(connection, "/readyz"))
            return answers[-1].status == 503

        os.kill(server.processes()[0], signal.SIGTERM)
        wait_until(drains, what="it says that it drains")

        assert {"ok": False, "code": "draining", "retry": True}.items() <= answers[-1].json.items()
        assert answers[-1].closes
