"""Answers the requests that other workers of this host have accepted for sessions of this worker.

The other worker has checked the request and counted it, and logs it. It is handled here like one
that this worker has accepted. The connection of a WebSocket handshake comes with its request.
"""

import errno
import logging
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import WSGIApplication, WSGIEnvironment

from chat.engine.concurrency import async_mode, pause
from chat.engine.environ import ADDRESS_KEY
from chat.engine.handover import (
    HANDOVER_KEY,
    Handover,
    HandoverFailed,
    handover_of,
    received_handovers,
)
from chat.engine.scheduler import wait_turn
from chat.engine.sending import limit_stall
from chat.engine.tcp import MAX_STALL_SECONDS
from chat.engine.transports import close_transport
from chat.engine.worker_channel import Head, MalformedMessage, WorkerChannel, incoming_channels

MAX_REQUESTS = 10_000
"""Forwarded requests in progress at a time; each is a connection that another worker counts."""

BACKLOG = 1024

REQUEST_SECONDS = 10.0
"""How long a request may take to arrive from the other worker."""

SHORTAGE_SECONDS = 0.2

DISCONNECTION_ERRORS = {errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE, errno.ETIMEDOUT, None}
"""The numbers of what a WebSocket raises when its client has disconnected, or reads nothing.

Timeouts of sockets have none, nor have the errors of engineio under gevent.
"""

log = logging.getLogger(__name__)


class ForwardedRequests:
    """Accepts requests from other workers, and answers each in its own greenlet."""

    def __init__(self, app: WSGIApplication, eio: Any) -> None:
        self._app = app
        self._eio = eio

    def listen(self, path: Path) -> None:
        """Accept requests at a Unix socket from now on."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.unlink(missing_ok=True)  # that of a worker which was killed
            listener.bind(str(path))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            log.warning(
                "Other workers cannot reach this one (%s), so clients of its sessions that poll "
                "or upgrade may have to reconnect.",
                error.strerror,
            )
            return
        self._eio.start_background_task(self._accept_all, listener)

    def _accept_all(self, listener: Any) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # too few file descriptors
                pause(SHORTAGE_SECONDS)
                continue
            if len(incoming_channels) >= MAX_REQUESTS:
                connection.close()
                continue
            self._eio.start_background_task(self.handle, connection)

    def handle(self, connection: Any) -> None:
        """Answer the request that arrives on a connection from another worker."""
        channel = WorkerChannel(connection)
        incoming_channels.add(channel)
        try:
            self._receive(channel)
        except (OSError, MalformedMessage, HandoverFailed):
            pass  # the other worker has ended, and with it the connection of the client
        except Exception:
            log.exception("A request of another worker could not be handled")
        finally:
            incoming_channels.discard(channel)
            channel.close()

    def _receive(self, channel: WorkerChannel) -> None:
        head = channel.receive_head(REQUEST_SECONDS)
        if head.passed_socket is None:
            body = channel.receive_body(head)
            self._answer_polling(channel, _environ(head, body))
            return
        try:
            early_bytes = channel.receive_body(head)
            self._take_over(channel, head, early_bytes)
        finally:
            head.passed_socket.close()  # our WebSocket uses a duplicate

    def _take_over(self, channel: WorkerChannel, head: Head, early_bytes: bytes) -> None:
        """Handle a WebSocket handshake, on the connection that was passed on."""
        if _is_worker_full():
            FULL.send(channel)
            return
        limit_stall(head.passed_socket, MAX_STALL_SECONDS)
        environ = _environ(head, b"")
        environ["gunicorn.socket"] = head.passed_socket
        handover = Handover(channel, early_bytes)
        environ[HANDOVER_KEY] = handover
        received_handovers.add(handover)
        try:
            with suppress(StopIteration):  # from engineio, at the end of a WebSocket under gevent
                answer = self._answer(environ)
                if not handover.is_complete:
                    answer.send(channel)
        finally:
            received_handovers.discard(handover)

    def _answer_polling(self, channel: WorkerChannel, environ: WSGIEnvironment) -> None:
        """Answer a polling request.

        If the answer to a poll cannot be sent, its packets are lost. The session ends then, so that
        the client starts over.
        """
        answer = self._answer(environ)
        try:
            answer.send(channel)
        except OSError:
            if environ["REQUEST_METHOD"] == "GET":
                close_transport(self._eio, parse_qs(environ["QUERY_STRING"])["sid"][0])
            raise

    def _answer(self, environ: WSGIEnvironment) -> "Answer":
        """Pass a request to the application; return its answer, or 500 if it fails.

        Raises HandoverFailed, and StopIteration from engineio.
        """
        wait_turn(environ.get(ADDRESS_KEY, ""))
        try:
            return self._call_application(environ)
        except (HandoverFailed, StopIteration):
            raise
        except Exception as error:
            if not _is_disconnection(environ, error):
                log.exception("A request that another worker has forwarded could not be answered")
            return FAILED

    def _call_application(self, environ: WSGIEnvironment) -> "Answer":
        answer = Answer()
        response = self._app(environ, answer.start)
        try:
            answer.body = b"".join(response)
        finally:
            if hasattr(response, "close"):
                response.close()
        return answer


@dataclass
class Answer:
    """The answer to a request."""

    status: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def send(self, channel: WorkerChannel) -> None:
        """Send the answer to the other worker. Raises OSError when it has ended."""
        channel.send({"status": self.status, "headers": self.headers}, self.body)

    def start(self, status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> Any:
        """Take what an application passes to start_response (PEP 3333)."""
        self.status = status
        self.headers = headers


FULL = Answer(
    "503 Service Unavailable",
    [("Content-Type", "text/plain"), ("Retry-After", "5")],
    b"The server has no free connections. Please try again in a few seconds.",
)
FAILED = Answer(
    "500 Internal Server Error",
    [("Content-Type", "text/plain")],
    b"The server could not answer this request.",
)


def _environ(head: Head, body: bytes) -> WSGIEnvironment:
    """Return the environ of a request. Raises MalformedMessage."""
    if not all(isinstance(value, str) for value in head.fields.values()):
        raise MalformedMessage
    return {
        **head.fields,
        "wsgi.errors": sys.stderr,
        "wsgi.input": BytesIO(body),
        "wsgi.multiprocess": True,
        "wsgi.multithread": True,
        "wsgi.run_once": False,
        "wsgi.version": (1, 0),
    }


def _is_disconnection(environ: WSGIEnvironment, error: Exception) -> bool:
    """Return whether an error of a WebSocket means that its client has disconnected."""
    handover = handover_of(environ)
    is_open = handover is not None and handover.is_complete
    return is_open and isinstance(error, OSError) and error.errno in DISCONNECTION_ERRORS


def _is_worker_full() -> bool:
    """Return whether this worker has as many connections as it may have."""
    if async_mode() != "eventlet":
        return False
    # Imported here: it needs eventlet, which other servers do without.
    from chat.engine.acceptor import is_any_full  # noqa: PLC0415

    return is_any_full()
