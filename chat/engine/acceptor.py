"""How a worker takes in connections, instead of gunicorn: it outlives a shortage, and leaves some to others."""

import errno
import logging
from collections.abc import Callable
from typing import Any

import eventlet

from chat.engine.connection import Connections
from chat.engine.scheduler import wait_turn

SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
FINAL = {
    errno.EBADF,
    errno.EINVAL,
    errno.ENOTSOCK,
}  # it listens no more; all else passes, see accept(2)
PAUSE_SECONDS = 0.2

log = logging.getLogger(__name__)


def accept(listener: Any, handle: Callable[[Any, Any], None], at_most: int) -> None:
    """Take in connections and handle each in a greenlet of its own."""
    pool = eventlet.GreenPool(at_most)
    short = False
    while True:
        try:
            while pool.running() + len(Connections.open) >= at_most:
                eventlet.sleep(
                    PAUSE_SECONDS
                )  # before accepting: what waits can still go to another worker
            connection, address = listener.accept()
        except eventlet.StopServe:
            pool.waitall()  # those taken in last still ask the listener for its name
            listener.close()
            while Connections.open:
                eventlet.sleep(PAUSE_SECONDS)
            return
        except OSError as error:
            if error.errno in FINAL:
                raise
            if error.errno in SHORTAGES and not short:
                log.warning(
                    "No more connections can be taken in (%s): some have to end first.",
                    error.strerror,
                )
            short = error.errno in SHORTAGES
            eventlet.sleep(PAUSE_SECONDS)
            continue
        short = False
        pool.spawn(_handle, handle, connection, address)


def _handle(handle: Callable[[Any, Any], None], connection: Any, address: Any) -> None:
    try:
        wait_turn()
        handle(connection, address)
    except Exception:
        log.exception("a connection could not be handled")
    finally:
        connection.close()
