"""A connection between two workers of one host: it carries one request and its reply.

A message consists of a preamble, a head in JSON and a body of bytes. With the preamble, a message
may pass on an open socket (SCM_RIGHTS, see unix(7)).
"""

import errno
import json
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from time import monotonic
from typing import Any, Self

from chat.engine.concurrency import pause, time_limit
from chat.engine.tcp import disconnect

PREAMBLE = Struct("!II")
"""The bytes of the head, and those of the body."""

MAX_HEAD_BYTES = 2 * 1024 * 1024
"""More than a request can need with the limits in gunicorn.conf.py: about 1.1 MB.

Its request line and headers have up to 528,254 bytes. The parts of the request line occur twice,
and JSON needs at most two bytes for each byte, because headers contain no control characters.
"""

MAX_BODY_BYTES = 1024 * 1024
"""Of a request; the middleware accepts far less. A reply has no limit: it is read in pieces."""

PIECE_BYTES = 64 * 1024
CONNECT_SECONDS = 5.0
RETRY_SECONDS = 0.02

STALL_SECONDS = 20.0
"""How long the other worker may read or send nothing while a message is on its way.

More than its own client may read nothing, see `config.stall_seconds`.
"""


class MalformedMessage(Exception):
    """No worker of this release sends such a message."""


@dataclass(frozen=True)
class Head:
    """The beginning of a message; its body has not been read yet."""

    fields: dict[str, Any]
    body_bytes: int
    passed_socket: Any  # None if none was passed on


class WorkerChannel:
    """One end of the connection. Its methods raise OSError when the other end has failed."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        connection.settimeout(STALL_SECONDS)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Connect to the worker with the socket at `path`. Raises OSError when it is gone."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _connect(connection, str(path))
        except BaseException:
            connection.close()
            raise
        return cls(connection)

    def send(self, fields: dict[str, Any], body: bytes, passed_socket: Any = None) -> None:
        """Send a message."""
        head = json.dumps(fields, ensure_ascii=False).encode()
        preamble = PREAMBLE.pack(len(head), len(body))
        if passed_socket is None:
            self._connection.sendall(preamble + head + body)
            return
        # Nothing has been sent before, so the kernel accepts so few bytes at once.
        socket.send_fds(self._connection, [preamble], [passed_socket.fileno()])
        self._connection.sendall(head + body)

    def receive_head(self, seconds: float) -> Head:
        """Wait for the beginning of a message. Raises TimeoutError and MalformedMessage."""
        with time_limit(seconds):
            preamble, passed_socket = self._receive_preamble(seconds)
            try:
                head_bytes, body_bytes = PREAMBLE.unpack(preamble)
                if head_bytes > MAX_HEAD_BYTES:
                    raise MalformedMessage
                return Head(self._receive_json(head_bytes), body_bytes, passed_socket)
            except BaseException:
                if passed_socket is not None:
                    passed_socket.close()
                raise

    def receive_body(self, head: Head) -> bytes:
        """Return the body of a request. Raises MalformedMessage."""
        if head.body_bytes > MAX_BODY_BYTES:
            raise MalformedMessage
        return b"".join(self.receive_pieces(head))

    def receive_pieces(self, head: Head) -> Iterator[bytes]:
        """Yield the body of a message in pieces, as it arrives."""
        missing = head.body_bytes
        while missing:
            piece = self._connection.recv(min(missing, PIECE_BYTES))
            if not piece:
                raise _reset_error()
            missing -= len(piece)
            yield piece

    def disconnect(self) -> None:
        """End the connection; a greenlet that waits for a message finds its end."""
        disconnect(self._connection)

    def close(self) -> None:
        """Close this end."""
        self._connection.close()

    def _receive_preamble(self, seconds: float) -> tuple[bytes, Any]:
        """Return the preamble, and the socket that was passed on with it, or None.

        Its first byte may take `seconds`, since the answer to a poll takes longer than a stall.
        """
        data, passed_socket = b"", None
        self._connection.settimeout(seconds)
        while not data:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._connection, PREAMBLE.size, 1)
            except BlockingIOError:  # under eventlet, which knows this call no better
                select.select([self._connection], [], [])
                continue
            if descriptors:
                # -1: the system knows of which kind it is
                passed_socket = socket.socket(-1, -1, -1, fileno=descriptors[0])
            if not data:
                raise _reset_error()
        self._connection.settimeout(STALL_SECONDS)
        return data + self._receive_exactly(PREAMBLE.size - len(data)), passed_socket

    def _receive_exactly(self, size: int) -> bytes:
        return b"".join(self.receive_pieces(Head({}, size, None)))

    def _receive_json(self, size: int) -> dict[str, Any]:
        try:
            fields = json.loads(self._receive_exactly(size))
        except ValueError:
            raise MalformedMessage from None
        if not isinstance(fields, dict):
            raise MalformedMessage
        return fields


incoming_channels: set[WorkerChannel] = set()
"""The channels whose request this process is answering; it waits for them when it stops."""


forwarded_polls: set[WorkerChannel] = set()
"""The channels whose answer to a poll this process waits for; it ends them when it stops."""


def _reset_error() -> ConnectionResetError:
    """Return the error of an ended channel, with the number without which gunicorn would log it."""
    return ConnectionResetError(errno.ECONNRESET, "the other worker has ended")


def _connect(connection: Any, path: str) -> None:
    """Connect to a Unix socket. Raises OSError, also when the other worker does not accept."""
    connection.settimeout(0)
    give_up_at = monotonic() + CONNECT_SECONDS
    while True:
        try:
            connection.connect(path)
        except BlockingIOError:  # its queue of new connections is full
            if monotonic() > give_up_at:
                raise TimeoutError from None
            pause(RETRY_SECONDS)
        else:
            return
