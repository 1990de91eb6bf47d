"""Polling and upgrades on several workers: whichever of them accepts a request, it is answered."""

import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from itertools import chain
from math import inf
from pathlib import Path

import pytest

from chat.engine.session_router import HANDOVER_SECONDS
from chat.engine.worker import DRAIN_SECONDS
from tests.clients import POLLING, UPGRADE, WEBSOCKET, Node
from tests.raw_http import Connection, TlsConnection, head, request, status
from tests.servers import INODE_COLUMN as TCP_INODE_COLUMN
from tests.servers import ConfabServer, _serving, gunicorn, wait_until, waited_for_cpu
from tests.services import Redis
from tests.stock_clients import StockClients

WORKERS = 3
CONNECT_SECONDS = 3.0
POLLING_PATH = "/socket.io/?EIO=4&transport=polling"
SID = re.compile(r'"sid":"([A-Za-z0-9]{1,6}-{1,6}[0-9a-z]{3}[A-Za-z0-9_-]{20})"')
NODE_NAME = "ada1"
SMALL_RECEIVE_BUFFER_BYTES = 4096
LARGE_ANSWERS = 8
"""So many pages of long messages fill all buffers between two workers and a client."""

# The limits in gunicorn.conf.py.
MAX_HEADERS = 64
MAX_HEADER_BYTES = 8190

PAIRS = 30
"""So many random moments are never all in one half of a period."""

# A handshake of WebSocket without its request line.
UPGRADE_HEADERS = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec_WebSocket_Version": "13",
}
PROBE = b"\x81\x86\x00\x00\x00\x002probe"
PROBE_ANSWER = b"\x81\x063probe"
UPGRADE_PACKET = b"\x81\x81\x00\x00\x00\x005"
GOING_AWAY = b"\x88\x02\x03\xe9"
JOIN = b'420["join",{"label":"kitchen"}]'
JOINED = b'430[{"ok":true'

# /proc/net/unix, see proc_pid_net(5)
FLAGS_COLUMN = 3
INODE_COLUMN = 6
LISTENING = "00010000"

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


def several_workers(
    folder: Path, arguments: str = "", workers: int = WORKERS, **environment: str
) -> AbstractContextManager[ConfabServer]:
    """Return a server whose connections may be idle for as long as a test needs."""
    all_arguments = f"--keep-alive=60 --access-logfile=- {arguments}"
    return gunicorn(
        folder, workers, NODE_NAME=NODE_NAME, GUNICORN_CMD_ARGS=all_arguments, **environment
    )


@pytest.fixture(scope="module", params=["on", "off"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConfabServer]:
    """A server with several workers, with our engine and without."""
    folder = tmp_path_factory.mktemp("server")
    with several_workers(folder, ENGINE=request.param) as started:
        started.room("kitchen")
        yield started


class Session:
    """A polling session; `connection` is the one with which it was opened, at its own worker."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        found = SID.search(self.connection.response().decode())
        assert found
        self.sid = found[1]
        self.worker = self.sid[7:10]
        self.path = f"{POLLING_PATH}&sid={self.sid}"

    def connect(self) -> None:
        """Connect to Socket.IO."""
        assert status(self.post(self.connection, b"40")) == 200
        assert b"40{" in self.get(self.connection)

    def get(self, connection: Connection) -> bytes:
        """Return the answer to a poll on a connection."""
        connection.send(head("GET", self.path))
        return connection.response()

    def post(self, connection: Connection, body: bytes) -> bytes:
        """Return the answer to packets that are sent on a connection."""
        connection.send(request("POST", self.path, body))
        return connection.response()

    def request_upgrade(self, connection: Connection, **headers: str) -> None:
        """Send the handshake of an upgrade on a connection."""
        path = self.path.replace("polling", "websocket")
        connection.send(head("GET", path, **UPGRADE_HEADERS, **headers))


@contextmanager
def session_and_other_worker(server: ConfabServer) -> Iterator[tuple[Session, Session]]:
    """Open two sessions on two different workers; both are connected to Socket.IO."""
    with ExitStack() as stack:
        by_worker: dict[str, Session] = {}
        while len(by_worker) < 2:
            # At once, so that not all are accepted by the worker that is the first to wake up.
            connections = [stack.enter_context(Connection(server)) for _ in range(10)]
            for connection in connections:
                connection.send(head("GET", POLLING_PATH))
            sessions = [Session(connection) for connection in connections]
            by_worker |= {session.worker: session for session in sessions}
        first, other = list(by_worker.values())[:2]
        first.connect()
        other.connect()
        yield first, other


def listening_sockets() -> list[tuple[Path, str]]:
    """Return the paths of the Unix sockets at which workers listen, and their inodes."""
    found = re.findall(
        rf"{LISTENING} \d+ \d+ +(\d+) (/.*/confab-[^/]*/...)$",
        Path("/proc/net/unix").read_text(),
        re.MULTILINE,
    )
    return [(Path(path), inode) for inode, path in found]


def holds_connection(pid: int, port: int, connection: Connection) -> bool:
    """Return whether a process has the server's end of a connection to a port of this machine."""
    ends = (f":{port:04X}", f":{connection.client_port():04X}")
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[TCP_INODE_COLUMN] for row in rows if (row[1][-5:], row[2][-5:]) == ends}
    return not inodes.isdisjoint(inodes_of(pid))


