"""WSGI middleware before Flask and Engine.IO: limits request bodies and checks socket requests.

Middleware is called with a request and passes it on, or answers it (PEP 3333).
"""

import json
import re
from collections.abc import Collection, Iterable
from io import BytesIO
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.exceptions import BadRequest, HTTPException

from chat.engine import close_after_response, read_body, send_in_time

SOCKET_PATH = "/socket.io/"

REFUSAL_KEY = "confab.refusal"
"""In an environ: the HTTPException that the page of a refused request shows."""


class BodyLimit:
    """Reads the body of every request, within limits, before anything else sees the request.

    It also disconnects clients that do not read the answer.

    The app then finds the whole body in memory, its length in CONTENT_LENGTH, and cannot read from
    the connection. A request whose body is refused goes on without it: to a page, with the reason
    under `REFUSAL_KEY`; a socket request is answered here. Its connection is closed afterwards.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        page_bytes: int,
        socket_bytes: int,
        seconds: float,
        stall_seconds: int,
    ) -> None:
        self._app = app
        self._page_bytes = page_bytes
        self._socket_bytes = socket_bytes
        self._seconds = seconds
        self._stall_seconds = stall_seconds

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle a request."""
        response = self._respond(environ, start_response)
        return send_in_time(environ, response, self._stall_seconds)

    def _respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_for_socket = environ["PATH_INFO"].startswith(SOCKET_PATH)
        max_bytes = self._socket_bytes if is_for_socket else self._page_bytes
        try:
            body = read_body(environ, max_bytes, self._seconds)
        except HTTPException as refusal:
            return self._refuse(environ, start_response, refusal, is_for_socket)
        _set_body(environ, body)
        return self._app(environ, start_response)

    def _refuse(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        refusal: HTTPException,
        is_for_socket: bool,
    ) -> Iterable[bytes]:
        _set_body(environ, b"")
        environ[REFUSAL_KEY] = refusal
        if is_for_socket:
            response: Iterable[bytes] = _plain_response(start_response, refusal)
        else:
            response = self._app(environ, start_response)
        return close_after_response(environ, start_response, response)


class SocketRequestGuard:
    """Passes on a socket request only if it is well-formed and asks for an offered transport.

    The body must have been read already: see BodyLimit.
    """

    def __init__(self, app: WSGIApplication, transports: Collection[str]) -> None:
        self._app = app
        self._transports = transports
        offer = {"message": "This transport is not offered here.", "transports": list(transports)}
        self._offer = json.dumps(offer)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle a request."""
        if not environ["PATH_INFO"].startswith(SOCKET_PATH):
            return self._app(environ, start_response)
        # Without the offer there is no compression, which would cost memory for each connection and
        # time for each message.
        environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        is_jsonp = "j" in query
        wants_websocket = environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        if is_jsonp or (wants_websocket and not _is_handshake(environ)):
            reason = "Use WebSocket version 13, or polling without JSONP."
            return _plain_response(start_response, BadRequest(reason))
        if query.get("transport", ["polling"])[0] not in self._transports:
            return _plain_response(start_response, BadRequest(self._offer))
        if environ["REQUEST_METHOD"] == "POST":
            # Invalid UTF-8 would end the session.
            text = environ["wsgi.input"].read().decode(errors="replace")
            _set_body(environ, text.encode())
        return self._app(environ, start_response)


def _is_handshake(environ: WSGIEnvironment) -> bool:
    """Return whether a request is a WebSocket handshake as RFC 6455, section 4.2.1 requires."""
    connection = environ.get("HTTP_CONNECTION", "").lower().split(",")
    key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "")
    return (
        "upgrade" in {part.strip() for part in connection}
        and environ.get("HTTP_SEC_WEBSOCKET_VERSION") == "13"
        and re.fullmatch(r"[A-Za-z0-9+/]{22}==", key) is not None
    )


def _set_body(environ: WSGIEnvironment, body: bytes) -> None:
    environ["wsgi.input"] = BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    # With this key, Werkzeug takes a body of exactly MAX_CONTENT_LENGTH for too large.
    environ.pop("wsgi.input_terminated", None)


def _plain_response(start_response: StartResponse, refusal: HTTPException) -> list[bytes]:
    """Answer a socket request with a status and its reason as text."""
    reason = (refusal.description or refusal.name).encode()
    headers = [
        ("Content-Type", "text/plain"),
        ("Content-Length", str(len(reason))),
        ("Sec-WebSocket-Version", "13"),
    ]
    start_response(f"{refusal.code} {refusal.name.upper()}", headers)
    return [reason]
