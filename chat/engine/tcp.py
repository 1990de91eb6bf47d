"""Sets TCP options of a client's connection.

A Unix socket, such as that of a proxy on the same host, has none of them.
"""

import socket
from typing import Any


def set_no_delay(connection: Any) -> None:
    """Set TCP_NODELAY, where the connection has it.

    Without it, an answer waits up to 40 ms for the client's delayed acknowledgement.
    """
    if _is_tcp(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def set_user_timeout(connection: Any, seconds: int) -> None:
    """Set TCP_USER_TIMEOUT, where the connection and the system have it.

    The system closes the connection when sent data is not acknowledged for `seconds`.
    """
    if _is_tcp(connection) and hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)


def _is_tcp(connection: Any) -> bool:
    return connection.family in (socket.AF_INET, socket.AF_INET6)
