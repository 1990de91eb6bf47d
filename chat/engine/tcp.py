"""Sets TCP options of a client's connection, ends it, and reads its address.

A Unix socket, such as that of a proxy on the same host, has neither options nor an address.
"""

import _socket
import socket
import ssl
from contextlib import suppress
from typing import Any

MAX_STALL_SECONDS = 15
"""How long the kernel may accept none of the bytes that wait, and how long the client may leave
bytes unacknowledged that the kernel has accepted (TCP_USER_TIMEOUT).

A client that does not read answers no ping either, so a much higher value has no effect: the ping
timeout ends the connection first.
"""

SEND_BUFFER_BYTES = 128 * 1024
"""The kernel doubles it, for its own bookkeeping."""

IPV4_MAPPED = "::ffff:"
"""Begins the address of an IPv4 client at a socket for both versions (RFC 4291, 2.5.5.2)."""


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


def disconnect(connection: Any) -> None:
    """End a connection in both directions, in every process that has it."""
    with suppress(OSError):  # the client may have disconnected
        if isinstance(connection, ssl.SSLSocket):
            # The same method of an SSLSocket would end the encryption first. That of gevent is no
            # socket of the system, but has one.
            system_socket = getattr(connection, "_sock", connection)
            _socket.socket.shutdown(system_socket, socket.SHUT_RDWR)
        else:
            connection.shutdown(socket.SHUT_RDWR)


def _is_tcp(connection: Any) -> bool:
    return connection.family in (socket.AF_INET, socket.AF_INET6)


def plain_address(address: Any) -> Any:
    """Return the address of a client, without what marks an IPv4 address that is written as IPv6.

    That of a Unix socket, which is no tuple, stays as it is.
    """
    if not isinstance(address, tuple) or not address[0].startswith(IPV4_MAPPED):
        return address
    return (address[0].removeprefix(IPV4_MAPPED), address[1])