def inodes_of(pid: int) -> set[str]:
    """Return the inodes of the sockets of a process."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has been closed meanwhile
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
    return inodes


def worker_pid(server: ConfabServer, session: Session) -> int:
    """Return the process of a session's worker: the one that listens at its Unix socket."""
    listening = {inode for path, inode in listening_sockets() if path.name == session.worker}
    for pid in server.processes()[1:]:
        if listening & inodes_of(pid):
            return pid
    raise AssertionError(f"no worker listens for {session.sid}")


def test_a_session_id_names_its_host_and_its_worker(server: ConfabServer) -> None:
    with session_and_other_worker(server) as (first, other):
        assert first.sid.startswith(f"{NODE_NAME}---0")
        assert other.sid.startswith(f"{NODE_NAME}---0")
        assert len(first.sid) == 30


def test_another_worker_forwards_polls_and_packets_and_their_answers(server: ConfabServer) -> None:
    with session_and_other_worker(server) as (first, other):
        assert status(first.post(other.connection, JOIN)) == 200
        answer = first.get(other.connection)

        assert JOINED in answer
        # The connection to the other worker is still that of its own session too.
        assert status(other.post(other.connection, JOIN)) == 200
        assert JOINED in other.get(other.connection)


def test_another_worker_forwards_requests_that_offer_an_upgrade_to_another_protocol(
    server: ConfabServer,
) -> None:
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": ""}
    with session_and_other_worker(server) as (first, other):
        length = str(len(JOIN))
        other.connection.send(request("POST", first.path, JOIN, Content_Length=length, **offer))
        assert status(other.connection.response()) == 200
        other.connection.send(head("GET", first.path, **offer))
        assert JOINED in other.connection.response()

        assert status(other.post(other.connection, b"3")) == 200, "the connection stays open"


@pytest.mark.parametrize("transports", [POLLING, UPGRADE, WEBSOCKET], ids=str)
def test_clients_of_every_transport_receive_all_messages_in_order(
    server: ConfabServer, transports: tuple[str, ...]
) -> None:
    label = server.room("-".join(transports))
    sent = [f"number {number}" for number in range(20)]
    with Node() as node:
        people = [node.person(server.url, transports) for _ in range(8)]
        for person in people:
            person.join(label)
        for text in sent:
            people[0].post(text)

        for person in people:
            assert [message["message"] for message in person.hear(len(sent))] == sent
            assert "disconnect" not in [state for state, _ in person.states]
            if transports == UPGRADE:
                assert person.wait_until("upgrade") == "websocket"


