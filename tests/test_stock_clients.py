"""Stock Socket.IO clients with default options (polling, then upgrade) receive for as long as they are connected."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.clients import Closed, Polling, Stranger, WebSocket
from tests.servers import ConfabServer, _serving, gunicorn, wait_until
from tests.services import Redis
from tests.stock_clients import CLIENTS, ClientState, StockClients

pytestmark = pytest.mark.servers

DELIVERED_SECONDS = 3.5
GRACEFUL_TIMEOUT_SECONDS = 8  # in gunicorn.conf.py; then gunicorn cuts what is still connected

FULL = bool(
    os.environ.get("STOCK_CLIENTS")
)  # how many fresh servers are tried in the long form, such as 5
SERVERS = int(os.environ.get("STOCK_CLIENTS") or 1)
ARRIVE_SECONDS = 20 if FULL else 3  # for those who do not connect at once
SERVICE_SECONDS = (
    18 if FULL else 2.5
)  # Engine.IO's service task visits every session within the ping timeout
CROWDS = [("socket.io-client", 1, 65)]
if FULL:
    CROWDS = [(library, workers, 65) for library in CLIENTS for workers in (1, 2)]

Kind = tuple[str, list[str] | None]  # a library, and its transports; None is its default


@contextmanager
def short_pings(folder: Path, **environment: str) -> Iterator[ConfabServer]:
    """gunicorn with a ping timeout of 2 s."""
    words = [
        sys.executable,
        "-m",
        "gunicorn",
        "-k",
        "eventlet",
        "-w",
        "1",
        "tests.short_pings:app",
        "-b",
    ]
    with _serving(
        ConfabServer(folder, lambda port: [*words, f"127.0.0.1:{port}"], **environment)
    ) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    """gunicorn with a ping timeout of 2 s, for all tests that only connect to it."""
    with short_pings(tmp_path_factory.mktemp("server")) as started:
        started.room("kitchen")
        yield started


def post(server: ConfabServer, message: str) -> None:
    """Ada posts a message over a connection of her own."""
    with Stranger(server.url) as ada:
        assert ada.ask("join", {"label": "kitchen"})["ok"]
        assert ada.ask("chat", {"handle": "Ada", "message": message})["ok"]


def stopped_receiving(server: ConfabServer, *processes: StockClients) -> list[ClientState]:
    """The clients that do not receive a new message, or no answer to a request, within 3.5 s."""
    message = f"probe {time.monotonic()}"
    answers = [client.answers for clients in processes for client in clients.report()]
    post(server, message)

    def silent() -> list[ClientState]:
        states = [client for clients in processes for client in clients.report()]
        return [
            client
            for client, before in zip(states, answers, strict=True)
            if message not in client.messages or client.answers == before
        ]

    give_up = time.monotonic() + DELIVERED_SECONDS
    while silent() and time.monotonic() < give_up:
        for clients in processes:
            clients.probe()
        time.sleep(0.5)
    return silent()


class UpgradedByHand:
    """A polling session that upgrades when it is told to."""

    def __init__(self, server: ConfabServer) -> None:
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


def test_a_session_receives_after_an_upgrade_at_any_moment_of_the_service_task(
    server: ConfabServer,
) -> None:
    sessions = [UpgradedByHand(server) for _ in range(20)]
    with ExitStack() as stack:
        websockets = []
        for session in reversed(sessions):  # the task visits the oldest first
            time.sleep(
                0.15
            )  # so that the upgrades are spread over more than a round of the task, which takes 2 s
            websockets.append(stack.enter_context(session.upgrade()))
        time.sleep(2.5)  # until the task has visited all of them once more

        silent = [websocket for websocket in websockets if not receives(websocket)]

        assert len(silent) == 0, f"{len(silent)} of 20 sessions stopped receiving"


def test_requests_that_are_pending_when_the_upgrade_completes_are_answered(
    server: ConfabServer,
) -> None:
    session = UpgradedByHand(server)
    with ExitStack() as stack:
        pending = [
            HTTPConnection(urlsplit(server.url).netloc, timeout=DELIVERED_SECONDS) for _ in range(3)
        ]
        for connection in pending:
            stack.callback(connection.close)
            connection.request("GET", session.polling.path)
        server.page("/healthz")  # answered after those before it have begun to wait

        websocket = stack.enter_context(session.upgrade())

        assert [connection.getresponse().status for connection in pending] == [200] * 3
        assert receives(websocket)


def test_a_body_that_is_still_read_when_the_upgrade_completes_is_stored_and_answered(
    server: ConfabServer,
) -> None:
    label = server.room("pantry")
    posts = [f'42{number}["chat",{{"handle":"Ada","message":"{number}"}}]' for number in range(500)]
    body = "\x1e".join([f'42["join",{{"label":"{label}"}}]', *posts])
    session = UpgradedByHand(server)
    with ThreadPoolExecutor(1) as thread:
        sent = thread.submit(session.polling.request, "POST", body)
        wait_until(lambda: server.head(label) > 0)

        with session.upgrade() as websocket:
            assert not sent.done()
            answered = set[str]()
            while "43499" not in answered:
                answered.add(websocket.receive().partition("[")[0])

        assert answered >= {f"43{number}" for number in range(500)}
        assert sent.result() == (200, "OK")
        assert server.head(label) == 500


@pytest.mark.parametrize("engine", ["on", "off"])
def test_a_connection_that_engine_io_has_lost_closes_so_that_its_client_reconnects(
    tmp_path: Path, engine: str
) -> None:
    with short_pings(tmp_path, ENGINE=engine) as server, StockClients() as clients:
        server.room("kitchen")
        clients.connect(server.url, "kitchen", 4)
        wait_until(lambda: clients.have_joined("websocket"))

        assert server.page("/lose/sessions") == "4"
        clients.probe()  # with the engine off, a connection notices when its client sends something, such as a pong

        wait_until(lambda: clients.have_joined("websocket", connects=2))
        assert stopped_receiving(server, clients) == []
        assert {tuple(client.disconnects) for client in clients.report()} == {("transport close",)}


@pytest.mark.parametrize("library", ["socket.io-client", "python-socketio"])
def test_stock_clients_reconnect_when_a_gevent_worker_is_replaced(
    tmp_path: Path, library: str
) -> None:
    words = [sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", "1", "app:app", "-b"]
    gevent_server = ConfabServer(tmp_path, lambda port: [*words, f"127.0.0.1:{port}"])
    with _serving(gevent_server) as server, StockClients(library) as clients:
        server.room("kitchen")
        clients.connect(server.url, "kitchen", 4)
        wait_until(lambda: clients.have_joined("websocket"))

        restarted_at = time.monotonic()
        os.kill(server.processes()[0], signal.SIGHUP)

        wait_until(lambda: clients.have_joined("websocket", connects=2), 20)
        assert time.monotonic() - restarted_at < GRACEFUL_TIMEOUT_SECONDS
        assert stopped_receiving(server, clients) == []


@pytest.mark.parametrize("engine", ["on", "off"])
def test_a_stopping_worker_closes_transports_and_not_sessions(tmp_path: Path, engine: str) -> None:
    with gunicorn(tmp_path, ENGINE=engine) as server, ExitStack() as stack:
        server.room("kitchen")
        websockets = [
            stack.enter_context(Stranger(server.url)),
            stack.enter_context(UpgradedByHand(server).upgrade()),
        ]
        assert all(receives(websocket) for websocket in websockets)
        waiting, idle = Polling(server.url), Polling(server.url)
        pending = stack.enter_context(ThreadPoolExecutor(1)).submit(waiting.request, "GET")
        server.page("/healthz")  # answered after the request before it has begun to wait

        os.kill(server.processes()[0], signal.SIGHUP)

        for websocket in websockets:
            assert packets_until_closed(websocket) == ([], 1001)
        assert pending.result()[0] == 400
        wait_until(lambda: idle.request("POST", "3")[0] == 400)
        assert idle.request("GET")[0] == 400


def packets_until_closed(websocket: WebSocket) -> tuple[list[str], int | None]:
    """The Engine.IO packets other than messages and pings until the server closes, and the code it closes with."""
    packets = []
    while True:
        try:
            packets.append(websocket.receive())
        except Closed as closed:
            return [packet for packet in packets if packet[:1] not in "24"], closed.code


def worker_ids(server: ConfabServer) -> list[int]:
    """The process ids of gunicorn's workers."""
    return server.processes()[1:]


