"""All hosts that use one PostgreSQL have the same secret key; another one refuses to start."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, create_engine, text

from chat import create_app, shut_down
from chat.cli import UNAVAILABLE
from config import Config, StartupError
from tests.conftest import Log
from tests.servers import gunicorn, wait_until
from tests.services import Postgres

pytestmark = pytest.mark.servers

KEY = "the key of the first host"
OTHER_KEY = "the key of another host"

FORGET = text("DELETE FROM instance WHERE key = 'secret_key_fingerprint'")
STORE_OTHER = text("INSERT INTO instance VALUES ('secret_key_fingerprint', 'of another key')")
STORED = text("SELECT value FROM instance WHERE key = 'secret_key_fingerprint'")

Start = Callable[..., str]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """A function that starts and stops a host; returns why it refused to start, or nothing."""

    def start_host(host: str, secret_key: str | None, **settings: Any) -> str:
        config = Config(instance=tmp_path / host, secret_key=secret_key, **settings)
        try:
            app: Flask = create_app(config)
        except StartupError as error:
            return error.sentence
        shut_down(app)
        return ""

    return start_host


@contextmanager
def transaction(url: str) -> Iterator[Connection]:
    """Open a transaction of another program in a database, and commit it at the end."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg2:"))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def locked_without_fingerprint(url: str) -> Iterator[Connection]:
    """Open a transaction that others can read beside, but not store a fingerprint."""
    with transaction(url) as connection:
        connection.execute(FORGET)
    with transaction(url) as connection:
        connection.execute(text("LOCK TABLE instance IN SHARE MODE"))
        yield connection


def stored_fingerprint(url: str) -> str | None:
    """Return the fingerprint in a database."""
    with transaction(url) as connection:
        found: str | None = connection.scalar(STORED)
        return found


def test_a_host_with_another_key_refuses_to_start(start: Start, postgres_server: Postgres) -> None:
    database = {"database_url": postgres_server.database()}

    assert start("one", KEY, **database) == ""
    assert start("two", KEY, **database) == ""
    refusal = start("three", OTHER_KEY, **database)

    assert "SECRET_KEY is not that of the other hosts" in refusal
    assert KEY not in refusal
    assert OTHER_KEY not in refusal


def test_a_host_that_generated_a_key_of_its_own_refuses_to_start(
    start: Start, postgres_server: Postgres
) -> None:
    database = {"database_url": postgres_server.database()}

    assert start("one", None, **database) == ""
    assert start("one", None, **database) == ""
    assert "SECRET_KEY" in start("two", None, **database)


def test_of_hosts_with_different_keys_that_start_first_at_once_one_starts(
    start: Start, postgres_server: Postgres
) -> None:
    database = {"database_url": postgres_server.database()}

    with ThreadPoolExecutor() as threads:
        starts = [
            threads.submit(start, f"host{number}", f"the key of host {number}", **database)
            for number in range(4)
        ]
        refusals = [each.result() for each in starts]

    assert refusals.count("") == 1


def test_a_key_can_be_changed_on_purpose(
    start: Start, postgres_server: Postgres, caplog: Log
) -> None:
    database = {"database_url": postgres_server.database()}
    assert start("one", KEY, **database) == ""

    assert start("one", OTHER_KEY, replace_secret_key=True, **database) == ""

    assert "SECRET_KEY is not that of the last start" in caplog.text
    assert start("one", OTHER_KEY, **database) == ""
    assert "REPLACE_SECRET_KEY=on" in start("two", KEY, **database)


def test_a_database_from_before_takes_the_key_of_the_first_host_that_starts(
    start: Start, postgres_server: Postgres
) -> None:
    url = postgres_server.database()
    assert start("one", KEY, database_url=url) == ""
    with transaction(url) as connection:
        connection.execute(FORGET)

    assert start("two", OTHER_KEY, database_url=url) == ""
    assert start("one", KEY, database_url=url) != ""


def test_sqlite_accepts_another_key_and_reports_it_once(start: Start, caplog: Log) -> None:
    assert start("one", KEY) == ""
    assert "SECRET_KEY" not in caplog.text

    assert start("one", OTHER_KEY) == ""
    assert start("one", OTHER_KEY) == ""

    assert caplog.text.count("SECRET_KEY is not that of the last start") == 1


def test_a_key_that_could_not_be_checked_at_the_start_is_stored_later(
    start: Start, tmp_path: Path, postgres_server: Postgres
) -> None:
    url = postgres_server.database()
    settings: dict[str, Any] = {"DATABASE_URL": url, "SECRET_KEY": KEY}
    assert start("one", KEY, database_url=url) == ""
    fingerprint = stored_fingerprint(url)
    with ExitStack() as stack:
        with locked_without_fingerprint(url):
            server = stack.enter_context(gunicorn(tmp_path / "server", **settings))
            assert "The database refused to store a change" in server.log()
        assert fingerprint is not None

        wait_until(lambda: stored_fingerprint(url) == fingerprint)


def test_a_host_that_learns_later_that_its_key_is_another_one_stops(
    start: Start, tmp_path: Path, postgres_server: Postgres
) -> None:
    url = postgres_server.database()
    settings: dict[str, Any] = {"DATABASE_URL": url, "SECRET_KEY": KEY}
    assert start("one", KEY, database_url=url) == ""
    with ExitStack() as stack:
        with locked_without_fingerprint(url) as other_host:
            server = stack.enter_context(gunicorn(tmp_path / "server", **settings))
            other_host.execute(STORE_OTHER)

        wait_until(lambda: server.has_ended, 20, "gunicorn has ended")
        ending = "The server stops: SECRET_KEY is not that of the other hosts"
        assert server.log().count(ending) == 1


def test_a_command_does_nothing_while_the_key_cannot_be_checked(
    start: Start, tmp_path: Path, postgres_server: Postgres
) -> None:
    url = postgres_server.database()
    assert start("one", KEY, database_url=url) == ""
    config = Config(instance=tmp_path / "one", secret_key=KEY, database_url=url)
    app = create_app(config, migrates=False)

    with locked_without_fingerprint(url):
        refused = app.test_cli_runner().invoke(args=["confab", "rooms"])
    done = app.test_cli_runner().invoke(args=["confab", "rooms"])
    shut_down(app)

    assert (refused.exit_code, UNAVAILABLE in refused.stderr) == (1, True)
    assert done.exit_code == 0, done.output
