"""Sessions: the signed cookie of a browser, and the copy of it that a socket keeps.

On https the name of the cookie has a prefix with which browsers refuse a cookie that was set over
http or by a neighboring host (RFC 6265bis, section 4.1.3).

A form of another site cannot change the cookie either. Browsers do not send a SameSite=Lax cookie
with it, so its request looks like that of somebody new; but they would accept a new cookie in the
answer, which would replace the identity they have.
"""

from datetime import timedelta
from typing import Any

from flask import Flask, Request, Response, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadSignature

from chat.clock import seconds_since
from chat.web.addresses import parse_address, parse_origin
from chat.web.allowed_hosts import AllowedHosts

SAVED_SESSION_KEY = "saved_session"
"""Where Flask-SocketIO keeps, in the environ, the session it copied when the socket connected."""

COOKIE_NAME = "confab"
HOST_COOKIE_NAME = "__Host-confab"
SECURE_COOKIE_NAME = "__Secure-confab"

RENEWAL_INTERVAL = timedelta(days=1)
"""A cookie that is older is replaced by one that lives for the full time again."""

SAFE_METHODS = ("GET", "HEAD")

OWN_FETCH_SITES = ("same-origin", "none")
"""The values of Sec-Fetch-Site with which no page of another host has sent a request.

`same-site` is none of them: it stands for neighboring hosts too (W3C Fetch Metadata).
"""

NO_ORIGIN = "null"
"""The Origin of a page that does not name its own, such as one with `no-referrer`."""


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

    def __init__(self, hosts: AllowedHosts) -> None:
        self._hosts = hosts

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
        created = self.session_class()
        created.new = True
        return created

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set the cookie if the session has changed, or was used and needs a new cookie.

        The answer to a form of another site neither sets nor deletes one.
        """
        if not self._may_change_cookie(session):
            return
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

    def _may_change_cookie(self, session: SessionMixin) -> bool:
        """Return whether a page of another site cannot have sent this request.

        GET is never refused: browsers send the cookie when somebody follows a link, and they ignore
        one that is set by an image or a frame in a page of another site.

        Browsers send Sec-Fetch-Site over https and to loopback, and all but old ones send Origin.
        Both our own private rooms and other sites can send `null` as Origin. Without any sign of
        where a form comes from, a request that brought no valid cookie gets none: our own pages
        have set one before they show a form.
        """
        if request.method in SAFE_METHODS:
            return True
        fetch_site = request.headers.get("Sec-Fetch-Site")
        if fetch_site is not None:
            return fetch_site in OWN_FETCH_SITES
        origin = request.headers.get("Origin", NO_ORIGIN)
        if origin == NO_ORIGIN:
            return not session.new
        return self._is_own_origin(origin)

    def _is_own_origin(self, text: str) -> bool:
        """Return whether an Origin header names this site, as the current request reached it."""
        origin = parse_origin(text)
        address = parse_address(request.host)
        if origin is None or address is None:
            return False
        return self._hosts.allows_origin(origin, address, request.scheme)

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
