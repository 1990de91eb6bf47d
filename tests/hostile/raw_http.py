"""HTTP requests written by hand, for attackers: incomplete, malformed, and without reading."""

import re
import socket
from contextlib import suppress
from typing import Self

TIMEOUT_SECONDS = 20.0
RECEIVE_BYTES = 64 * 1024

FORM_TYPE = "application/x-www-form-urlencoded"
STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")
CHUNKED = re.compile(rb"\r\nTransfer-Encoding: chunked\r\n", re.IGNORECASE)
LAST_CHUNK = b"\r\n0\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)


def port_of(url: str) -> int:
    """Return the port of a server's URL."""
    return int(url.rpartition(":")[2])


def head(method: str, path: str, address: str, **headers: str) -> bytes:
    """Return the request line and the headers of a request that comes from a client address.

    Keyword arguments replace or add headers, with `_` for `-`.
    """
    sent = {"Host": "localhost", "X-Forwarded-For": address}
    for name, value in headers.items():
        sent[name.replace("_", "-")] = value
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class RawHttp:
    """A TCP connection to a server."""

    def __init__(self, url: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port_of(url)), TIMEOUT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """Send bytes; return False when the server has closed the connection."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def end(self) -> None:
        """Close the connection for writing; it can still receive."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def receive(self) -> bytes:
        """Return the next bytes from the server; b"" when it has closed the connection."""
        with suppress(ConnectionError):
            return self.socket.recv(RECEIVE_BYTES)
        return b""

    def response(self) -> bytes:
        """Return one response with its body; what there is when the server closes before its end.

        Only for responses with a length, or in chunks of text.
        """
        received = b""
        while not _is_complete(received):
            data = self.receive()
            if not data:
                break
            received += data
        return received

    def ask(self, method: str, path: str, address: str, **headers: str) -> bytes:
        """Send a request without a body; return its response."""
        self.send(head(method, path, address, **headers))
        return self.response()


def _is_complete(response: bytes) -> bool:
    end_of_head = response.find(b"\r\n\r\n")
    if end_of_head < 0:
        return False
    length = CONTENT_LENGTH.search(response, 0, end_of_head + 2)
    if length:
        return len(response) >= end_of_head + 4 + int(length[1])
    is_chunked = CHUNKED.search(response, 0, end_of_head + 2) is not None
    return is_chunked and response.endswith(LAST_CHUNK)


def status_of(response: bytes) -> int:
    """Return the status of a response, 0 when there is none."""
    found = STATUS_LINE.match(response)
    return int(found[1]) if found else 0


def ask(url: str, method: str, path: str, address: str, **headers: str) -> bytes:
    """Send a request without a body on a connection of its own; return the response."""
    with RawHttp(url) as connection:
        return connection.ask(method, path, address, **{"Connection": "close", **headers})
