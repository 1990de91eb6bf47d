"""HTTP written by hand: requests that no library would send, byte by byte if need be."""

import re
import socket
from typing import Self

from tests.servers import ConfabServer

FORM_TYPE = "application/x-www-form-urlencoded"


class Connection:
    """A TCP connection that sends arbitrary bytes.

    `buffer_bytes` limits what the kernel receives before it is read.
    """

    def __init__(self, server: ConfabServer, buffer_bytes: int | None = None) -> None:
        self._socket = socket.socket()
        self._socket.settimeout(15)
        if buffer_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self._socket.connect(("127.0.0.1", server.port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def send(self, data: bytes) -> bool:
        """Send bytes; return False when the server has closed the connection."""
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def end(self) -> None:
        """Close the connection for writing; it can still receive."""
        self._socket.shutdown(socket.SHUT_WR)

    def receive(self) -> bytes:
        """Return the next bytes from the server; b"" when it has closed the connection."""
        try:
            return self._socket.recv(65536)
        except ConnectionError:
            return b""

    def receive_all(self) -> bytes:
        """Return everything that the server sends until it closes the connection."""
        received = b""
        while True:
            data = self.receive()
            if not data:
                return received
            received += data


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """Return the bytes of a request.

    Without other headers, its Content-Length is that of the body.
    """
    if not headers:
        headers = {"Content_Length": str(len(body))}
    sent_headers = {"Host": "localhost", "Content-Type": FORM_TYPE}
    for name, value in headers.items():
        sent_headers[name.replace("_", "-")] = value
    header_lines = [f"{name}: {value}" for name, value in sent_headers.items()]
    lines = [f"{method} {path} HTTP/1.1", *header_lines, "", ""]
    return "\r\n".join(lines).encode() + body


def chunked(body: bytes, size: int = 1000) -> bytes:
    """Return a body in chunks of this size."""
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def status(answer: bytes) -> int:
    """Return the status of an answer, or 0 when it is not an answer."""
    status_line = re.match(rb"HTTP/1.[01] (\d+)", answer)
    return int(status_line[1]) if status_line else 0
