"""Stock Socket.IO clients with default options (polling, then upgrade) receive for as long as they are connected."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.clients import Closed, Polling, Stranger, WebSocket
from tests.servers import Confab, _serving, until
from tests.stock_clients import ClientState, NodeClients

pytestmark = pytest.mark.servers

DELIVERED_SECONDS = 3.5


@contextmanager
def short_pings(folder: Path, **environment: str) -> Iterator[Confab]:
    """gunicorn with a ping timeout of 2 s."""
    words = [sys.executable, "-m", "gunicorn", "-k", "eventlet", "-w", "1", "tests.short_pings:app", "-b"]
    with _serving(Confab(folder, lambda port: [*words, f"127.0.0.1:{port}"], **environment)) as server:
        yield server


def post(server: Confab, message: str) -> None:
    """Ada posts a message over a connection of her own."""
    with Stranger(server.url) as ada:
        assert ada.ask("join", {"label": "kitchen"})["ok"]
        assert ada.ask("chat", {"handle": "Ada", "message": message})["ok"]


def stopped_receiving(server: Confab, clients: NodeClients) -> list[ClientState]:
    """The clients that do not receive a new message, or no answer to a request, within 3.5 s."""
    message = f"probe {time.monotonic()}"
    before = [client.answers for client in clients.report()]
    clients.probe()
    post(server, message)

    def silent() -> list[ClientState]:
        return [
            client
            for client, answers in zip(clients.report(), before, strict=True)
            if message not in client.messages or client.answers == answers
        ]

    give_up = time.monotonic() + DELIVERED_SECONDS
    while silent() and time.monotonic() < give_up:
        time.sleep(0.1)
    return silent()


class UpgradedByHand:
    """A polling session that upgrades when it is told to."""

    def __init__(self, server: Confab) -> None:
        self.polling = Polling(server.url)
        self.url = server.url

    def upgrade(self) -> WebSocket:
        """Change over to a WebSocket."""
        websocket = WebSocket(self.url, self.polling.path.replace("polling", "websocket"))
        websocket.send("2probe")
        assert websocket.receive() == "3probe"
        websocket.send("5")
        return websocket


def receives(websocket: WebSocket) -> bool:
    """Whether a request over this WebSocket is answered."""
    websocket._socket.settimeout(DELIVERED_SECONDS)
    websocket.send('427["join",{"label":"kitchen"}]')
    try:
        while not websocket.receive().startswith("437"):
            pass
    except (Closed, TimeoutError):
        return False
    return True


def test_a_session_receives_after_an_upgrade_at_any_moment_of_the_service_task(tmp_path: Path) -> None:
    with short_pings(tmp_path) as server, ExitStack() as stack:
        server.room("kitchen")
        sessions = [UpgradedByHand(server) for _ in range(20)]
        websockets = []
        for session in reversed(sessions):  # the task visits the oldest first
            time.sleep(0.15)  # so that the upgrades are spread over more than a round of the task, which takes 2 s
            websockets.append(stack.enter_context(session.upgrade()))
        time.sleep(2.5)  # until the task has visited all of them once more

        silent = [websocket for websocket in websockets if not receives(websocket)]

        assert len(silent) == 0, f"{len(silent)} of 20 sessions stopped receiving"


def test_requests_that_are_pending_when_the_upgrade_completes_are_answered(tmp_path: Path) -> None:
    with short_pings(tmp_path) as server, ExitStack() as stack:
        server.room("kitchen")
        session = UpgradedByHand(server)
        pending = [HTTPConnection(urlsplit(server.url).netloc, timeout=DELIVERED_SECONDS) for _ in range(3)]
        for connection in pending:
            stack.callback(connection.close)
            connection.request("GET", session.polling.path)
        server.page("/healthz")  # answered after those before it have begun to wait

        websocket = stack.enter_context(session.upgrade())

        assert [connection.getresponse().status for connection in pending] == [200] * 3
        assert receives(websocket)


def test_a_connection_that_engine_io_has_lost_closes_so_that_its_client_reconnects(tmp_path: Path) -> None:
    with short_pings(tmp_path) as server, NodeClients() as clients:
        server.room("kitchen")
        clients.connect(server.url, "kitchen", 4)
        until(lambda: all(client.joined and client.transport == "websocket" for client in clients.report()))

        assert server.page("/lose/sessions") == "4"

        until(lambda: all(client.joined and client.connects == 2 for client in clients.report()))
        assert stopped_receiving(server, clients) == []
        assert {tuple(client.disconnects) for client in clients.report()} == {("transport close",)}
