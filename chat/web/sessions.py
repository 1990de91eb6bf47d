"""Sessions of sockets: session and routing are resolved once, when a socket connects."""

from typing import Any

from flask import Flask, Request
from flask.sessions import SecureCookieSessionInterface

SAVED_SESSION_KEY = "saved_session"
"""Where Flask-SocketIO keeps, in the environ, the session it copied when the socket connected."""


class ConfabFlask(Flask):
    """A Flask app that matches no route for requests of Socket.IO."""

    def create_url_adapter(self, request: Request | None) -> Any:
        """Return None for Socket.IO: no event needs routing, which takes time.

        Only requests with exactly this path go to Socket.IO. `request.path` is the same for
        `//socket.io/` too.
        """
        if request is not None and request.environ["PATH_INFO"] == "/socket.io/":
            return None
        return super().create_url_adapter(request)


class SocketSessionInterface(SecureCookieSessionInterface):
    """Reads the signed cookie, except during an event, which uses the session of its socket."""

    def open_session(self, app: Flask, request: Request) -> Any:
        """Return the socket's own session during an event, else the cookie's."""
        if SAVED_SESSION_KEY in request.environ:
            return request.environ[SAVED_SESSION_KEY]
        return super().open_session(app, request)
