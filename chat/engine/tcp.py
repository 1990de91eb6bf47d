"""TCP options of a client's connection. A Unix socket, such as that of a proxy on the same host, has none of them."""

import socket
from typing import Any


def send_without_delay(connection: Any) -> None:
    """Set TCP_NODELAY: without it, an answer waits up to 40 ms for the client's delayed acknowledgement."""
    if _is_tcp(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def limit_unacknowledged(connection: Any, seconds: int) -> None:
    """Set TCP_USER_TIMEOUT, where the system has it: a peer that acknowledges nothing is disconnected after this."""
    if _is_tcp(connection) and hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)


def _is_tcp(connection: Any) -> bool:
    return connection.family in (socket.AF_INET, socket.AF_INET6)
