"""HTTP written by hand: requests that no library would send, byte by byte if need be."""

import re
import socket
import ssl
from contextlib import suppress
from typing import Protocol, Self

TIMEOUT_SECONDS = 20.0
RECEIVE_BYTES = 64 * 1024

FORM_TYPE = "application/x-www-form-urlencoded"
STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")
CHUNKED = re.compile(rb"\r\nTransfer-Encoding: chunked\r\n", re.IGNORECASE)
LAST_CHUNK = b"\r\n0\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)


class Server(Protocol):
    """A server on this machine."""

    @property
    def port(self) -> int:
        """Return where it listens."""


class Connection:
    """A TCP connection that sends arbitrary bytes.

    `buffer_bytes` limits what the kernel receives before it is read.
    """

    def __init__(self, server: Server, buffer_bytes: int | None = None) -> None:
        self._socket = socket.socket()
        self._socket.settimeout(TIMEOUT_SECONDS)
        if buffer_bytes is not None:
            self.limit_receive_buffer(buffer_bytes)
        self._socket.connect(("127.0.0.1", server.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def limit_receive_buffer(self, size: int) -> None:
        """Let the kernel receive only so many bytes before they are read."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def fileno(self) -> int:
        """Return the file descriptor, for selectors."""
        return self._socket.fileno()

    def client_port(self) -> int:
        """Return the port on our side."""
        port: int = self._socket.getsockname()[1]
        return port

    def send(self, data: bytes) -> bool:
        """Send bytes; return False when the server has closed the connection."""
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def end(self) -> None:
        """Close the connection for writing; it can still receive."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def receive(self) -> bytes:
        """Return the next bytes from the server; b"" when it has closed the connection."""
        with suppress(ConnectionError):
            return self._socket.recv(RECEIVE_BYTES)
        return b""

    def receive_all(self) -> bytes:
        """Return everything that the server sends until it closes the connection."""
        received = b""
        while True:
            data = self.receive()
            if not data:
                return received
            received += data

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


class TlsConnection(Connection):
    """A connection with TLS, to a server with any certificate."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._socket = context.wrap_socket(self._socket)


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """Return the bytes of a request.

    Without other headers, its Content-Length is that of the body.
    """
    if not headers:
        headers = {"Content_Length": str(len(body))}
    return head(method, path, **{"Content_Type": FORM_TYPE, **headers}) + body


def head(method: str, path: str, **headers: str) -> bytes:
    """Return the request line and the headers of a request to localhost.

    Keyword arguments replace or add headers, with `_` for `-`.
    """
    sent_headers = {"Host": "localhost"}
    for name, value in headers.items():
        sent_headers[name.replace("_", "-")] = value
    header_lines = [f"{name}: {value}" for name, value in sent_headers.items()]
    lines = [f"{method} {path} HTTP/1.1", *header_lines, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def chunked(body: bytes, size: int = 1000) -> bytes:
    """Return a body in chunks of this size."""
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def status(answer: bytes) -> int:
    """Return the status of an answer, or 0 when it is not an answer."""
    found = STATUS_LINE.match(answer)
    return int(found[1]) if found else 0


def _is_complete(response: bytes) -> bool:
    end_of_head = response.find(b"\r\n\r\n")
    if end_of_head < 0:
        return False
    length = CONTENT_LENGTH.search(response, 0, end_of_head + 2)
    if length:
        return len(response) >= end_of_head + 4 + int(length[1])
    is_chunked = CHUNKED.search(response, 0, end_of_head + 2) is not None
    return is_chunked and response.endswith(LAST_CHUNK)
