"""Stock Socket.IO clients with default options (polling, then upgrade) receive while connected."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.clients import PATIENCE_SECONDS, Closed, Polling, Stranger, WebSocket
from tests.servers import ConfabServer, _serving, gunicorn, wait_until
from tests.services import Redis
from tests.stock_clients import CLIENTS, ClientState, StockClients

pytestmark = pytest.mark.servers

DELIVERY_SECONDS = 3.5
PROBE_INTERVAL_SECONDS = 0.5
# python-socketio waits 25 s for a poll that was under way, and then for its back-off.
RECONNECT_SECONDS = 60
GRACEFUL_TIMEOUT_SECONDS = 8  # in gunicorn.conf.py; then gunicorn cuts what is still connected

# STOCK_CLIENTS=5 before pytest chooses the long form of one test, with five fresh servers.
IS_LONG_FORM = bool(os.environ.get("STOCK_CLIENTS"))
FRESH_SERVERS = int(os.environ.get("STOCK_CLIENTS") or 1)

# Most clients connect at once, the others during this time.
ARRIVAL_SECONDS = 20 if IS_LONG_FORM else 3

# Engine.IO's service task visits every session within the ping timeout: 15 s, or 2 s.
SERVICE_TASK_SECONDS = 18 if IS_LONG_FORM else 2.5

CLIENT_COUNT = 65
IMMEDIATE_CLIENT_COUNT = 40
LIBRARIES_AND_WORKERS = [("socket.io-client", 1)]
if IS_LONG_FORM:
    LIBRARIES_AND_WORKERS = [(library, workers) for library in CLIENTS for workers in (1, 2)]

EACH_ENGINE = pytest.mark.parametrize("engine", ["on", "off"])


@dataclass(frozen=True)
class Kind:
    """A library and the transports it uses; None is its default, polling and then upgrade."""

    library: str
    transports: list[str] | None

    @property
    def last_transport(self) -> str:
        """The transport it uses in the end."""
        if self.transports is None:
            return "websocket"
        return self.transports[-1]


class ManualUpgrade:
    """A polling session that upgrades to WebSocket when `upgrade` is called."""

    def __init__(self, server: ConfabServer) -> None:
        self.polling = Polling(server.url)
        self._url = server.url

    def upgrade(self) -> WebSocket:
        """Upgrade the session; return its WebSocket."""
        websocket = WebSocket(self._url, self.polling.path.replace("polling", "websocket"))
        websocket.send("2probe")
        assert websocket.receive() == "3probe"
        websocket.send("5")
        return websocket


def short_pings(folder: Path, **environment: str) -> AbstractContextManager[ConfabServer]:
    """Run gunicorn with one worker and a ping timeout of 2 s."""
    return gunicorn(folder, 1, "tests.short_pings:app", **environment)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    """A server with short pings that the tests share; they do not restart it."""
    with short_pings(tmp_path_factory.mktemp("server")) as started:
        started.room("kitchen")
        yield started


def post(server: ConfabServer, message: str) -> None:
    """Post a message over a new connection."""
    with Stranger(server.url) as ada:
        assert ada.ask("join", {"label": "kitchen"})["ok"]
        assert ada.ask("chat", {"handle": "Ada", "message": message})["ok"]


def states_of(processes: Sequence[StockClients]) -> list[ClientState]:
    return [client for clients in processes for client in clients.report()]


def silent_clients(server: ConfabServer, *processes: StockClients) -> list[ClientState]:
    """Return the clients that do not receive a new message, or no answer, within 3.5 s."""
    message = f"probe {time.monotonic()}"
    answers_before = [client.answers for client in states_of(processes)]
    post(server, message)

    def still_silent() -> list[ClientState]:
        return [
            client
            for client, before in zip(states_of(processes), answers_before, strict=True)
            if message not in client.messages or client.answers == before
        ]

    give_up = time.monotonic() + DELIVERY_SECONDS
    while still_silent() and time.monotonic() < give_up:
        for clients in processes:
            clients.probe()
        time.sleep(PROBE_INTERVAL_SECONDS)
    return still_silent()


def is_answered(websocket: WebSocket) -> bool:
    """Return whether a request over a WebSocket is answered within 3.5 s."""
    websocket._socket.settimeout(DELIVERY_SECONDS)
    websocket.send('427["join",{"label":"kitchen"}]')
    try:
        while not websocket.receive().startswith("437"):
            pass
    except (Closed, TimeoutError):
        return False
    return True


def worker_ids(server: ConfabServer) -> list[int]:
    """Return the process ids of gunicorn's workers."""
    return server.processes()[1:]


def replace_workers(server: ConfabServer) -> None:
    """Send SIGHUP to gunicorn, and wait until every worker is a new one."""
    old = set(worker_ids(server))
    os.kill(server.processes()[0], signal.SIGHUP)

    def all_are_new() -> bool:
        new = worker_ids(server)
        return len(new) == len(old) and old.isdisjoint(new)

    wait_until(all_are_new, RECONNECT_SECONDS)


