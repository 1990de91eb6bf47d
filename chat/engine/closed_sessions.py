"""Lets Engine.IO forget a session that has ended when the next request for it arrives.

Engine.IO keeps a closed session until its service task visits it, and until then raises KeyError
for a POST request, which would be answered with 500. A request for a session that it does not know
is answered with 400, after which clients reconnect.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class ClosedSessions:
    """WSGI middleware directly around Engine.IO, so that nothing closes a session in between."""

    def __init__(self, app: WSGIApplication, eio: Any, socket_path: str) -> None:
        self._app = app
        self._eio = eio
        self._socket_path = socket_path

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle a request."""
        is_socket_request = environ["PATH_INFO"].startswith(self._socket_path)
        if is_socket_request and environ["REQUEST_METHOD"] == "POST":
            query = parse_qs(environ.get("QUERY_STRING", ""))
            self._forget_if_closed(query.get("sid", [""])[0])
        return self._app(environ, start_response)

    def _forget_if_closed(self, sid: str) -> None:
        session = self._eio.sockets.get(sid)
        if session is not None and session.closed:
            self._eio.sockets.pop(sid, None)
