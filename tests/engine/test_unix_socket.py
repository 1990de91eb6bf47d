"""A server on a Unix socket, behind nginx: everything works as over TCP."""

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

KITCHENS = count(1)


GUNICORN = "gunicorn -k eventlet -w 1 -b unix:{path} app:app"
SERVERS = {
    "gunicorn": (GUNICORN, "on"),
    "gunicorn with its engine off": (GUNICORN, "off"),
    "flask run": ("flask --app app run --host unix://{path}", "on"),
}


@contextmanager
def behind_nginx(
    folder: Path, command: str = GUNICORN, engine: str = "on"
) -> Iterator[ConfabServer]:
    """A server on a Unix socket; its address is that of the nginx in front of it."""
    path = folder / "confab.sock"
    words = [sys.executable, "-m", *command.format(path=path).split()]
    confab = ConfabServer(folder, lambda _: words, ENGINE=engine)
    with nginx(folder / "nginx", confab.port, path), _serving(confab) as server:
        yield server


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConfabServer]:
    command, engine = SERVERS[request.param]
    with behind_nginx(tmp_path_factory.mktemp("unix"), command, engine) as started:
        yield started


@pytest.fixture
def kitchen(server: ConfabServer) -> str:
    return server.room(f"kitchen-{next(KITCHENS)}")


@pytest.mark.parametrize(
    "transports", [POLLING, WEBSOCKET, UPGRADE], ids=["polling", "websocket", "the upgrade"]
)
def test_ada_posts_and_ben_receives_behind_nginx(
    server: ConfabServer, kitchen: str, transports: tuple[str, ...]
) -> None:
    with Node() as node:
        ada, ben = (node.person(server.url, transports) for _ in range(2))
        ada.join(kitchen)
        ben.join(kitchen)
        if transports == UPGRADE:
            assert ben.wait_until("upgrade") == "websocket"

        ada.post("Hello")

        assert [each["message"] for each in ben.hear(1)] == ["Hello"]


def test_a_browser_on_the_same_site_may_connect_and_one_on_another_may_not(
    server: ConfabServer, kitchen: str
) -> None:
    with Stranger(server.url, Origin=server.url) as ada:
        assert ada.ask("join", {"label": kitchen})["ok"]

    elsewhere = WebSocket(server.url, Origin="http://elsewhere.example")
    assert elsewhere.status == "400"
    elsewhere.close()


def test_stock_clients_reconnect_when_the_worker_is_replaced_behind_nginx(tmp_path: Path) -> None:
    with behind_nginx(tmp_path) as server, ExitStack() as stack:
        server.room("kitchen")
        processes = [stack.enter_context(StockClients(library)) for library in CLIENTS]
        for clients in processes:
            clients.connect(server.url, "kitchen", 4)
        wait_until(lambda: all(clients.have_joined("websocket") for clients in processes))

        os.kill(server.processes()[0], signal.SIGHUP)

        wait_until(
            lambda: all(clients.have_joined("websocket", connects=2) for clients in processes), 30
        )