def replace_one_worker(server: ConfabServer) -> None:
    """Send SIGTERM to the oldest worker, and wait until gunicorn has started another one."""
    old = worker_ids(server)
    os.kill(old[0], signal.SIGTERM)

    def one_is_new() -> bool:
        new = worker_ids(server)
        return len(new) == len(old) and old[0] not in new

    wait_until(one_is_new, RECONNECT_SECONDS)


# The upgrade from polling to WebSocket


def test_a_session_receives_after_an_upgrade_at_any_moment_of_the_service_task(
    server: ConfabServer,
) -> None:
    sessions = [ManualUpgrade(server) for _ in range(20)]
    with ExitStack() as stack:
        websockets = []
        for session in reversed(sessions):  # the task visits the oldest first
            # 20 upgrades are spread over 3 s; a round of the task takes 2 s.
            time.sleep(0.15)
            websockets.append(stack.enter_context(session.upgrade()))
        time.sleep(2.5)  # until the task has visited all of them once more

        silent = [websocket for websocket in websockets if not is_answered(websocket)]

        assert len(silent) == 0, f"{len(silent)} of 20 sessions stopped receiving"


def test_pending_requests_are_answered_when_the_upgrade_completes(server: ConfabServer) -> None:
    host = urlsplit(server.url).netloc
    session = ManualUpgrade(server)
    with ExitStack() as stack:
        pending = [HTTPConnection(host, timeout=DELIVERY_SECONDS) for _ in range(3)]
        for connection in pending:
            stack.callback(connection.close)
            connection.request("GET", session.polling.path)
        server.page("/healthz")  # answered after those before it have begun to wait

        websocket = stack.enter_context(session.upgrade())

        assert [connection.getresponse().status for connection in pending] == [200] * 3
        assert is_answered(websocket)


def test_a_request_body_is_stored_and_answered_although_the_upgrade_completes_meanwhile(
    server: ConfabServer,
) -> None:
    label = server.room("pantry")
    packets = [f'42["join",{json.dumps({"label": label})}]']
    for number in range(500):
        payload = json.dumps({"handle": "Ada", "message": str(number)})
        packets.append(f'42{number}["chat",{payload}]')
    session = ManualUpgrade(server)
    with ThreadPoolExecutor(1) as thread:
        sent = thread.submit(session.polling.request, "POST", "\x1e".join(packets))
        wait_until(lambda: server.head(label) > 0)

        with session.upgrade() as websocket:
            assert not sent.done()
            answered: set[str] = set()
            while "43499" not in answered:
                answered.add(websocket.receive().partition("[")[0])

        assert answered >= {f"43{number}" for number in range(500)}
        assert sent.result() == (200, "OK")
        assert server.head(label) == 500


# Lost sessions and stopping workers


@EACH_ENGINE
def test_a_connection_without_a_session_closes_so_that_its_client_reconnects(
    tmp_path: Path, engine: str
) -> None:
    with short_pings(tmp_path, ENGINE=engine) as server, StockClients() as clients:
        server.room("kitchen")
        clients.connect(server.url, "kitchen", 4)
        wait_until(lambda: clients.have_joined("websocket"))

        assert server.page("/lose/sessions") == "4"
        # With the engine off, a connection closes when its client sends something, such as a pong.
        clients.probe()

        wait_until(lambda: clients.have_joined("websocket", connects=2))
        assert silent_clients(server, clients) == []
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

        # gunicorn would cut what is still connected at the end of its timeout.
        wait_until(lambda: all(client.disconnects for client in clients.report()), 20)
        assert time.monotonic() - restarted_at < GRACEFUL_TIMEOUT_SECONDS
        wait_until(lambda: clients.have_joined("websocket", connects=2), RECONNECT_SECONDS)
        assert silent_clients(server, clients) == []


@EACH_ENGINE
def test_a_stopping_worker_closes_connections_without_ending_sessions(
    tmp_path: Path, engine: str
) -> None:
    with gunicorn(tmp_path, ENGINE=engine) as server, ExitStack() as stack:
        server.room("kitchen")
        websockets = [
            stack.enter_context(Stranger(server.url)),
            stack.enter_context(ManualUpgrade(server).upgrade()),
        ]
        assert all(is_answered(websocket) for websocket in websockets)
        waiting = Polling(server.url)
        idle = Polling(server.url)
        pending = stack.enter_context(ThreadPoolExecutor(1)).submit(waiting.request, "GET")
        server.page("/healthz")  # answered after the request before it has begun to wait

        os.kill(server.processes()[0], signal.SIGHUP)

        # No close packet of Engine.IO, which would end the session.
        for websocket in websockets:
            assert packets_until_closed(websocket) == ([], 1001)
        assert pending.result()[0] == 400
        wait_until(lambda: idle.request("POST", "3")[0] == 400)
        assert idle.request("GET")[0] == 400