def replace_the_workers(server: ConfabServer) -> None:
    """Send HUP to gunicorn, and wait until every worker is a new one."""
    old = set(worker_ids(server))
    os.kill(server.processes()[0], signal.SIGHUP)
    wait_until(
        lambda: len(worker_ids(server)) == len(old) and not old & set(worker_ids(server)), 30
    )


def end_one_worker(server: ConfabServer) -> None:
    """Send TERM to the oldest worker, and wait until gunicorn has started another in its place."""
    old = worker_ids(server)
    os.kill(old[0], signal.SIGTERM)
    wait_until(lambda: len(worker_ids(server)) == len(old) and old[0] not in worker_ids(server), 30)


@contextmanager
def four_clients_of_each(url: str, *kinds: Kind) -> Iterator[list[StockClients]]:
    """Four clients of each kind, joined and caught up."""
    with ExitStack() as stack:
        processes = []
        for library, transports in kinds:
            clients = stack.enter_context(StockClients(library))
            clients.connect(url, "kitchen", 4, transports=transports)
            processes.append(clients)
        wait_until_joined(kinds, processes)
        yield processes


def wait_until_joined(
    kinds: Sequence[Kind], processes: list[StockClients], connects: int = 1
) -> None:
    """Wait until every client has connected so often, uses its last transport, and has caught up."""

    def missing() -> list[Kind]:
        return [
            (library, transports)
            for (library, transports), clients in zip(kinds, processes, strict=True)
            if not clients.have_joined(
                transports[-1] if transports else "websocket", connects=connects
            )
        ]

    with suppress(AssertionError):
        wait_until(lambda: not missing(), 30)
    assert missing() == []


