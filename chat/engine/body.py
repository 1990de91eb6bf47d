"""Reads the body of a request within limits, and ends the connection of a request whose body is refused.

Three servers run us, and each reads in its own way: gunicorn, gunicorn with gevent, and Werkzeug's development server.
"""

import io
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from gunicorn.http.body import Body, ChunkedReader  # type: ignore[import-untyped]  # gunicorn ships no types
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from gunicorn.http.wsgi import Response  # type: ignore[import-untyped]
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout

from chat.engine.scheduler import time_limit, yield_now

MAX_LENGTH_DIGITS = 18
MAX_LINGER_SECONDS = 1.0
MAX_LINGER_BYTES = 16 * 1024 * 1024
RECEIVE_BYTES = 64 * 1024


def read_body(environ: WSGIEnvironment, max_bytes: int, max_seconds: float) -> bytes:
    """Read the whole body of a request; a request without one has an empty body.

    Raises BadRequest when the body is not what its headers announce, RequestEntityTooLarge when it is larger than
    `max_bytes`, and RequestTimeout when it has not arrived after `max_seconds`. The connection can then not be used
    for another request: nobody knows where the body ends.
    """
    length = _announced_length(environ)
    if length == 0:
        return b""
    if length is not None and length > max_bytes:
        raise RequestEntityTooLarge
    stream = environ["wsgi.input"]
    try:
        with time_limit(max_seconds, connection(environ)), _limited_chunks(stream, max_bytes):
            body = _read(stream, max_bytes + 1 if length is None else length)
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
    """The length that a request announces for its body, or None for a body in chunks. Raises BadRequest."""
    length = environ.get("CONTENT_LENGTH", "").strip()
    coding = environ.get("HTTP_TRANSFER_ENCODING")
    if coding is not None:
        # With both headers, a proxy and the server behind it may disagree where the body ends (RFC 9112, section 6.3).
        if (
            length
            or coding.strip().lower() != "chunked"
            or not environ.get("wsgi.input_terminated")
        ):
            raise BadRequest("The headers of this request do not say where its body ends.")
        return None
    if not length:
        return 0
    if not (length.isascii() and length.isdigit()) or len(length) > MAX_LENGTH_DIGITS:
        raise BadRequest("The length of the body is not a number.")
    return int(length)


def _read(stream: Any, size: int) -> bytes:
    """Read so many bytes, or fewer when the body ends before. Raises ValueError, among others, when it is cut off."""
    if not isinstance(stream, io.RawIOBase):
        data: bytes = stream.read(size)
        return data
    # Werkzeug decodes chunks itself. When the client ends within one, it returns a count that is too high, which
    # RawIOBase.read would believe; a buffer of a fixed size makes that an error.
    buffer = memoryview(bytearray(size))
    return bytes(buffer[: stream.readinto(buffer)])


def _limited_chunks(stream: Any, max_bytes: int) -> AbstractContextManager[None]:
    if isinstance(stream, Body) and isinstance(stream.reader, ChunkedReader):
        return _limited_receiving(stream.reader.req.unreader, max_bytes)
    return nullcontext()


@contextmanager
def _limited_receiving(unreader: Any, max_bytes: int) -> Iterator[None]:
    """Limit what gunicorn receives from a connection: it takes chunk headers and trailers of any length."""
    receive = unreader.chunk
    received = 0

    def limited_receive() -> bytes:
        nonlocal received
        if received > max_bytes:
            raise RequestEntityTooLarge
        data: bytes = receive()
        received += len(data)
        return data

    unreader.chunk = limited_receive
    try:
        yield
    finally:
        del unreader.chunk


def connection(environ: WSGIEnvironment) -> socket.socket | None:
    """The connection that a request came over, or None when a test made the request."""
    found: socket.socket | None = environ.get("gunicorn.socket", environ.get("werkzeug.socket"))
    return found


def close_after_response(
    environ: WSGIEnvironment, start_response: StartResponse, response: Iterable[bytes]
) -> Iterable[bytes]:
    """Have the server close the connection after a response, without taking what is left of the body for a request.

    Werkzeug's server closes every connection. gunicorn ignores the header `Connection` of an application.
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
    if (came_over := connection(environ)) is not None:
        _linger(came_over)


def _linger(connection: socket.socket) -> None:
    """Close a connection for writing, then drop for a moment what still arrives.

    The system answers data that nobody reads with a reset, which may destroy the response before it has been read.
    """
    ends = time.monotonic() + MAX_LINGER_SECONDS
    dropped = 0
    with suppress(OSError):  # the client may have gone
        connection.shutdown(socket.SHUT_WR)
        while dropped < MAX_LINGER_BYTES and (remaining := ends - time.monotonic()) > 0:
            connection.settimeout(remaining)
            data = connection.recv(RECEIVE_BYTES)
            if not data:
                return
            dropped += len(data)
            yield_now()
    with suppress(OSError):
        connection.shutdown(
            socket.SHUT_RD
        )  # else Werkzeug's server reads on until the client closes
