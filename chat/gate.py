"""The gate before Engine.IO: which requests for a socket may pass, and with how much in them."""

import json
import re
from collections.abc import Callable, Collection
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from chat.engine import patience


def _is_handshake(environ: dict[str, Any]) -> bool:
    """Whether a request asks for a WebSocket as RFC 6455 says, section 4.2.1."""
    connection = {part.strip() for part in environ.get("HTTP_CONNECTION", "").lower().split(",")}
    key = re.fullmatch(r"[A-Za-z0-9+/]{22}==", environ.get("HTTP_SEC_WEBSOCKET_KEY", ""))
    return "upgrade" in connection and environ.get("HTTP_SEC_WEBSOCKET_VERSION") == "13" and key is not None


def begin_well(app: Callable[..., Any], transports: Collection[str], at_most: int) -> Callable[..., Any]:
    """A WSGI app that lets requests for a socket pass only by `transports`, and with `at_most` bytes in them."""
    offer = json.dumps({"message": "This transport is not offered here.", "transports": list(transports)}).encode()

    def refuse(start_response: Callable[..., Any], status: str, why: bytes) -> list[bytes]:
        start_response(status, [("Content-Type", "text/plain"), ("Sec-WebSocket-Version", "13")])
        return [why]

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if not environ["PATH_INFO"].startswith("/socket.io/"):
            return app(environ, start_response)
        # Compression costs memory for each connection and time for each message; without the offer there is none.
        environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        asked = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        if "j" in asked or (environ.get("HTTP_UPGRADE", "").lower() == "websocket" and not _is_handshake(environ)):
            return refuse(start_response, "400 BAD REQUEST", b"This needs WebSocket 13, or polling without JSONP.")
        if asked.get("transport", ["polling"])[0] not in transports:
            return refuse(start_response, "400 BAD REQUEST", offer)
        # Engine.IO would end the session of a body that is too long, and wait for ever until somebody reads the end.
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > at_most:
            return refuse(start_response, "413 CONTENT TOO LARGE", b"This body is too long.")
        if environ["REQUEST_METHOD"] == "POST":
            try:
                with patience(10.0):  # seconds
                    body = environ["wsgi.input"].read(int(length))
            except TimeoutError:
                return refuse(start_response, "408 REQUEST TIMEOUT", b"The body did not come.")
            environ["wsgi.input"] = BytesIO(body.decode(errors="replace").encode())
            environ["CONTENT_LENGTH"] = str(len(environ["wsgi.input"].getvalue()))
        return app(environ, start_response)

    return answer
