"""A server on a Unix socket behind nginx: everything works as over TCP."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.clients import POLLING, UPGRADE, WEBSOCKET, Node, Stranger, WebSocket
from tests.servers import ConfabServer, _serving, wait_until
from tests.services import nginx
from tests.stock_clients import CLIENTS, StockClients

pytestmark = pytest.mark.servers

ROOM_NUMBERS = count(1)

GUNICORN = "gunicorn -k eventlet -w 1 -b unix:{path} app:app"
FLASK_RUN = "flask --app app run --host unix://{path}"
SERVERS = {  # the command, and the setting ENGINE
    "gunicorn": (GUNICORN, "on"),
    "gunicorn with its engine off": (GUNICORN, "off"),
    "flask run": (FLASK_RUN, "on"),
}


@contextmanager
def server_behind_nginx(
    folder: Path, command: str = GUNICORN, engine: str = "on"
) -> Iterator[ConfabServer]:
    """Start a server on a Unix socket; its address is that of the nginx in front of it."""
    path = folder / "confab.sock"
    words = [sys.executable, "-m", *command.format(path=path).split()]
    confab = ConfabServer(folder, lambda _port: words, ENGINE=engine)
    with nginx(folder / "nginx", confab.port, path), _serving(confab) as server:
        yield server


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConfabServer]:
    command, engine = SERVERS[request.param]
    with server_behind_nginx(tmp_path_factory.mktemp("unix"), command, engine) as started:
        yield started


@pytest.fixture
def kitchen(server: ConfabServer) -> str:
    """The label of a new room."""
    return server.room(f"kitchen-{next(ROOM_NUMBERS)}")


@pytest.mark.parametrize(
    "transports", [POLLING, WEBSOCKET, UPGRADE], ids=["polling", "websocket", "upgrade"]
)
def test_ada_posts_and_ben_receives(
    server: ConfabServer, kitchen: str, transports: tuple[str, ...]
) -> None:
    with Node() as node:
        ada = node.person(server.url, transports)
        ben = node.person(server.url, transports)
        ada.join(kitchen)
        ben.join(kitchen)
        if transports == UPGRADE:
            assert ben.wait_until("upgrade") == "websocket"

        ada.post("Hello")

        assert [message["message"] for message in ben.hear(1)] == ["Hello"]


def test_only_browsers_on_the_same_site_may_connect(server: ConfabServer, kitchen: str) -> None:
    with Stranger(server.url, Origin=server.url) as ada:
        assert ada.ask("join", {"label": kitchen})["ok"]

    other_site = WebSocket(server.url, Origin="http://elsewhere.example")
    assert other_site.status == "400"
    other_site.close()


def test_stock_clients_reconnect_when_the_worker_is_replaced(tmp_path: Path) -> None:
    with server_behind_nginx(tmp_path) as server, ExitStack() as stack:
        server.room("kitchen")
        processes = [stack.enter_context(StockClients(library)) for library in CLIENTS]
        for clients in processes:
            clients.connect(server.url, "kitchen", 4)
        wait_until(lambda: all(clients.have_joined("websocket") for clients in processes))

        os.kill(server.processes()[0], signal.SIGHUP)

        wait_until(
            lambda: all(clients.have_joined("websocket", connects=2) for clients in processes), 30
        )