def test_a_connection_that_was_handed_over_is_served_by_its_own_worker(
    server: ConfabServer,
) -> None:
    with session_and_other_worker(server) as (first, other):
        owner = worker_pid(server, first)
        receiver = worker_pid(server, other)
        earlier_channels = channels_to(first)

        first.request_upgrade(other.connection)
        assert status(other.connection.receive()) == 101
        other.connection.send(PROBE)
        assert other.connection.receive() == PROBE_ANSWER
        other.connection.send(UPGRADE_PACKET)

        # The worker that has handed it over has nothing of it left.
        connection = other.connection
        wait_until(lambda: not holds_connection(receiver, server.port, connection))
        assert holds_connection(owner, server.port, connection)
        wait_until(lambda: channels_to(first) <= earlier_channels, what="the channel is closed")


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize(
    "sid",
    [
        "ben2---000" + "A" * 20,  # of another host
        "ada1---0zz" + "A" * 20,  # of a worker that does not exist
        "ada1---z00" + "A" * 20,  # of a master that does not exist
        "ada1---000" + "A" * 20,  # of a worker that has no such session
        "ada1---000" + "A" * 19,
        "ada1---000" + "A" * 21,
        "ada1---000",
        "A" * 20,
        "A" * 3000,
        "ada1---../" + "A" * 20,
        "..%2F..%2F..%2Fetc%2Fpasswd",
        "ada1---0%00" + "A" * 20,
        "%C3%A4da1---000" + "A" * 20,
    ],
)
def test_a_forged_session_id_is_refused_at_once(
    server: ConfabServer, sid: str, transport: str
) -> None:
    path = f"/socket.io/?EIO=4&transport={transport}&sid={sid}"
    headers = UPGRADE_HEADERS if transport == "websocket" else {}
    for _ in range(2 * WORKERS):
        started = time.monotonic()
        with Connection(server) as connection:
            connection.send(head("GET", path, **headers))
            answer = connection.response()
        took = time.monotonic() - started

        assert status(answer) == 400
        assert took < 5


def test_a_forwarded_body_has_the_same_limit(server: ConfabServer) -> None:
    with session_and_other_worker(server) as (first, other):
        long_name = b'420["join",{"label":"kitchen","x":"' + b"x" * 32_000 + b'"}]'
        assert status(first.post(other.connection, long_name)) == 200
        assert b'430[{"ok":false,"code":"bad_request"' in first.get(other.connection)

        assert status(first.post(other.connection, b"4" * 40_000)) == 413


def test_a_request_with_the_largest_headers_is_forwarded(server: ConfabServer) -> None:
    def poll(session: Session, header_bytes: int) -> bytes:
        names = [f"X_{number:02}" for number in range(MAX_HEADERS - 1)]  # and Host
        value = "\N{LATIN SMALL LETTER E WITH ACUTE}" * (header_bytes - len("X-00: \r\n"))
        return head("GET", session.path, **dict.fromkeys(names, value))

    with session_and_other_worker(server) as (first, other):
        assert status(first.post(first.connection, JOIN)) == 200
        other.connection.send(poll(first, MAX_HEADER_BYTES))
        assert JOINED in other.connection.response()

        other.connection.send(poll(first, MAX_HEADER_BYTES + 1))
        assert status(other.connection.response()) == 431, "gunicorn accepts no larger ones"


def test_a_forwarded_request_is_logged_once_with_its_client(server: ConfabServer) -> None:
    with session_and_other_worker(server) as (first, other):
        path = f"{first.path}&t=marked"
        other.connection.send(request("POST", path, b"3"))
        assert status(other.connection.response()) == 200
        wait_until(lambda: "t=marked" in server.log())  # it is logged after it was answered
        # What the worker of the session would log, it would have logged before this answer.
        assert status(first.post(first.connection, b"3")) == 200

        def marked_lines() -> list[str]:
            return [line for line in server.log().splitlines() if "t=marked" in line]

        wait_until(marked_lines, what="gunicorn logs a request after its answer")
        lines = marked_lines()
        assert len(lines) == 1
        assert "127.0.0.1" in lines[0]
        assert "200" in lines[0]


