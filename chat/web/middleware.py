"""The gate before Flask and Engine.IO: reads the body of every request, and lets only good requests for a socket pass.

Both parts are WSGI middleware (PEP 3333): they are called with a request, and pass it on or answer it.
"""

import json
import re
from collections.abc import Collection, Iterable
from io import BytesIO
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.exceptions import BadRequest, HTTPException

from chat.engine import close_after_response, read_body

SOCKET_PATH = "/socket.io/"
REFUSAL = (
    "confab.refusal"  # in an environ: the HTTPException that the page of a refused request shows
)


class BodyLimit:
    """Reads the body of every request, within limits, before anything else sees the request.

    What comes behind finds the whole body in memory, with its length in CONTENT_LENGTH, and cannot read from the
    connection. When a body is refused, its request goes on without it: to a page, with the reason in `REFUSAL`.
    """

    def __init__(
        self, app: WSGIApplication, *, page_bytes: int, socket_bytes: int, seconds: float
    ) -> None:
        self._app = app
        self._page_bytes = page_bytes
        self._socket_bytes = socket_bytes
        self._seconds = seconds

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_for_socket = environ["PATH_INFO"].startswith(SOCKET_PATH)
        try:
            body = read_body(
                environ, self._socket_bytes if is_for_socket else self._page_bytes, self._seconds
            )
        except HTTPException as refusal:
            _set_body(environ, b"")
            environ[REFUSAL] = refusal
            answer = (
                _refuse(start_response, refusal)
                if is_for_socket
                else self._app(environ, start_response)
            )
            return close_after_response(environ, start_response, answer)
        _set_body(environ, body)
        return self._app(environ, start_response)


def guard_requests(app: WSGIApplication, transports: Collection[str]) -> WSGIApplication:
    """A WSGI app that lets a request for a socket pass only when it is well-formed and asks for one of `transports`.

    The body must have been read already: see `BodyLimit`.
    """
    offer = json.dumps(
        {"message": "This transport is not offered here.", "transports": list(transports)}
    )

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith(SOCKET_PATH):
            return app(environ, start_response)
        # Compression costs memory for each connection and time for each message; without the offer there is none.
        environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        asked = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        if "j" in asked or (
            environ.get("HTTP_UPGRADE", "").lower() == "websocket" and not _is_handshake(environ)
        ):
            return _refuse(
                start_response, BadRequest("This needs WebSocket 13, or polling without JSONP.")
            )
        if asked.get("transport", ["polling"])[0] not in transports:
            return _refuse(start_response, BadRequest(offer))
        if environ["REQUEST_METHOD"] == "POST":
            text = (
                environ["wsgi.input"].read().decode(errors="replace")
            )  # bytes that are no text would end the session
            _set_body(environ, text.encode())
        return app(environ, start_response)

    return answer


def _is_handshake(environ: WSGIEnvironment) -> bool:
    """Whether a request asks for a WebSocket as RFC 6455 says, section 4.2.1."""
    connection = {part.strip() for part in environ.get("HTTP_CONNECTION", "").lower().split(",")}
    key = re.fullmatch(r"[A-Za-z0-9+/]{22}==", environ.get("HTTP_SEC_WEBSOCKET_KEY", ""))
    return (
        "upgrade" in connection
        and environ.get("HTTP_SEC_WEBSOCKET_VERSION") == "13"
        and key is not None
    )


def _set_body(environ: WSGIEnvironment, body: bytes) -> None:
    environ["wsgi.input"] = BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ.pop(
        "wsgi.input_terminated", None
    )  # else Werkzeug takes a body of just MAX_CONTENT_LENGTH for too large


def _refuse(start_response: StartResponse, refusal: HTTPException) -> list[bytes]:
    """Answer a request for a socket with a status and its reason as text."""
    reason = (refusal.description or refusal.name).encode()
    headers = [
        ("Content-Type", "text/plain"),
        ("Content-Length", str(len(reason))),
        ("Sec-WebSocket-Version", "13"),
    ]
    start_response(f"{refusal.code} {refusal.name.upper()}", headers)
    return [reason]
