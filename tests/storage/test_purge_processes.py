"""The purge of running servers: it needs no client, and survives being killed."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from chat.models import messages, rooms
from tests.purge_load import insert_expired
from tests.servers import ROOT, ConfabServer, flask_run, gunicorn, wait_until

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

SERVERS: dict[str, Callable[..., AbstractContextManager[ConfabServer]]] = {
    "flask run": flask_run,
    "gunicorn": gunicorn,
}
COMMAND = [sys.executable, "-m", "flask", "--app", "app", "confab", "purge"]


def make_due(server: ConfabServer) -> None:
    """Let messages of more than a day expire."""
    values = {"expiry_seconds": 24 * 3600, "purge_at": datetime.now(UTC)}
    with server.database() as engine, engine.begin() as connection:
        connection.execute(update(rooms).values(values))


def count_rows(server: ConfabServer) -> int:
    """Return how many rows of messages there are."""
    with server.database() as engine, engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(messages)) or 0


def floor_of(server: ConfabServer) -> int:
    """Return the floor of the only room."""
    with server.database() as engine, engine.connect() as connection:
        return connection.scalar(select(rooms.c.floor)) or 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_purges_within_a_minute_although_nobody_is_connected(
    tmp_path: Path, kind: str
) -> None:
    with SERVERS[kind](tmp_path) as server:
        server.room("kitchen")
        insert_expired(server, 300, "kitchen")
        make_due(server)

        wait_until(lambda: count_rows(server) == 0, 60, "the messages are deleted")

        assert "No messages" not in server.page("/kitchen/")


@pytest.mark.slow
def test_a_purge_that_is_killed_is_finished_by_the_next_one(
    tmp_path: Path, database: dict[str, Any]
) -> None:
    total = 5_000
    with flask_run(tmp_path, **database) as server:
        server.room("kitchen")
        insert_expired(server, total, "kitchen")
    environment = server.environment
    make_due(server)
    killed = subprocess.Popen(COMMAND, cwd=ROOT, env=environment)
    try:
        wait_until(lambda: count_rows(server) < total, 60, "the purge has begun")
    finally:
        killed.kill()
        killed.wait()
    assert 0 < count_rows(server) < total
    assert floor_of(server) == total

    subprocess.run(COMMAND, cwd=ROOT, env=environment, check=True, timeout=120)

    assert count_rows(server) == 0
