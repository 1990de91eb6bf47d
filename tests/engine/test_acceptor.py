"""At the limit of connections, clients that are slow give way, and others are refused politely."""

import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.clients import Stranger, WebSocket
from tests.engine.test_connection import join
from tests.raw_http import Connection, request, status
from tests.servers import ConfabServer, _serving, resident_bytes, wait_until

MAX_CONNECTIONS = 20
HALF_SENT = 30
MAX_SECONDS = 3.0
HEADERS = 10
HEADER_BYTES = 8000
SOCKETS = 400  # many, because memory is allocated in large pieces
MAX_SOCKET_BYTES = 10 * 1024

pytestmark = pytest.mark.servers


@contextmanager
def limited(
    folder: Path, workers: int = 1, connections: int = MAX_CONNECTIONS
) -> Iterator[ConfabServer]:
    """Run gunicorn with few connections for each worker."""

    def command_line(port: int) -> list[str]:
        options = ["-w", str(workers), "--worker-connections", str(connections)]
        return [sys.executable, "-m", "gunicorn", *options, "-b", f"127.0.0.1:{port}", "app:app"]

    with _serving(ConfabServer(folder, command_line)) as server:
        yield server


def healthy(server: ConfabServer) -> bytes:
    """Return the answer to a request on a connection of its own."""
    with Connection(server) as ada:
        ada.send(request("GET", "/healthz", Connection="close"))
        return ada.receive_all()


@pytest.mark.parametrize(
    "half_sent",
    [
        request("POST", "/kitchen/", b"message=hel", Content_Length="100"),
        request("POST", "/kitchen/", Transfer_Encoding="chunked"),
        b"GET /healthz HTTP/1.1\r\nHost:",
        b"",
    ],
    ids=["body", "chunked body", "head", "nothing"],
)
def test_half_sent_requests_keep_nobody_out(tmp_path: Path, half_sent: bytes) -> None:
    with limited(tmp_path) as server, ExitStack() as stack:
        for _ in range(HALF_SENT):
            mallory = stack.enter_context(Connection(server))
            mallory.send(half_sent)

        for _ in range(5):
            began = time.monotonic()
            assert status(healthy(server)) == 200
            assert time.monotonic() - began < MAX_SECONDS


def test_above_the_limit_requests_are_answered_with_503(tmp_path: Path) -> None:
    with limited(tmp_path) as server, ExitStack() as stack:
        server.room("kitchen")
        for _ in range(MAX_CONNECTIONS):
            stack.enter_context(join(server, "kitchen"))

        answer = healthy(server)
        assert status(answer) == 503
        assert re.search(rb"\r\nRetry-After: \d+\r\n", answer)
        with WebSocket(server.url) as refused:
            assert refused.status == "503"

        assert server.log().count("The limit of 20 connections is reached") == 1
        stack.close()
        wait_until(lambda: status(healthy(server)) == 200, what="others are served again")


def test_many_refused_clients_delay_nobody_who_is_connected(tmp_path: Path) -> None:
    with limited(tmp_path) as server, ExitStack() as stack:
        server.room("kitchen")
        ada = stack.enter_context(join(server, "kitchen"))
        for _ in range(MAX_CONNECTIONS - 1):
            stack.enter_context(join(server, "kitchen"))
        for _ in range(200):  # they send nothing, and do not read that they are refused
            stack.enter_context(Connection(server))

        for _ in range(20):
            began = time.monotonic()
            assert ada.ask("chat", {"handle": "Ada", "message": "Still here"})["ok"]
            assert time.monotonic() - began < MAX_SECONDS


def test_a_full_worker_leaves_connections_to_another(tmp_path: Path) -> None:
    with limited(tmp_path, workers=2) as server, ExitStack() as stack:
        server.room("kitchen")

        def connect(_number: int) -> Stranger:
            return stack.enter_context(join(server, "kitchen"))

        with ThreadPoolExecutor(5) as threads:
            people = list(threads.map(connect, range(2 * MAX_CONNECTIONS - 5)))

        assert all(each.ask("typing", {"handle": "Ada"})["ok"] for each in people)


def test_an_idle_socket_keeps_no_headers(tmp_path: Path) -> None:
    headers = {f"X_{number}": "x" * HEADER_BYTES for number in range(HEADERS)}
    with limited(tmp_path, connections=1000) as server, ExitStack() as stack:
        server.room("kitchen")
        (worker,) = server.processes()[1:]

        def connect(sockets: int) -> None:
            for _ in range(sockets):
                ada = stack.enter_context(Stranger(server.url, **headers))
                assert ada.ask("join", {"label": "kitchen"})["ok"]

        connect(SOCKETS // 2)  # what the first ones leave free, the next ones use
        memory_before = resident_bytes(worker)
        connect(SOCKETS)
        kept = (resident_bytes(worker) - memory_before) / SOCKETS

    sys.stdout.write(f"{kept:.0f} bytes for each socket\n")
    assert kept < MAX_SOCKET_BYTES
