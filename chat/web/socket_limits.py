"""WSGI middleware that limits the handshakes and the open connections of a client address."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from chat.connection_limits import OpenConnections
from chat.engine import ADDRESS_KEY
from chat.errors import Refusal, TooManyConnections
from chat.limits import Limits
from chat.web.middleware import SOCKET_PATH
from chat.web.plain_refusals import refuse_as_json


class SocketLimits:
    """Answers a handshake of Engine.IO above the limits with 429 or 503, and passes on the rest.

    A POST without a session is answered in the same way, but takes no token, because it cannot open
    a session. With it, a page asks why its handshake has failed, which browsers do not tell.

    A WebSocket for an existing session is a handshake too: it is another open connection, until the
    upgrade is complete or fails. Other requests of a session are none.
    """

    def __init__(self, app: WSGIApplication, limits: Limits, connections: OpenConnections) -> None:
        self._app = app
        self._limits = limits
        self._connections = connections

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle a request."""
        if self._limits.is_enabled and _is_handshake(environ):
            try:
                self._check(environ)
            except Refusal as refusal:
                return refuse_as_json(start_response, refusal)
        return self._app(environ, start_response)

    def on_session_opened(self, sid: str, environ: dict[str, Any]) -> None:
        """Count a session that has been opened."""
        if self._limits.is_enabled:
            self._connections.add(self._key(environ), sid)

    def on_namespace_left(self, sid: str) -> None:
        """Do nothing: the session is still open."""

    def on_session_closed(self, sid: str) -> None:
        """Forget a session that has ended."""
        self._connections.remove(sid)

    def _key(self, environ: dict[str, Any]) -> str | None:
        return self._limits.address_key(environ.get(ADDRESS_KEY))

    def _check(self, environ: WSGIEnvironment) -> None:
        """Raise RateLimited or TooManyConnections."""
        key = self._key(environ)
        has_session = _has_session(environ)
        if environ["REQUEST_METHOD"] == "POST" and not has_session:
            self._limits.check("address_handshakes", key)
        else:
            self._limits.take("address_handshakes", key)
        if not has_session and self._connections.is_full(key):
            raise TooManyConnections("Too many connections from your network are open.")


def _is_handshake(environ: WSGIEnvironment) -> bool:
    if not environ["PATH_INFO"].startswith(SOCKET_PATH):
        return False
    return not _has_session(environ) or "HTTP_UPGRADE" in environ


def _has_session(environ: WSGIEnvironment) -> bool:
    return "sid" in parse_qs(environ.get("QUERY_STRING", ""))