@pytest.mark.parametrize("engine", ["on", "off"])
def test_a_killed_worker_ends_its_polls_and_upgrades_and_no_others(
    tmp_path: Path, engine: str
) -> None:
    with several_workers(tmp_path, ENGINE=engine) as server:
        server.room("kitchen")
        with session_and_other_worker(server) as (first, other):
            other.connection.send(head("GET", first.path))  # waits for packets
            wait_until(lambda: forwarded_requests(first) > 0)
            killed_at = time.monotonic()
            kill_worker(server, first)

            assert status(other.connection.response()) == 400
            assert time.monotonic() - killed_at < 5
            assert status(first.get(other.connection)) == 400
            assert status(first.post(other.connection, b"3")) == 400

        with session_and_other_worker(server) as (first, other):
            upgrade(first, other.connection)
            kill_worker(server, other)

            # The connection belongs to the first worker alone.
            other.connection.send(frame(JOIN))
            assert JOINED in received_until(other.connection, JOINED)

        with session_and_other_worker(server) as (first, other):
            first.request_upgrade(other.connection)
            assert status(other.connection.receive()) == 101
            kill_worker(server, first)

            assert other.connection.receive_all() == b""


def test_a_session_ends_when_a_killed_worker_has_lost_packets_of_its_poll(tmp_path: Path) -> None:
    with (
        several_workers(tmp_path) as server,
        session_and_other_worker(server) as (first, other),
    ):
        server.room("kitchen")
        other.connection.send(head("GET", first.path))  # waits for packets
        wait_until(lambda: forwarded_requests(first) > 0)
        kill_worker(server, other)
        # Its answer, which the poll of the killed worker takes, is lost.
        assert status(first.post(first.connection, JOIN)) == 200

        with session_and_other_worker(server) as (_, another):
            assert status(first.get(another.connection)) == 400
            assert status(first.post(another.connection, b"3")) == 400


def test_a_stopping_worker_does_not_wait_for_the_polls_of_others(tmp_path: Path) -> None:
    with several_workers(tmp_path) as server:
        server.room("kitchen")
        with session_and_other_worker(server) as (first, other):
            stopping = worker_pid(server, other)
            other.connection.send(head("GET", first.path))  # waits for packets
            wait_until(lambda: forwarded_requests(first) > 0)

            os.kill(stopping, signal.SIGTERM)
            # Otherwise gunicorn would cut off the connection, without an answer.
            assert status(other.connection.response()) == 400


def test_a_stopping_worker_finishes_the_packets_that_it_forwards(tmp_path: Path) -> None:
    with (
        several_workers(tmp_path, "--graceful-timeout=20") as server,
        session_and_other_worker(server) as (first, other),
    ):
        stopping = worker_pid(server, other)
        suspended = worker_pid(server, first)
        os.kill(suspended, signal.SIGSTOP)
        try:
            other.connection.send(request("POST", first.path, b"3"))
            wait_until(lambda: forwarded_requests(first) > 0)
            os.kill(stopping, signal.SIGTERM)
            drained_at = time.monotonic() + DRAIN_SECONDS + 1
            wait_until(lambda: time.monotonic() > drained_at, what="all polls have ended")
        finally:
            os.kill(suspended, signal.SIGCONT)

        assert status(other.connection.response()) == 200


def test_a_handover_to_a_suspended_worker_ends_in_time(tmp_path: Path) -> None:
    with several_workers(tmp_path) as server, session_and_other_worker(server) as (first, other):
        suspended = worker_pid(server, first)
        os.kill(suspended, signal.SIGSTOP)
        try:
            began_at = time.monotonic()
            first.request_upgrade(other.connection)

            assert other.connection.receive_all() == b""
            assert time.monotonic() - began_at < HANDOVER_SECONDS + 5
        finally:
            os.kill(suspended, signal.SIGCONT)


def test_a_worker_without_free_connections_takes_over_no_more(tmp_path: Path) -> None:
    limit = 8
    with several_workers(tmp_path, f"--worker-connections={limit}") as server, ExitStack() as stack:
        by_worker: defaultdict[str, list[Session]] = defaultdict(list)
        while len(by_worker) < 2 or max(map(len, by_worker.values())) < limit:
            connection = stack.enter_context(Connection(server))
            connection.send(head("GET", POLLING_PATH))
            session = Session(connection)
            by_worker[session.worker].append(session)
        first = max(by_worker.values(), key=len)[-1]
        other = min(by_worker.values(), key=len)[-1]

        first.request_upgrade(other.connection)
        assert status(other.connection.receive()) == 503
        assert status(first.post(first.connection, b"40")) == 200, "it goes on by polling"


