"""Disconnects clients that do not read the answers to their requests.

The timeout of a socket limits how long a write makes no progress only under eventlet. gevent and
threads take it as the limit for all of the data that they are given at once; so they are given
large answers in pieces. This also saves memory: each layer of the server copies what it is given.
"""

import logging
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from wsgiref.types import WSGIEnvironment

from chat.engine.body import connection_of
from chat.engine.concurrency import async_mode
from chat.engine.tcp import limit_send_buffer, set_user_timeout

PIECE_BYTES = 64 * 1024


def limit_stall(connection: socket.socket, seconds: int) -> None:
    """Let every later write to a connection fail when its client reads nothing for `seconds`.

    The same holds for a read when the client sends nothing.
    """
    with suppress(OSError):  # the client may have disconnected
        connection.settimeout(seconds)
        limit_send_buffer(connection)
        set_user_timeout(connection, seconds)


def send_in_time(
    environ: WSGIEnvironment, respond: Callable[[], Iterable[bytes]], stall_seconds: int
) -> Iterable[bytes]:
    """Return the response of a request, whose client has to read it.

    The client is disconnected when it reads nothing for `stall_seconds`. A WebSocket, which takes
    over its connection in `respond`, sets limits of its own.
    """
    connection = connection_of(environ)
    if connection is None:
        return respond()
    limit_stall(connection, stall_seconds)
    return _in_pieces(connection, respond())


def _in_pieces(connection: socket.socket, response: Iterable[bytes]) -> Iterator[bytes]:
    try:
        for part in response:
            # An empty part is passed on too: it makes the server send the headers.
            for start in range(0, max(1, len(part)), PIECE_BYTES):
                yield part[start : start + PIECE_BYTES]
    finally:
        if hasattr(response, "close"):
            response.close()
    if async_mode() == "threading":
        # Werkzeug's server closes every connection after its answer, and would first read on until
        # the client closes.
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RD)


def end_without_response() -> list[bytes]:
    """End the current request, whose connection belongs to somebody else or has been closed.

    Return what the WSGI application has to return then. Only under gunicorn.
    """
    if async_mode() != "eventlet":
        raise StopIteration  # as engineio does; gunicorn then closes its own descriptor
    sys.modules["eventlet.wsgi"].WSGI_LOCAL.already_handled = True
    return []


def was_handed_over() -> bool:
    """Return whether the connection of the current request has been taken over.

    By a WebSocket, or by another worker.

    gunicorn then neither sends nor closes the response. Other servers have no such request: there,
    a request lasts as long as its WebSocket.
    """
    wsgi = sys.modules.get("eventlet.wsgi")
    return wsgi is not None and bool(getattr(wsgi.WSGI_LOCAL, "already_handled", False))


class ExpectedTimeouts(logging.Filter):
    """Drops what gunicorn would log, with a traceback, about each client that does not read."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record."""
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, TimeoutError)
