"""Sets TCP options of a client's connection.

A Unix socket, such as that of a proxy on the same host, has none of them.
"""

import socket
from typing import Any

MAX_STALL_SECONDS = 15
"""How long the kernel may accept none of the bytes that wait, and how long the client may leave
bytes unacknowledged that the kernel has accepted (TCP_USER_TIMEOUT).

A client that does not read answers no ping either, so a much higher value has no effect: the ping
timeout ends the connection first.
"""

SEND_BUFFER_BYTES = 128 * 1024
"""The kernel doubles it, for its own bookkeeping."""


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


def limit_send_buffer(connection: Any) -> None:
    """Limit what the kernel keeps of sent data that the client has not read.

    The kernel's own limit grows to several megabytes for each connection.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


def _is_tcp(connection: Any) -> bool:
    return connection.family in (socket.AF_INET, socket.AF_INET6)