def test_a_client_that_reads_nothing_of_a_forwarded_answer_is_disconnected(
    tmp_path: Path,
) -> None:
    arguments = "--keep-alive=60"
    with (
        gunicorn(
            tmp_path, WORKERS, app="tests.short_stalls:app", GUNICORN_CMD_ARGS=arguments
        ) as server,
        Node() as node,
        session_and_other_worker(server) as (first, other),
    ):
        label = server.room("kitchen")
        ada = node.person(server.url)
        ada.join(label)
        for _ in range(50):
            ada.post("\N{GRINNING FACE}" * 4_000)
        assert status(first.post(first.connection, JOIN)) == 200
        for number in range(LARGE_ANSWERS):
            asked = f'42{number}["history",{{}}]'.encode()
            assert status(first.post(first.connection, asked)) == 200
        lazy = other.connection  # its socket is read no more
        lazy.limit_receive_buffer(SMALL_RECEIVE_BUFFER_BYTES)
        lazy.send(head("GET", first.path))

        wait_until(lambda: forwarded_requests(first) == 1)
        wait_until(lambda: forwarded_requests(first) == 0, 20, "its answer is given up")
        assert server.page("/healthz")


def test_upgrades_at_other_workers_free_what_limits_have_counted(tmp_path: Path) -> None:
    with several_workers(tmp_path, LIMITS="on", LIMIT_ADDRESS_CONNECTIONS="2") as server:
        for _ in range(20):
            with Connection(server) as polling, Connection(server) as websocket:
                polling.send(head("GET", POLLING_PATH, X_Forwarded_For="192.0.2.7"))
                session = Session(polling)
                polling.close()
                session.request_upgrade(websocket, X_Forwarded_For="192.0.2.7")
                assert status(websocket.receive()) == 101
                websocket.send(PROBE)
                assert websocket.receive() == PROBE_ANSWER
                websocket.send(UPGRADE_PACKET + frame(b"1"))  # and ends the session
                websocket.receive_all()


def test_two_masters_answer_the_requests_of_each_other(tmp_path: Path) -> None:
    with several_workers(tmp_path, workers=1) as server, ExitStack() as stack:
        server.room("kitchen")
        first_master = server.processes()[0]
        old = open_session(server, stack, generation="0")
        folder = socket_folder(server)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

        old.connect()
        assert status(old.post(old.connection, JOIN)) == 200

        os.kill(first_master, signal.SIGUSR2)
        wait_until(lambda: (folder / "100").exists(), 30, "the second master has a worker")
        new = open_session(server, stack, generation="1")
        assert JOINED in old.get(new.connection)
        assert status(old.post(new.connection, b'421["since",{"after":0}]')) == 200
        assert b'431[{"ok":true' in old.get(new.connection)

        second_master = int((folder / "master-1").read_text().split()[0])
        os.kill(first_master, signal.SIGTERM)
        wait_until(lambda: not (folder / "master-0").exists(), 20)
        assert status(old.get(new.connection)) == 400
        assert (folder / "100").exists()

        os.kill(second_master, signal.SIGTERM)
        wait_until(lambda: not folder.exists(), 20, "the last master removes the folder")


def test_clients_upgrade_over_tls_that_gunicorn_terminates(tmp_path: Path) -> None:
    with tls_server(tmp_path) as server, Node() as node:
        # The first visit creates the room.
        subprocess.run(["curl", "-sfk", f"{server.url}/kitchen/"], check=True, capture_output=True)
        people = [node.person(server.url, UPGRADE, rejectUnauthorized=False) for _ in range(8)]
        for person in people:
            person.join("kitchen")
            assert person.wait_until("upgrade") == "websocket"
        for number in range(5):
            people[number].post(f"number {number}")

        for person in people:
            texts = [message["message"] for message in person.hear(5)]
            assert texts == [f"number {number}" for number in range(5)]
            assert "disconnect" not in [state for state, _ in person.states]


