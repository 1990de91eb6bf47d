"""What a page costs the server, as a ratio, so that it is the same on every machine."""

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
VISITS = 10  # per round and room


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    """What serves for real."""
    with gunicorn(tmp_path_factory.mktemp("server")) as started:
        yield started


def fill(database: Engine, label: str, number: int) -> None:
    """Let so many messages have been said in a room."""
    with database.begin() as transaction:
        room = transaction.scalar(select(rooms.c.id).where(rooms.c.label == label))
        said = {
            "room_id": room,
            "handle": "Ada",
            "message": "All's well that ends well. " * 3,
            "author": "0" * 32,
        }
        rows = [
            said
            | {
                "seq": seq,
                "rev": seq,
                "client_id": secrets.token_urlsafe(16),
                "timestamp": datetime.now(UTC),
            }
            for seq in range(1, number + 1)
        ]
        transaction.execute(insert(messages), rows)
        transaction.execute(update(rooms).where(rooms.c.id == room).values(head=number))


def cost(server: ConfabServer, worker: int, label: str) -> float:
    """The seconds of a processor that some visits to a room take."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    before = cpu_seconds(worker)
    for _ in range(VISITS):
        connection.request("GET", f"/{label}/")
        with connection.getresponse() as response:
            assert response.read().count(b'data-seq="') == 50
    after = cpu_seconds(worker)
    connection.close()
    return after - before


def test_the_page_of_a_room_costs_the_same_however_much_was_said_there(
    server: ConfabServer, capsys: pytest.CaptureFixture[str]
) -> None:
    _, worker = server.processes()
    resting = resident_bytes(worker)
    sizes = {server.room("busy"): 100_000, server.room("quiet"): 60}
    with server.database() as database:
        for label, number in sizes.items():
            fill(database, label, number)
    for label in sizes:
        cost(server, worker, label)  # what is paid once is not counted

    costs = [{label: cost(server, worker, label) for label in sizes} for _ in range(ROUNDS)]

    ratio = median(each["busy"] / each["quiet"] for each in costs)
    page = median(each["busy"] for each in costs) / VISITS
    with capsys.disabled():
        sys.stdout.write(
            f"\nAn idle worker has {resting / 2**20:.0f} MiB in memory. A page with 100,000 messages behind it takes "
            f"{page * 1000:.1f} ms of its time, {ratio:.2f} times one with 60.\n"
        )
    assert ratio <= 1.3
