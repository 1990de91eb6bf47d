"""Reads the body of a request within limits, and closes the connection after a refused one.

Three servers run the app, and each reads in its own way: gunicorn with eventlet, gunicorn with
gevent, and Werkzeug's development server.
"""

import io
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from gunicorn.http.body import Body, ChunkedReader  # type: ignore[import-untyped]  # it has no types
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]  # likewise
from gunicorn.http.wsgi import Response  # type: ignore[import-untyped]  # likewise
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout

from chat.engine.concurrency import time_limit, yield_now
from chat.engine.pending_requests import pending_requests

MAX_LENGTH_DIGITS = 18
MAX_LINGER_SECONDS = 1.0
MAX_LINGER_BYTES = 16 * 1024 * 1024
RECEIVE_BYTES = 64 * 1024


def read_body(environ: WSGIEnvironment, max_bytes: int, max_seconds: float) -> bytes:
    """Return the whole body of a request; b"" if it has none.

    Raises BadRequest when the body is not what its headers announce, RequestEntityTooLarge when it
    is larger than `max_bytes`, and RequestTimeout when it has not arrived after `max_seconds`. The
    connection can then not be used for another request, because the end of the body is unknown.
    """
    length = _announced_length(environ)
    if length == 0:
        return b""
    if length is not None and length > max_bytes:
        raise RequestEntityTooLarge
    stream = environ["wsgi.input"]
    size = max_bytes + 1 if length is None else length
    connection = connection_of(environ)
    try:
        with (
            pending_requests.waiting(connection),
            time_limit(max_seconds, connection),
            _limit_chunks(stream, max_bytes),
        ):
            body = _read(stream, size)
    except TimeoutError:
        raise RequestTimeout from None
    except (OSError, ValueError, ParseException):
        raise BadRequest("The body of this request cannot be read.") from None
    if len(body) > max_bytes:
        raise RequestEntityTooLarge
    if length is not None and len(body) < length:
        raise BadRequest("The body of this request is shorter than its headers say.")
    return body


def _announced_length(environ: WSGIEnvironment) -> int | None:
    """Return the announced length of a body, or None for a chunked body. Raises BadRequest."""
    length = environ.get("CONTENT_LENGTH", "").strip()
    coding = environ.get("HTTP_TRANSFER_ENCODING")
    if coding is not None:
        # With both headers, a proxy and the server behind it may disagree where the body ends
        # (RFC 9112, section 6.3).
        is_chunked = coding.strip().lower() == "chunked"
        if length or not is_chunked or not environ.get("wsgi.input_terminated"):
            raise BadRequest("The headers of this request do not say where its body ends.")
        return None
    if not length:
        return 0
    is_number = length.isascii() and length.isdigit()
    if not is_number or len(length) > MAX_LENGTH_DIGITS:
        raise BadRequest("The length of the body is not a number.")
    return int(length)


def _read(stream: Any, size: int) -> bytes:
    """Read `size` bytes, or fewer when the body ends before.

    Raises OSError, ValueError or ParseException when the body is malformed or cut off.
    """
    if not isinstance(stream, io.RawIOBase):
        data: bytes = stream.read(size)
        return data
    # Werkzeug decodes chunks itself. When the client disconnects within one, it returns a count
    # that is too high, which RawIOBase.read would believe; a buffer of a fixed size makes that an
    # error.
    buffer = memoryview(bytearray(size))
    count = stream.readinto(buffer)
    return bytes(buffer[:count])


def _limit_chunks(stream: Any, max_bytes: int) -> AbstractContextManager[None]:
    """Limit what gunicorn receives of a chunked body, with its chunk headers and trailers."""
    if isinstance(stream, Body) and isinstance(stream.reader, ChunkedReader):
        return _limit_receiving(stream.reader.req.unreader, max_bytes)
    return nullcontext()


@contextmanager
def _limit_receiving(unreader: Any, max_bytes: int) -> Iterator[None]:
    receive = unreader.chunk
    received_bytes = 0

    def limited_receive(*size_hint: int | None) -> bytes:
        nonlocal received_bytes
        if received_bytes > max_bytes:
            raise RequestEntityTooLarge
        data: bytes = receive(*size_hint)
        received_bytes += len(data)
        return data

    unreader.chunk = limited_receive
    try:
        yield
    finally:
        del unreader.chunk  # the method of the class is used again


def connection_of(environ: WSGIEnvironment) -> socket.socket | None:
    """Return the connection of a request, or None when a test client made the request."""
    connection: socket.socket | None = environ.get("gunicorn.socket")
    if connection is None:
        connection = environ.get("werkzeug.socket")
    return connection


def close_after_response(
    environ: WSGIEnvironment, start_response: StartResponse, response: Iterable[bytes]
) -> Iterable[bytes]:
    """Close the connection after a response, so that a body's rest is not read as a request.

    Werkzeug's server closes every connection. gunicorn ignores the header `Connection` of an
    application.
    """
    server_response = getattr(start_response, "__self__", None)
    if isinstance(server_response, Response):
        server_response.force_close()
    yield b""  # sends the headers of a response without a body too
    try:
        yield from response
    finally:
        if hasattr(response, "close"):
            response.close()
    connection = connection_of(environ)
    if connection is not None:
        linger(connection)


def linger(connection: socket.socket) -> None:
    """Close a connection for writing, then discard for a moment what still arrives.

    If data is left unread, the system resets the connection, and the client may lose the response.
    """
    with suppress(OSError):  # the client may have disconnected
        connection.shutdown(socket.SHUT_WR)
        has_ended = _discard(connection)
        if has_ended:
            return
    with suppress(OSError):
        # Otherwise Werkzeug's server would read on until the client closes.
        connection.shutdown(socket.SHUT_RD)


def _discard(connection: socket.socket) -> bool:
    """Read and discard within the limits; return whether the client has closed. Raises OSError."""
    end = time.monotonic() + MAX_LINGER_SECONDS
    discarded_bytes = 0
    while discarded_bytes < MAX_LINGER_BYTES:
        remaining_seconds = end - time.monotonic()
        if remaining_seconds <= 0:
            return False
        connection.settimeout(remaining_seconds)
        data = connection.recv(RECEIVE_BYTES)
        if not data:
            return True
        discarded_bytes += len(data)
        yield_now()
    return False
