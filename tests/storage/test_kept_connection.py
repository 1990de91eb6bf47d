"""The connection that the journal keeps between transactions."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from chat.errors import Busy
from chat.models import rooms
from chat.storage import database
from chat.storage.database import MAX_KEPT_SECONDS, KeptConnection, db
from config import Config
from tests.conftest import create_room
from tests.services import Postgres, postgres


@pytest.fixture
def kept(app: Flask) -> Iterator[KeptConnection]:
    """A kept connection to an SQLite database with the room `kitchen`."""
    create_room(app, "kitchen")
    with app.app_context():
        connection = KeptConnection()
        yield connection
        connection.close()


def rename(kept: KeptConnection, name: str) -> object:
    """Name the room in a transaction; return the connection of the driver."""
    with kept.transaction() as connection:
        connection.execute(text("UPDATE rooms SET name = :name"), {"name": name})
        return connection.connection.driver_connection


def rename_and_fail(kept: KeptConnection) -> None:
    """Name the room, and create it a second time, in one transaction."""
    with kept.transaction() as connection:
        connection.execute(text("UPDATE rooms SET name = 'lost'"))
        connection.execute(insert(rooms), {"label": "kitchen", "epoch": "x", "head": 0})


def stored_name() -> str | None:
    """Return the name of the room as another connection reads it."""
    with db.engine.connect() as connection:
        return connection.scalar(select(rooms.c.name))


def test_transactions_that_follow_each_other_use_one_connection(
    kept: KeptConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "MAX_KEPT_SECONDS", 3600)
    first = rename(kept, "one")
    assert stored_name() == "one"

    assert rename(kept, "two") is first
    assert stored_name() == "two"
    assert db.engine.pool.checkedout() == 1  # type: ignore[attr-defined]


def test_a_connection_that_is_not_used_goes_back_to_the_pool(kept: KeptConnection) -> None:
    rename(kept, "one")

    kept.close()
    assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]

    rename(kept, "two")
    assert stored_name() == "two"


def test_a_transaction_that_fails_is_rolled_back_and_the_next_one_works(
    kept: KeptConnection,
) -> None:
    rename(kept, "one")

    with pytest.raises(IntegrityError):
        rename_and_fail(kept)

    assert stored_name() == "one"
    rename(kept, "two")
    assert stored_name() == "two"


@pytest.fixture
def on_postgresql(
    make_app: Callable[[Config], Flask], tmp_path: Path
) -> Iterator[tuple[KeptConnection, Postgres]]:
    """A kept connection that has been used, and the PostgreSQL server of this test."""
    with postgres() as server:
        app = make_app(Config(instance=tmp_path, database_url=server.database()))
        create_room(app, "kitchen")
        with app.app_context():
            kept = KeptConnection()
            rename(kept, "one")
            yield kept, server
            kept.close()


@pytest.mark.servers
def test_a_restart_of_postgresql_is_not_noticed_by_a_writer_who_paused(
    on_postgresql: tuple[KeptConnection, Postgres],
) -> None:
    kept, server = on_postgresql
    restart(server)
    kept._used_at -= MAX_KEPT_SECONDS  # as if the restart had taken so long

    rename(kept, "two")

    assert stored_name() == "two"


@pytest.mark.servers
def test_a_connection_that_breaks_is_not_used_again(
    on_postgresql: tuple[KeptConnection, Postgres],
) -> None:
    kept, server = on_postgresql
    restart(server)
    kept._used_at = time.monotonic()  # as if the restart had taken no time

    with pytest.raises(Busy):
        rename(kept, "lost")
    rename(kept, "two")

    assert stored_name() == "two"


def restart(server: Postgres) -> None:
    """Restart the server, which ends all connections."""
    server.stop()
    server.start()
