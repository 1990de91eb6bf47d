"""SQLite's write-ahead log is moved into the database file outside of transactions."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask

from chat.services import services_of
from chat.storage.checkpoints import LOG_PAGES, RESTART_PAGES
from chat.storage.database import MAX_LOG_PAGES, SQLITE_PAGE_BYTES, db

pytestmark = pytest.mark.skipif("DATABASE_URL" in os.environ, reason="only SQLite has this log")


@pytest.fixture
def writer(app: Flask) -> Iterator[sqlite3.Connection]:
    """A connection of the app, with its settings, and a table to fill."""
    with app.app_context(), closing(db.engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE filling (id INTEGER PRIMARY KEY, content BLOB)")
        driver_connection = connection.driver_connection
        assert isinstance(driver_connection, sqlite3.Connection)
        yield driver_connection


def write_pages(writer: sqlite3.Connection, pages: int) -> None:
    """Let the log grow by at least so many pages, in one transaction."""
    content = b"x" * SQLITE_PAGE_BYTES
    writer.execute("BEGIN IMMEDIATE")
    writer.executemany("INSERT INTO filling (content) VALUES (?)", [(content,)] * pages)
    writer.execute("COMMIT")


def database_path(app: Flask) -> Path:
    return Path(app.instance_path) / "confab.db"


def log_pages(app: Flask) -> int:
    path = database_path(app)
    return path.with_name(path.name + "-wal").stat().st_size // SQLITE_PAGE_BYTES


def test_a_transaction_leaves_a_large_log_and_a_checkpoint_moves_it(
    app: Flask, writer: sqlite3.Connection
) -> None:
    write_pages(writer, LOG_PAGES)
    assert log_pages(app) >= LOG_PAGES
    before = database_path(app).stat().st_size

    services_of(app).checkpoints.move_large_log()

    assert database_path(app).stat().st_size > before
    write_pages(writer, 1)
    assert log_pages(app) < 50


def test_a_small_log_is_left(app: Flask, writer: sqlite3.Connection) -> None:
    write_pages(writer, LOG_PAGES // 2)
    before = database_path(app).stat().st_size

    services_of(app).checkpoints.move_large_log()

    assert database_path(app).stat().st_size == before


def test_the_log_is_bounded_without_the_loop(app: Flask, writer: sqlite3.Connection) -> None:
    for _ in range(8):
        write_pages(writer, MAX_LOG_PAGES // 2)

    assert log_pages(app) < 2 * MAX_LOG_PAGES


def test_a_checkpoint_waits_neither_for_a_writer_nor_for_a_reader(
    app: Flask, writer: sqlite3.Connection
) -> None:
    write_pages(writer, RESTART_PAGES)
    with closing(sqlite3.connect(database_path(app), isolation_level=None)) as reader:
        reader.execute("BEGIN")
        count = reader.execute("SELECT count(*) FROM filling").fetchone()
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM filling")

        services_of(app).checkpoints.move_large_log()

        writer.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM filling").fetchone() == count
    assert writer.execute("SELECT count(*) FROM filling").fetchone() == (0,)