@pytest.mark.slow
def test_a_stopping_worker_ends_copied_tls_connections_at_different_moments(tmp_path: Path) -> None:
    with tls_server(tmp_path) as server, ExitStack() as stack:
        pairs = pairs_at_one_worker(server, stack, TlsConnection)
        for at_stopping, of_other in pairs:
            upgrade(of_other, at_stopping.connection)

        os.kill(worker_pid(server, pairs[0][0]), signal.SIGTERM)
        with ThreadPoolExecutor(len(pairs)) as threads:
            ended_at = list(threads.map(end_of, [pair[0].connection for pair in pairs]))

        assert max(ended_at) - min(ended_at) > 0.6 * DRAIN_SECONDS
        assert max(ended_at) - min(ended_at) < DRAIN_SECONDS + 1


@pytest.mark.parametrize("worker_class", ["eventlet", "gevent"])
def test_a_forwarded_poll_of_an_idle_session_waits_for_the_next_ping(
    tmp_path: Path, worker_class: str
) -> None:
    def command_line(port: int) -> list[str]:
        options = ["-k", worker_class, "-w", str(WORKERS), "-b", f"127.0.0.1:{port}"]
        app = "tests.slow_pings_of_workers:app"
        return [sys.executable, "-m", "gunicorn", *options, "--keep-alive=60", app]

    with (
        _serving(ConfabServer(tmp_path, command_line, NODE_NAME=NODE_NAME)) as server,
        session_and_other_worker(server) as (first, other),
    ):
        for _ in range(2):
            answer = first.get(other.connection)

            assert status(answer) == 200, answer
            assert b"\r\n2" in answer, "a ping"
            assert status(first.post(first.connection, b"3")) == 200


@pytest.mark.slow
def test_a_stopping_gevent_worker_closes_what_was_handed_over_to_it(tmp_path: Path) -> None:
    def command_line(port: int) -> list[str]:
        options = ["-k", "gevent", "-w", str(WORKERS), "-b", f"127.0.0.1:{port}"]
        return [sys.executable, "-m", "gunicorn", *options, "--keep-alive", "60", "app:app"]

    with _serving(ConfabServer(tmp_path, command_line)) as server, ExitStack() as stack:
        pairs = pairs_at_one_worker(server, stack, Connection)
        stopping = worker_pid(server, pairs[0][0])
        for of_stopping, at_other in pairs:
            upgrade(of_stopping, at_other.connection)
            of_stopping.connection.close()

        os.kill(stopping, signal.SIGTERM)
        for _, at_other in pairs:
            assert at_other.connection.receive_all().endswith(GOING_AWAY)


def test_a_hundred_stock_clients_connect_within_three_seconds(
    tmp_path: Path, redis_server: Redis
) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(gunicorn(tmp_path, 4, REDIS_URL=redis_server.url))
        server.room("kitchen")
        kinds = [("socket.io-client", 40, None), ("socket.io-client", 40, ["websocket"])]
        kinds.append(("python-socketio", 20, None))
        processes = [stack.enter_context(StockClients(library)) for library, _, _ in kinds]
        for clients in processes:
            assert clients.report() == [], "it has started"

        pids = [*server.processes(), *(clients.pid for clients in processes)]
        waited_before = {pid: waited_for_cpu(pid) for pid in pids}
        for clients, (_, count, transports) in zip(processes, kinds, strict=True):
            clients.connect(server.url, "kitchen", count, transports=transports)
        wait_until(lambda: all(clients.have_joined("websocket") for clients in processes), 30)

        states = [client for clients in processes for client in clients.report()]
        assert [client.errors for client in states if client.errors] == []
        assert [client.disconnects for client in states if client.disconnects] == []
        # What the machine made the slowest process wait for a CPU does not count.
        waited = max(waited_for_cpu(pid) - before for pid, before in waited_before.items())
        seconds = sorted(client.connect_seconds or inf for client in states)
        sys.stdout.write(
            f"100 clients connected within {seconds[-1]:.2f} s; "
            f"a process waited {waited:.2f} s for a CPU\n"
        )
        assert len(seconds) == 100
        assert seconds[-1] - waited < CONNECT_SECONDS