@pytest.mark.parametrize("engine", ["on", "off"])
def test_clients_reconnect_when_the_only_worker_is_replaced(tmp_path: Path, engine: str) -> None:
    kinds = [(library, transports) for library in CLIENTS for transports in (None, ["polling"])]
    with gunicorn(tmp_path, ENGINE=engine) as server:
        server.room("kitchen")
        with four_clients_of_each(server.url, *kinds) as processes:
            replace_the_workers(server)
            post(server, "while they were away")

            wait_until_joined(kinds, processes, connects=2)
            assert stopped_receiving(server, *processes) == []
            assert all(
                "while they were away" in client.messages
                for each in processes
                for client in each.report()
            )


@pytest.mark.parametrize("engine", ["on", "off"])
def test_clients_reconnect_when_one_of_two_workers_is_ended(tmp_path: Path, engine: str) -> None:
    kinds = [(library, ["websocket"]) for library in CLIENTS]
    with gunicorn(tmp_path, 2, ENGINE=engine) as server:
        server.room("kitchen")
        with four_clients_of_each(server.url, *kinds) as processes:
            end_one_worker(server)
            end_one_worker(server)  # now everybody has lost a connection
            post(server, "while they were away")

            wait_until_joined(kinds, processes, connects=2)
            assert stopped_receiving(server, *processes) == []
            assert all(
                "while they were away" in client.messages
                for each in processes
                for client in each.report()
            )


@pytest.mark.timeout(240 * SERVERS)
@pytest.mark.parametrize(("library", "workers", "count"), CROWDS)
def test_every_stock_client_receives_after_connecting_and_after_a_restart(
    tmp_path: Path, redis_server: Redis, library: str, workers: int, count: int
) -> None:
    silent = 0
    for number in range(SERVERS):
        with (
            crowd_server(tmp_path / str(number), workers, redis_server) as server,
            StockClients(library) as clients,
        ):
            silent += silent_clients(server, clients, count, ["websocket"] if workers > 1 else None)

    sys.stdout.write(
        f"{silent} of {count * SERVERS} clients of {library} on {workers} workers stopped receiving\n"
    )
    assert silent == 0


def silent_clients(
    server: ConfabServer, clients: StockClients, count: int, transports: list[str] | None
) -> int:
    """How many of so many clients stop receiving after they have connected, and after the workers were replaced."""
    server.room("kitchen")
    at_once = count * 40 // 65
    clients.connect(server.url, "kitchen", at_once, transports=transports)
    clients.connect(server.url, "kitchen", count - at_once, ARRIVE_SECONDS, transports=transports)
    wait_until(lambda: clients.have_joined("websocket"), 30 + ARRIVE_SECONDS)
    time.sleep(SERVICE_SECONDS)
    connected = stopped_receiving(server, clients)

    replace_the_workers(server)
    wait_until(lambda: clients.have_joined("websocket", connects=2), 30)
    time.sleep(SERVICE_SECONDS)
    return len(connected) + len(stopped_receiving(server, clients))


def crowd_server(
    folder: Path, workers: int, redis_server: Redis
) -> AbstractContextManager[ConfabServer]:
    """A fresh server: in full with the default ping timeout, else with a short one."""
    if FULL or workers > 1:
        return gunicorn(folder, workers, REDIS_URL=redis_server.url)
    return short_pings(folder)