def packets_until_closed(websocket: WebSocket) -> tuple[list[str], int | None]:
    """Read until the server closes; return the packets except pings and messages, and the code."""
    packets: list[str] = []
    websocket.set_timeout(PATIENCE_SECONDS)
    while True:
        try:
            packet = websocket.receive()
        except Closed as closed:
            return packets, closed.code
        if packet[:1] not in "24":
            packets.append(packet)


# Reconnecting to new workers


@contextmanager
def four_clients_of_each(url: str, kinds: Sequence[Kind]) -> Iterator[list[StockClients]]:
    """Run four clients of each kind that have joined and caught up."""
    with ExitStack() as stack:
        processes = []
        for kind in kinds:
            clients = stack.enter_context(StockClients(kind.library))
            clients.connect(url, "kitchen", 4, transports=kind.transports)
            processes.append(clients)
        wait_until_joined(kinds, processes)
        yield processes


def wait_until_joined(
    kinds: Sequence[Kind], processes: list[StockClients], connects: int = 1
) -> None:
    """Wait until every client has connected so many times, over its last transport, and joined."""

    def missing() -> list[Kind]:
        return [
            kind
            for kind, clients in zip(kinds, processes, strict=True)
            if not clients.have_joined(kind.last_transport, connects=connects)
        ]

    # The second assertion names the kinds that are missing.
    with suppress(AssertionError):
        wait_until(lambda: not missing(), RECONNECT_SECONDS)
    assert missing() == []


@EACH_ENGINE
def test_clients_reconnect_when_the_only_worker_is_replaced(tmp_path: Path, engine: str) -> None:
    kinds = [Kind(library, transports) for library in CLIENTS for transports in (None, ["polling"])]
    with gunicorn(tmp_path, ENGINE=engine) as server:
        server.room("kitchen")
        with four_clients_of_each(server.url, kinds) as processes:
            replace_workers(server)
            post(server, "while they were away")

            wait_until_joined(kinds, processes, connects=2)
            assert silent_clients(server, *processes) == []
            for client in states_of(processes):
                assert "while they were away" in client.messages


@EACH_ENGINE
def test_clients_reconnect_when_two_workers_are_replaced_one_after_the_other(
    tmp_path: Path, engine: str
) -> None:
    kinds = [Kind(library, ["websocket"]) for library in CLIENTS]
    with gunicorn(tmp_path, 2, ENGINE=engine) as server:
        server.room("kitchen")
        with four_clients_of_each(server.url, kinds) as processes:
            # After the second, every client has lost a connection.
            replace_one_worker(server)
            replace_one_worker(server)
            post(server, "while they were away")

            wait_until_joined(kinds, processes, connects=2)
            assert silent_clients(server, *processes) == []
            for client in states_of(processes):
                assert "while they were away" in client.messages


@pytest.mark.timeout(240 * FRESH_SERVERS)
@pytest.mark.parametrize(("library", "workers"), LIBRARIES_AND_WORKERS)
def test_every_stock_client_receives_after_connecting_and_after_a_restart(
    tmp_path: Path, redis_server: Redis, library: str, workers: int
) -> None:
    silent = 0
    for number in range(FRESH_SERVERS):
        folder = tmp_path / str(number)
        with (
            fresh_server(folder, workers, redis_server) as server,
            StockClients(library) as clients,
        ):
            # Several workers offer no polling.
            transports = ["websocket"] if workers > 1 else None
            silent += count_silent_clients(server, clients, transports)

    total = CLIENT_COUNT * FRESH_SERVERS
    sys.stdout.write(
        f"{silent} of {total} clients of {library} on {workers} workers stopped receiving\n"
    )
    assert silent == 0


def fresh_server(
    folder: Path, workers: int, redis_server: Redis
) -> AbstractContextManager[ConfabServer]:
    """Return a server with the default ping timeout in the long form, otherwise a short one."""
    if IS_LONG_FORM or workers > 1:
        return gunicorn(folder, workers, REDIS_URL=redis_server.url)
    return short_pings(folder)


def count_silent_clients(
    server: ConfabServer, clients: StockClients, transports: list[str] | None
) -> int:
    """Return how many clients stop receiving after they connect, and after workers are replaced."""
    server.room("kitchen")
    later_client_count = CLIENT_COUNT - IMMEDIATE_CLIENT_COUNT
    clients.connect(server.url, "kitchen", IMMEDIATE_CLIENT_COUNT, transports=transports)
    clients.connect(
        server.url, "kitchen", later_client_count, ARRIVAL_SECONDS, transports=transports
    )
    wait_until(lambda: clients.have_joined("websocket"), RECONNECT_SECONDS + ARRIVAL_SECONDS)
    time.sleep(SERVICE_TASK_SECONDS)
    silent_at_first = silent_clients(server, clients)

    replace_workers(server)
    wait_until(lambda: clients.have_joined("websocket", connects=2), RECONNECT_SECONDS)
    time.sleep(SERVICE_TASK_SECONDS)
    silent_after_restart = silent_clients(server, clients)
    return len(silent_at_first) + len(silent_after_restart)
