"""The reconciler works with 100,000 rooms on one worker."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bidict import bidict
from flask import Flask
from sqlalchemy import event, text

from chat.broadcasts import socketio_room
from chat.delivery import reconciler
from chat.services import services_of
from chat.storage.database import db
from config import Config
from tests.conftest import Client, Patch, create_room, in_room, post_elsewhere

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

ROOMS = 100_000
SMALLEST_VARIABLE_LIMIT = 32_766
"""Of SQLite, unless it was built with another one, as Debian's."""

INSERT = """
INSERT INTO rooms (label, name, head, epoch, created_at)
SELECT 'room-' || n, 'A room', 0, 'first', CURRENT_TIMESTAMP FROM {numbers}
"""
NUMBERS = {
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :rooms)"
    " SELECT n FROM s)",
    "postgresql": "generate_series(1, :rooms) AS n",
}


def limit_variables(connection: Any, _record: object) -> None:
    """Give a connection the smallest limit, if it is one of SQLite."""
    if isinstance(connection, sqlite3.Connection):
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, SMALLEST_VARIABLE_LIMIT)


def insert_rooms(app: Flask) -> None:
    """Create the rooms, and limit the variables of each statement that follows."""
    with app.app_context():
        event.listen(db.engine, "connect", limit_variables)
        statement = INSERT.format(numbers=NUMBERS[db.engine.dialect.name])
        with db.engine.begin() as connection:
            connection.execute(text(statement), {"rooms": ROOMS})
        db.engine.dispose()


def test_the_reconciler_repairs_one_of_100000_rooms(
    tmp_path: Path,
    database: dict[str, str],
    make_app: Callable[[Config], Flask],
    monkeypatch: Patch,
) -> None:
    monkeypatch.setattr(reconciler, "POLL_SECONDS", (60.0, 60.0))
    url = database.get("DATABASE_URL")
    app = make_app(Config(instance=tmp_path / "instance", limits=False, database_url=url))
    create_room(app, "kitchen")
    insert_rooms(app)
    services = services_of(app)
    ada = in_room(Client(app, None), "kitchen")
    names_in_use = services.socketio.server.manager.rooms["/"]
    for number in range(1, ROOMS + 1):
        names_in_use[socketio_room(f"room-{number}")] = bidict()
    post_elsewhere(app, "kitchen", "hello")

    services.reconciler.poll()

    assert [message["message"] for message in ada.received("chat")] == ["hello"]
    assert services.reconciler.sequencer.cursor(f"room-{ROOMS}") == 0
    ada.close()
