"""Clients that send their request too slowly, or do not read the answer, are disconnected."""

import logging
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from chat.engine.sending import ExpectedTimeouts
from tests.clients import Stranger
from tests.raw_http import Connection, request, status
from tests.servers import ConfabServer, open_connections, wait_until

LIMIT_SECONDS = 2
STALL_SECONDS = 3
"""The limits in tests/impatient.py: of a request, and of an answer that is not read."""

MAX_LATENESS_SECONDS = 3.0
SLOW_CLIENTS = 20
SMALL_RECEIVE_BUFFER_BYTES = 16 * 1024
MIN_PAGE_BYTES = 400_000
"""More than the kernel buffers of an answer that is not read."""


@pytest.fixture(scope="module")
def server(impatient_server: ConfabServer) -> ConfabServer:
    """A server with a kitchen whose page is large."""
    with Stranger(impatient_server.url) as ada:
        ada.ask("join", {"label": "kitchen"})
        for number in range(50):
            message = f"{number} ".ljust(4_000, "b")
            assert ada.ask("chat", {"handle": "Ada", "message": message})["ok"]
    assert len(impatient_server.page("/kitchen/")) > MIN_PAGE_BYTES
    return impatient_server


def request_page(server: ConfabServer) -> Connection:
    """Request the large page on a connection for which the kernel buffers little."""
    connection = Connection(server, SMALL_RECEIVE_BUFFER_BYTES)
    connection.send(request("GET", "/kitchen/", Accept_Encoding="identity"))
    return connection


@pytest.mark.servers
def test_clients_that_do_not_read_are_disconnected_and_delay_nobody(server: ConfabServer) -> None:
    pid = server.processes()[-1]
    open_before = open_connections(pid, server.port)
    with ExitStack() as stack:
        for _ in range(SLOW_CLIENTS):
            stack.enter_context(request_page(server))
        # Not all: the first may be disconnected before the last is served.
        wait_until(
            lambda: open_connections(pid, server.port) > open_before + SLOW_CLIENTS / 2,
            what="they connect",
        )
        began = time.monotonic()
        assert server.page("/healthz")
        assert time.monotonic() - began < LIMIT_SECONDS * 0.75, "another client had to wait"
        wait_until(
            lambda: open_connections(pid, server.port) <= open_before,
            STALL_SECONDS + MAX_LATENESS_SECONDS,
            "they are disconnected",
        )


@pytest.mark.servers
def test_a_client_that_reads_slowly_gets_the_whole_page(server: ConfabServer) -> None:
    began = time.monotonic()
    received = b""
    with request_page(server) as ada:
        while b"</html>" not in received:
            data = ada.receive()
            assert data, "disconnected"
            received += data
            read_share = len(received) / MIN_PAGE_BYTES
            time.sleep(max(0.0, read_share * STALL_SECONDS * 1.2 - (time.monotonic() - began)))

    assert time.monotonic() - began > STALL_SECONDS
    assert status(received) == 200


def half_a_line(mallory: Connection) -> None:
    mallory.send(b"GET / HT")


def half_the_headers(mallory: Connection) -> None:
    mallory.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept:")


def nothing(mallory: Connection) -> None:
    pass


def byte_by_byte(mallory: Connection) -> None:
    mallory.send(b"GET / HTTP/1.1\r\nX: ")
    seconds = LIMIT_SECONDS + MAX_LATENESS_SECONDS
    wait_until(lambda: not mallory.send(b"x"), seconds, "the server stops reading")


@pytest.mark.servers
@pytest.mark.parametrize("send", [nothing, half_a_line, half_the_headers, byte_by_byte])
def test_a_head_that_does_not_arrive_ends_the_connection(
    server: ConfabServer, send: Callable[[Connection], None]
) -> None:
    def disconnected_after() -> float:
        began = time.monotonic()
        with Connection(server) as mallory:
            send(mallory)
            mallory.receive_all()
        return time.monotonic() - began

    with ThreadPoolExecutor(SLOW_CLIENTS) as threads:
        clients = [threads.submit(disconnected_after) for _ in range(SLOW_CLIENTS)]
        began = time.monotonic()
        assert server.page("/healthz")
        assert time.monotonic() - began < LIMIT_SECONDS * 0.75, "another client had to wait"
        seconds = [client.result() for client in clients]

    assert max(seconds) < LIMIT_SECONDS + MAX_LATENESS_SECONDS


@pytest.mark.servers
def test_a_head_that_is_too_large_is_refused(server: ConfabServer) -> None:
    long_header = f"X: {'x' * 70_000}\r\n"
    many_headers = "".join(f"X-{number}: x\r\n" for number in range(150))
    for headers in (long_header, many_headers):
        with Connection(server) as mallory:
            mallory.send(f"GET /healthz HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
            assert status(mallory.receive_all()) in (400, 431)


@pytest.mark.servers
def test_a_chunked_polling_body_is_read(server: ConfabServer) -> None:
    def answer(path: str, method: str, body: bytes = b"", **headers: str) -> bytes:
        with Connection(server) as ada:
            ada.send(request(method, path, body, Connection="close", **headers))
            return ada.receive_all()

    path = "/socket.io/?EIO=4&transport=polling"
    opened = answer(path, "GET", Content_Length="0")
    sid = re.findall(r'"sid":"([\w-]+)"', opened.decode())[0]
    posted = answer(
        f"{path}&sid={sid}", "POST", b"2\r\n40\r\n0\r\n\r\n", Transfer_Encoding="chunked"
    )
    assert status(posted) == 200
    assert b"40{" in answer(f"{path}&sid={sid}", "GET", Content_Length="0")


def test_gunicorn_logs_no_traceback_of_a_client_that_does_not_read() -> None:
    def record(error: Exception) -> logging.LogRecord:
        return logging.LogRecord("", logging.ERROR, "", 1, "", (), (type(error), error, None))

    logs = ExpectedTimeouts().filter
    assert not logs(record(TimeoutError("timed out")))
    assert logs(record(OSError("disk full")))
    assert logs(logging.LogRecord("", logging.ERROR, "", 1, "", (), None))
