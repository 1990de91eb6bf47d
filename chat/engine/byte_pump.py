"""Copies bytes between two connections in both directions, until one of them ends.

For a WebSocket with TLS that belongs to another worker: the keys of its TLS are in this process.
"""

from contextlib import suppress
from typing import Any

from chat.engine.concurrency import start_greenlet_later, time_limit
from chat.engine.tcp import MAX_STALL_SECONDS, disconnect

PIECE_BYTES = 16 * 1024

pumped_clients: set[Any] = set()
"""The connections of the clients whose bytes this process copies; it ends them when it stops."""


def pump(client: Any, worker: Any) -> None:
    """Copy until the client or the other worker closes its end.

    Both connections have been ended then.
    """
    client.settimeout(None)  # the other worker sends pings, and closes the connection
    worker.settimeout(None)
    pumped_clients.add(client)
    start_greenlet_later(0, _copy_from_client, client, worker)
    try:
        with suppress(OSError):
            _copy_to_client(worker, client)
    finally:
        pumped_clients.discard(client)
        disconnect(worker)
        disconnect(client)


def _copy_from_client(client: Any, worker: Any) -> None:
    with suppress(OSError):
        while data := client.recv(PIECE_BYTES):
            worker.sendall(data)
    disconnect(worker)


def _copy_to_client(worker: Any, client: Any) -> None:
    while data := worker.recv(PIECE_BYTES):
        with time_limit(MAX_STALL_SECONDS):
            client.sendall(data)
