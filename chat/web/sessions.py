"""Sessions: the signed cookie of a browser, and the copy of it that a socket keeps.

On https the name of the cookie has a prefix with which browsers refuse a cookie that was set over
http or by a neighboring host (RFC 6265bis, section 4.1.3).
"""

from datetime import timedelta
from typing import Any

from flask import Flask, Request, Response, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadSignature

from chat.clock import seconds_since

SAVED_SESSION_KEY = "saved_session"
"""Where Flask-SocketIO keeps, in the environ, the session it copied when the socket connected."""

COOKIE_NAME = "confab"
HOST_COOKIE_NAME = "__Host-confab"
SECURE_COOKIE_NAME = "__Secure-confab"

RENEWAL_INTERVAL = timedelta(days=1)
"""A cookie that is older is replaced by one that lives for the full time again."""


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


class CookieSession(SecureCookieSession):
    """The session in a cookie."""

    needs_renewal = False
    """Whether the cookie is old, or has another name than this request gives it."""


class SocketSessionInterface(SecureCookieSessionInterface):
    """Reads the signed cookie, except during an event, which uses the session of its socket."""

    session_class = CookieSession

    def open_session(self, app: Flask, request: Request) -> Any:
        """Return the socket's own session during an event, else the cookie's.

        A cookie without prefix, from before the server had https, is valid too.
        """
        if SAVED_SESSION_KEY in request.environ:
            return request.environ[SAVED_SESSION_KEY]
        for name in (cookie_name(request), COOKIE_NAME):
            session = self._read_cookie(app, request, name)
            if session is not None:
                return session
        return self.session_class()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set the cookie if the session has changed, or was used and needs a new cookie."""
        if isinstance(session, CookieSession) and session.needs_renewal and session.accessed:
            session.modified = True
        super().save_session(app, session, response)
        # Otherwise the one without prefix stays: workers of release 0.1.0 know no other.
        is_forgotten = session.modified and not session
        if is_forgotten and request.is_secure and COOKIE_NAME in request.cookies:
            path = self.get_cookie_path(app)
            response.delete_cookie(COOKIE_NAME, path, secure=True, httponly=True, samesite="Lax")

    def get_cookie_name(self, app: Flask) -> str:
        """Return the name of the cookie for the current request."""
        return cookie_name(request)

    def get_cookie_path(self, app: Flask) -> str:
        """Return the path below which browsers send the cookie."""
        return request.script_root or "/"

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return whether browsers send the cookie over https only."""
        return request.is_secure

    def _read_cookie(self, app: Flask, request: Request, name: str) -> CookieSession | None:
        """Return the session in a cookie; None when there is none, or it is invalid or too old."""
        value = request.cookies.get(name)
        signer = self.get_signing_serializer(app)
        if not value or signer is None:
            return None
        max_age = int(app.permanent_session_lifetime.total_seconds())
        try:
            data, signed_at = signer.loads(value, return_timestamp=True)
        except BadSignature:
            return None
        age_seconds = seconds_since(signed_at)
        if age_seconds > max_age:
            return None
        session = CookieSession(data)
        is_old = age_seconds > RENEWAL_INTERVAL.total_seconds()
        session.needs_renewal = is_old or name != cookie_name(request)
        return session


def cookie_name(request: Request) -> str:
    """Return the name that a request gives the cookie."""
    if not request.is_secure:
        return COOKIE_NAME
    # A cookie with the other prefix must have the path /.
    return SECURE_COOKIE_NAME if request.script_root else HOST_COOKIE_NAME
