"""Outages are logged when they begin and when they end, with their duration."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from flask import Flask

from chat.outage import Outage
from chat.storage import database, readiness
from chat.storage.readiness import RESULT_SECONDS, readiness_of
from tests.conftest import Client, Log, Patch, StoppedClock

log = logging.getLogger("chat.tests")


def test_only_the_begin_and_the_end_of_an_outage_are_logged(caplog: Log) -> None:
    clock = StoppedClock()
    outage = Outage(log, clock)

    outage.end("Redis is back after %.1f s.")
    outage.begin("Redis cannot be reached: %s", "refused")
    clock.now += 2
    outage.begin("Redis cannot be reached: %s", "timed out")
    clock.now += 1.26
    outage.end("Redis is back after %.1f s.")
    outage.end("Redis is back after %.1f s.")

    assert caplog.messages == ["Redis cannot be reached: refused", "Redis is back after 3.3 s."]


def test_a_second_outage_is_logged_too(caplog: Log) -> None:
    outage = Outage(log)

    for reason in ("first", "second"):
        outage.begin("down: %s", reason)
        outage.end("up after %.0f s")

    assert caplog.messages == ["down: first", "up after 0 s", "down: second", "up after 0 s"]


@pytest.fixture
def impatient(monkeypatch: Patch) -> None:
    """Let nobody wait long for the lock of SQLite."""
    monkeypatch.setattr(database, "LOCK_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(readiness, "LOCK_WAIT_SECONDS", 0.02)


@contextmanager
def other_process(app: Flask) -> Iterator[sqlite3.Connection]:
    """Open the database of an app as another process would."""
    file = app.config["CONFAB"].instance / "confab.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        yield connection


def test_a_database_that_refuses_changes_is_logged_once_until_one_is_stored(
    app: Flask, ada: Client, caplog: Log, impatient: None
) -> None:
    with other_process(app) as writer:
        writer.execute("BEGIN IMMEDIATE")
        for number in range(3):
            assert ada.post(f"refused {number}")["code"] == "busy"
        assert ada.ask("since", {"after": 0})["ok"]  # to read does not end it
        writer.rollback()
    assert ada.post("stored")["ok"]

    begin, end = caplog.messages
    assert begin.startswith("The database refused to store a change: ")
    assert "locked" in begin
    assert end.startswith("The database stores changes again, after ")
    assert "refused 0" not in caplog.text


@pytest.mark.usefixtures("without_polls")
def test_a_database_that_cannot_be_read_is_logged_once_until_it_can(
    app: Flask, ada: Client, caplog: Log
) -> None:
    with other_process(app) as other:
        other.execute("ALTER TABLE messages RENAME TO hidden")
        for _ in range(3):
            assert ada.ask("since", {"after": 0})["code"] == "busy"
        other.execute("ALTER TABLE hidden RENAME TO messages")
    assert ada.ask("since", {"after": 0})["ok"]

    begin, end = caplog.messages
    assert begin.startswith("The database refused to read: ")
    assert end.startswith("The database can be read again, after ")


def test_a_database_that_is_not_ready_is_logged_once_until_it_is(
    app: Flask, caplog: Log, impatient: None
) -> None:
    browser = app.test_client()
    clock = StoppedClock()
    readiness_of(app).clock = clock
    with other_process(app) as writer:
        writer.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            assert browser.get("/readyz").status_code == 503
            clock.now += RESULT_SECONDS
        writer.rollback()
    assert browser.get("/readyz").status_code == 200

    begin, end = [record.getMessage() for record in caplog.records if "database" in record.name]
    assert begin.startswith("The database cannot be written: ")
    assert end.startswith("The database can be written again, after ")
