"""Handovers that are refused: what remains open in the worker that has accepted the connection."""

import gc
import socket
import ssl
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Thread
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from engineio import Server

from chat.engine.session_router import SessionRouter
from chat.engine.worker_channel import WorkerChannel

SECONDS = 5.0
SOCKET_PATH = "/socket.io/"
NODE_NAME = "ada1"
SID_OF_OTHER_WORKER = "ada1---001" + "A" * 20


def application(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
    """Fail: all requests of these tests belong to another worker."""
    raise AssertionError


class FullWorker:
    """A worker that answers every handshake with 503."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = Thread(target=self._answer_one)
        self._thread.start()

    def close(self) -> None:
        """Wait until the handshake has been answered."""
        self._thread.join(SECONDS)
        self._listener.close()

    def _answer_one(self) -> None:
        connection, _ = self._listener.accept()
        channel = WorkerChannel(connection)
        head = channel.receive_head(SECONDS)
        channel.receive_body(head)
        head.passed_socket.close()
        channel.send({"status": "503 Service Unavailable", "headers": []}, b"full")
        channel.close()


@pytest.fixture
def tls_connection() -> Iterator[ssl.SSLSocket]:
    """A connection with TLS, whose client sends no more."""
    client, accepted = socket.socketpair()
    client.shutdown(socket.SHUT_WR)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    connection = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
    with client, connection:
        yield connection


def status_of_handshake(folder: Path, connection: ssl.SSLSocket) -> str:
    """Hand over a connection to the worker 001; return the status with which it is refused."""
    statuses = []

    def start_response(status: str, _headers: object, _exc_info: object = None) -> None:
        statuses.append(status)

    router = SessionRouter(
        application, Server(async_mode="threading"), SOCKET_PATH, NODE_NAME, folder / "000"
    )
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": SOCKET_PATH,
        "QUERY_STRING": f"transport=websocket&sid={SID_OF_OTHER_WORKER}",
        "HTTP_UPGRADE": "websocket",
        "gunicorn.socket": connection,
    }
    for _ in router(environ, start_response):  # type: ignore[arg-type]  # it needs no `write`
        pass
    [status] = statuses
    return status


@pytest.mark.parametrize("is_running", [True, False])
def test_a_refused_handover_with_tls_leaves_nothing_open(
    tmp_path: Path, tls_connection: ssl.SSLSocket, *, is_running: bool
) -> None:
    other_worker = FullWorker(tmp_path / "001") if is_running else None
    expected_status = "503 Service Unavailable" if is_running else "400 Bad Request"
    gc.collect()  # what other tests have left
    with warnings.catch_warnings(record=True) as unclosed:
        warnings.simplefilter("always", ResourceWarning)
        status = status_of_handshake(tmp_path, tls_connection)
        if other_worker is not None:
            other_worker.close()
        gc.collect()

    assert status == expected_status
    assert [str(warning.message) for warning in unclosed] == []
