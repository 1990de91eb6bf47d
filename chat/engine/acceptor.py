"""Accepts connections, up to a limit, and even when file descriptors run out.

At the limit, a connection is left to other workers for a moment. If none of them accepts it, it
takes the place of a client that is slow to send its request, or is answered with 503.
"""

import errno
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

import eventlet
from eventlet import hubs
from eventlet.greenio import GreenSocket

from chat.engine.body import linger
from chat.engine.connection import open_connections
from chat.engine.handover import received_handovers
from chat.engine.pending_requests import pending_requests
from chat.engine.scheduler import wait_turn
from chat.engine.sending import limit_stall
from chat.engine.tcp import MAX_STALL_SECONDS
from chat.engine.worker_channel import incoming_channels

SHORTAGE_ERRORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

FATAL_ERRORS = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK}
"""The listening socket is unusable. All other errors concern one connection, see accept(2)."""

POLL_SECONDS = 0.2

MAX_REFUSALS = 50
"""Connections that are refused at the same time."""

REFUSAL_SECONDS = 2.0
"""How long a client may take to send its request and to read that it is refused."""

RETRY_AFTER_SECONDS = 5
REFUSAL_SENTENCE = "The server has no free connections. Please try again in a few seconds.\n"
REFUSAL = (
    "HTTP/1.1 503 Service Unavailable\r\n"
    f"Retry-After: {RETRY_AFTER_SECONDS}\r\n"
    "Content-Type: text/plain\r\n"
    f"Content-Length: {len(REFUSAL_SENTENCE)}\r\n"
    "Connection: close\r\n"
    "\r\n"
    f"{REFUSAL_SENTENCE}"
).encode()

RECEIVE_BYTES = 16 * 1024

ConnectionHandler: TypeAlias = Callable[[Any, Any], None]
"""Serves a connection, given its socket and the client's address."""

log = logging.getLogger(__name__)

acceptors: list["Acceptor"] = []
"""Those of this process: one for each address at which it listens."""


def is_any_full() -> bool:
    """Return whether this worker should take over no more connections."""
    return any(acceptor.is_full() for acceptor in acceptors)


class Acceptor:
    """Accepts the connections of one listening socket, and handles each in its own greenlet."""

    def __init__(self, listener: Any, handle: ConnectionHandler, max_connections: int) -> None:
        self._listener = listener
        self._handle = handle
        self._max_connections = max_connections
        self._pool = eventlet.GreenPool(max_connections)
        self._refusals = eventlet.GreenPool(MAX_REFUSALS)
        self._has_shortage = False
        self._was_full = False
        acceptors.append(self)

    def run(self) -> None:
        """Accept connections until the worker stops; then wait until all have ended."""
        try:
            while True:
                if self.is_full():
                    self._accept_at_limit()
                else:
                    self._accept()
        except eventlet.StopServe:
            self._finish()

    def is_full(self) -> bool:
        """Return whether the limit is reached. Logs it when it was not before."""
        taken_over = len(open_connections) + len(received_handovers)
        is_full = self._pool.running() + taken_over >= self._max_connections
        if is_full and not self._was_full:
            log.warning("The limit of %d connections is reached.", self._max_connections)
        self._was_full = is_full
        return bool(is_full)

    def _accept(self) -> None:
        """Wait for a connection, and handle it."""
        try:
            connection, address = self._listener.accept()
        except OSError as error:
            self._report(error)
            return
        self._has_shortage = False
        self._pool.spawn(self._serve, connection, address)

    def _report(self, error: OSError) -> None:
        """Wait after an error, and log a shortage once. Raises the error when it is fatal."""
        if error.errno in FATAL_ERRORS:
            raise error
        if error.errno in SHORTAGE_ERRORS and not self._has_shortage:
            log.warning(
                "No more connections can be accepted (%s) until others are closed.",
                error.strerror,
            )
        self._has_shortage = error.errno in SHORTAGE_ERRORS
        eventlet.sleep(POLL_SECONDS)

    def _accept_at_limit(self) -> None:
        """Wait for new connections, and handle or refuse those that no other worker accepts."""
        hubs.trampoline(self._listener.fileno(), read=True)
        eventlet.sleep(max(POLL_SECONDS, pending_requests.seconds_until_late()))
        for _ in range(MAX_REFUSALS):
            is_any_young = pending_requests.seconds_until_late() > 0
            if is_any_young or not self.is_full():
                return
            try:
                connection, address = self._listener.fd.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._report(error)
                return
            self._handle_at_limit(GreenSocket(connection), address)

    def _handle_at_limit(self, connection: Any, address: Any) -> None:
        if pending_requests.disconnect_oldest():
            self._pool.spawn(self._serve, connection, address)
        elif self._refusals.free():
            self._refusals.spawn(_refuse, connection)
        else:
            connection.close()

    def _serve(self, connection: Any, address: Any) -> None:
        try:
            limit_stall(connection, MAX_STALL_SECONDS)
            wait_turn()
            self._handle(connection, address)
        except Exception:
            log.exception("A connection could not be handled")
        finally:
            connection.close()

    def _finish(self) -> None:
        """Wait until all connections have ended."""
        self._pool.waitall()
        self._listener.close()  # not before: the last connections still ask for its address
        while open_connections or received_handovers or incoming_channels:
            eventlet.sleep(POLL_SECONDS)


def _refuse(connection: Any) -> None:
    """Answer a request with 503, after its first bytes."""
    with suppress(OSError), eventlet.Timeout(REFUSAL_SECONDS, False):
        connection.recv(RECEIVE_BYTES)
        connection.sendall(REFUSAL)
        linger(connection)
    connection.close()
