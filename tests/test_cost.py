"""The CPU time of a room's page, as a ratio, so that the bound holds on every machine."""

import http.client
import secrets
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine, insert, select, update

from chat.models import messages, rooms
from tests.servers import ConfabServer, cpu_seconds, gunicorn, resident_bytes

pytestmark = pytest.mark.servers

ROUNDS = 11
VISITS_PER_ROUND = 10
BUSY_MESSAGES = 100_000
QUIET_MESSAGES = 60
MAX_COST_RATIO = 1.3


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    """A gunicorn with one worker."""
    with gunicorn(tmp_path_factory.mktemp("server")) as started:
        yield started


def insert_messages(database: Engine, label: str, number: int) -> None:
    """Insert messages into an empty room."""
    with database.begin() as transaction:
        room_id = transaction.scalar(select(rooms.c.id).where(rooms.c.label == label))
        rows = [
            {
                "room_id": room_id,
                "seq": seq,
                "rev": seq,
                "client_id": secrets.token_urlsafe(16),
                "author": "0" * 32,
                "handle": "Ada",
                "message": "All's well that ends well. " * 3,
                "timestamp": datetime.now(UTC),
            }
            for seq in range(1, number + 1)
        ]
        transaction.execute(insert(messages), rows)
        transaction.execute(update(rooms).where(rooms.c.id == room_id).values(head=number))


def cost_of_visits(server: ConfabServer, worker: int, label: str) -> float:
    """Return the CPU time of a worker, in seconds, for some visits to a room."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    before = cpu_seconds(worker)
    for _ in range(VISITS_PER_ROUND):
        connection.request("GET", f"/{label}/")
        with connection.getresponse() as response:
            assert response.read().count(b'data-seq="') == 50
    after = cpu_seconds(worker)
    connection.close()
    return after - before


def test_the_cost_of_a_page_does_not_depend_on_the_number_of_messages(
    server: ConfabServer, capsys: pytest.CaptureFixture[str]
) -> None:
    _, worker = server.processes()
    idle_bytes = resident_bytes(worker)
    busy = server.room("busy")
    quiet = server.room("quiet")
    with server.database() as database:
        insert_messages(database, busy, BUSY_MESSAGES)
        insert_messages(database, quiet, QUIET_MESSAGES)
    for label in (busy, quiet):  # what only the first visits cost is not measured
        cost_of_visits(server, worker, label)

    costs = []
    for _ in range(ROUNDS):
        busy_seconds = cost_of_visits(server, worker, busy)
        quiet_seconds = cost_of_visits(server, worker, quiet)
        costs.append((busy_seconds, quiet_seconds))

    ratio = median(busy_seconds / quiet_seconds for busy_seconds, quiet_seconds in costs)
    page_seconds = median(busy_seconds for busy_seconds, _ in costs) / VISITS_PER_ROUND
    with capsys.disabled():
        sys.stdout.write(
            f"\nAn idle worker uses {idle_bytes / 2**20:.0f} MiB of memory. "
            f"The page of a room with {BUSY_MESSAGES:,} messages costs "
            f"{page_seconds * 1000:.1f} ms of CPU time, "
            f"{ratio:.2f} times one with {QUIET_MESSAGES}.\n"
        )
    assert ratio <= MAX_COST_RATIO