def open_session(server: ConfabServer, stack: ExitStack, generation: str) -> Session:
    """Return a new session on a worker of a generation, as soon as there is such a worker."""
    give_up_at = time.monotonic() + 30
    while True:
        connection = stack.enter_context(Connection(server))
        connection.send(head("GET", POLLING_PATH))
        session = Session(connection)
        if session.worker[0] == generation:
            return session
        connection.close()
        assert time.monotonic() < give_up_at, f"no worker of generation {generation} answers"


def kill_worker(server: ConfabServer, session: Session) -> None:
    """Kill the worker of a session; return when it has ended and another one listens."""
    killed = worker_pid(server, session)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(set(server.processes()) - {killed}) == 1 + WORKERS, 20)


def forwarded_requests(session: Session) -> int:
    """Return how many requests other workers are forwarding to the worker of a session."""
    return len(channels_to(session))


def channels_to(session: Session) -> set[str]:
    """Return the inodes of the connections from other workers to the worker of a session."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    at_worker = [row for row in rows if re.search(rf"/confab-[^/]*/{session.worker}$", row[-1])]
    return {row[INODE_COLUMN] for row in at_worker if row[FLAGS_COLUMN] != LISTENING}


def socket_folder(server: ConfabServer) -> Path:
    """Return the folder of the sockets of a server's workers."""
    ours = inodes_of(server.processes()[1])
    [path] = [path for path, inode in listening_sockets() if inode in ours]
    return path.parent


def frame(packet: bytes) -> bytes:
    """Return a packet as a frame of a client."""
    assert len(packet) < 126
    return bytes([0x81, 0x80 | len(packet), 0, 0, 0, 0]) + packet


def pairs_at_one_worker(
    server: ConfabServer, stack: ExitStack, connect: Callable[[ConfabServer], Connection]
) -> list[tuple[Session, Session]]:
    """Return sessions of one worker, each with one of another worker."""
    by_worker: defaultdict[str, list[Session]] = defaultdict(list)
    while True:
        # At once, so that not all are accepted by the worker that is the first to wake up.
        connections = [stack.enter_context(connect(server)) for _ in range(PAIRS)]
        for connection in connections:
            connection.send(head("GET", POLLING_PATH))
        for connection in connections:
            session = Session(connection)
            by_worker[session.worker].append(session)
        first, *others = by_worker.values()
        others_sessions = list(chain.from_iterable(others))
        if min(len(first), len(others_sessions)) >= PAIRS:
            for session in first[PAIRS:] + others_sessions[PAIRS:]:
                session.connection.close()
            return list(zip(first[:PAIRS], others_sessions[:PAIRS], strict=True))


def end_of(connection: Connection) -> float:
    """Return when the server has closed a connection."""
    connection.receive_all()
    return time.monotonic()


def upgrade(session: Session, connection: Connection) -> None:
    """Upgrade a session to WebSocket on a connection."""
    session.request_upgrade(connection)
    assert status(connection.receive()) == 101
    connection.send(PROBE)
    assert connection.receive() == PROBE_ANSWER
    connection.send(UPGRADE_PACKET)


def received_until(connection: Connection, expected: bytes) -> bytes:
    """Return what is received until it contains something, or until the server closes."""
    received = b""
    while expected not in received:
        data = connection.receive()
        if not data:
            break
        received += data
    return received


class TlsServer(ConfabServer):
    """A server with TLS by gunicorn and a certificate that nobody knows."""

    @property
    def url(self) -> str:
        """The server's URL, without a slash at the end."""
        return f"https://127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        """Return whether the server answers requests."""
        url = f"{self.url}/healthz"
        return subprocess.run(["curl", "-sfk", url], capture_output=True).returncode == 0


@contextmanager
def tls_server(folder: Path) -> Iterator[ConfabServer]:
    """Run a server with several workers and TLS."""
    key = folder / "key.pem"
    certificate = folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )

    def command_line(port: int) -> list[str]:
        options = ["-k", "eventlet", "-w", str(WORKERS), "-b", f"127.0.0.1:{port}"]
        tls = ["--certfile", str(certificate), "--keyfile", str(key), "--keep-alive", "60"]
        return [sys.executable, "-m", "gunicorn", *options, *tls, "app:app"]

    with _serving(TlsServer(folder, command_line)) as server:
        yield server
