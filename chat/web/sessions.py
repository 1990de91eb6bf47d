"""A socket's session and request: opened once, when it connects, and not again for each of its events."""

from typing import Any

from flask import Flask, Request
from flask.sessions import SecureCookieSessionInterface

SAVED_SESSION_KEY = (
    "saved_session"  # where Flask-SocketIO keeps what it copied when the socket connected
)


class ConfabFlask(Flask):
    """A Flask that looks for no page at the address of the sockets."""

    def create_url_adapter(self, request: Request | None) -> Any:
        return (
            None
            if request and request.path == "/socket.io/"
            else super().create_url_adapter(request)
        )


class SocketSessionInterface(SecureCookieSessionInterface):
    """Reads the signed cookie, except during an event: Flask-SocketIO puts the socket's own session in its place."""

    def open_session(self, app: Flask, request: Request) -> Any:
        return (
            request.environ[SAVED_SESSION_KEY]
            if SAVED_SESSION_KEY in request.environ
            else super().open_session(app, request)
        )
