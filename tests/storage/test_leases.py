"""A task is done by one process at a time, and by another after that one has ended."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from chat.moderation.tables import leases
from chat.storage.database import read_transaction, write_transaction
from chat.storage.leases import LEASE_SECONDS, Lease
from config import Config
from tests.conftest import open_app
from tests.services import Postgres


@pytest.fixture(
    autouse=True, params=["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.servers)]
)
def database_in_use(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """An app context with an empty database of each kind."""
    url = None
    if request.param == "PostgreSQL":
        postgres_server: Postgres = request.getfixturevalue("postgres_server")
        url = postgres_server.database()
    config = Config(instance=tmp_path / "instance", database_url=url)
    with open_app(config) as app, app.app_context():
        yield


def move_end(seconds: float) -> None:
    """Move the end of the lease, as if time had passed or a clock had been set."""
    with write_transaction() as connection:
        expires_at = connection.scalar(select(leases.c.expires_at))
        assert expires_at is not None
        moved = expires_at + timedelta(seconds=seconds)
        connection.execute(update(leases).values(expires_at=moved))


def test_one_process_at_a_time_has_a_lease() -> None:
    ours, other = Lease("task"), Lease("task")

    assert ours.acquire()
    assert not other.acquire()
    assert ours.acquire()
    assert ours.keep()
    assert Lease("another task").acquire()


def test_a_lease_that_has_expired_is_taken_over() -> None:
    ended, other = Lease("task"), Lease("task")
    assert ended.acquire()

    move_end(-LEASE_SECONDS - 1)

    assert other.acquire()
    assert not ended.acquire()


def test_renewing_a_lease_moves_its_end() -> None:
    ours, other = Lease("task"), Lease("task")
    assert ours.acquire()
    move_end(-LEASE_SECONDS + 5)

    assert ours.acquire()
    move_end(-LEASE_SECONDS + 5)

    assert not other.acquire()


def test_a_lease_that_is_released_can_be_taken_at_once() -> None:
    ours, other = Lease("task"), Lease("task")
    assert ours.acquire()

    other.release()
    assert not other.acquire()
    ours.release()

    assert other.acquire()


def test_a_lease_can_be_taken_from_its_holder() -> None:
    ours, other = Lease("task"), Lease("task")
    assert ours.acquire()

    assert other.acquire(force=True)

    assert not ours.acquire()


def test_a_lease_of_a_clock_that_was_set_back_is_taken_over() -> None:
    ended, other = Lease("task"), Lease("task")
    assert ended.acquire()

    move_end(3600)

    assert other.acquire()
    with read_transaction() as connection:
        assert len(connection.execute(select(leases)).all()) == 1
