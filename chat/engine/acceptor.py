"""Accepts connections in place of gunicorn's own loop, which ends when file descriptors run out.

It also stops accepting at the limit of connections, so that other workers get the next ones.
"""

import errno
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

import eventlet

from chat.engine.connection import open_connections
from chat.engine.scheduler import wait_turn

SHORTAGE_ERRORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

FATAL_ERRORS = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK}
"""The listening socket is unusable. All other errors concern one connection, see accept(2)."""

POLL_SECONDS = 0.2

ConnectionHandler: TypeAlias = Callable[[Any, Any], None]
"""Serves a connection, given its socket and the client's address."""

log = logging.getLogger(__name__)


def accept(listener: Any, handle: ConnectionHandler, max_connections: int) -> None:
    """Accept connections and handle each in its own greenlet, until the worker stops."""
    pool = eventlet.GreenPool(max_connections)
    has_shortage = False
    while True:
        try:
            _wait_for_capacity(pool, max_connections)
            connection, address = listener.accept()
        except eventlet.StopServe:
            _finish(pool, listener)
            return
        except OSError as error:
            if error.errno in FATAL_ERRORS:
                raise
            if error.errno in SHORTAGE_ERRORS and not has_shortage:
                log.warning(
                    "No more connections can be accepted (%s) until others are closed.",
                    error.strerror,
                )
            has_shortage = error.errno in SHORTAGE_ERRORS
            eventlet.sleep(POLL_SECONDS)
            continue
        has_shortage = False
        pool.spawn(_handle, handle, connection, address)


def _wait_for_capacity(pool: Any, max_connections: int) -> None:
    """Wait before accepting: a connection that is not accepted can still go to another worker."""
    while pool.running() + len(open_connections) >= max_connections:
        eventlet.sleep(POLL_SECONDS)


def _finish(pool: Any, listener: Any) -> None:
    """Wait until all connections have ended."""
    pool.waitall()
    listener.close()  # not before: the last connections still ask the listener for its address
    while open_connections:
        eventlet.sleep(POLL_SECONDS)


def _handle(handle: ConnectionHandler, connection: Any, address: Any) -> None:
    try:
        wait_turn()
        handle(connection, address)
    except Exception:
        log.exception("A connection could not be handled")
    finally:
        connection.close()
