"""What is kept of the request with which a connection began.

python-socketio keeps the WSGI environ of that request for as long as the connection lasts. Its
headers may hold hundreds of kilobytes, and its other values hold the socket and the request itself.
"""

from typing import Any, TypeAlias

Environ: TypeAlias = dict[str, Any]

KEPT_KEYS = frozenset(
    {
        "HTTP_HOST",
        "PATH_INFO",
        "REMOTE_ADDR",
        "REMOTE_PORT",
        "REQUEST_METHOD",
        "SCRIPT_NAME",
        "SERVER_NAME",
        "SERVER_PORT",
        "SERVER_PROTOCOL",
        "wsgi.url_scheme",
    }
)
"""What Flask needs to handle an event like a request."""

SESSION_KEY = "saved_session"
OBJECT_KEYS = frozenset({"flask.app", SESSION_KEY})
"""What Flask-SocketIO keeps in the environ."""

OWN_PREFIX = "confab."
"""Begins the keys that our own middleware adds."""

ADDRESS_KEY = f"{OWN_PREFIX}address"
"""The client's address, or the /64 network of an IPv6 address. "" if unknown."""

COOKIE_KEY = "HTTP_COOKIE"
"""Needed until Socket.IO has connected: then the session has been read from it."""

MAX_KEPT_CHARS = 512
"""Of one value; a longer one is left out."""


def reduced(environ: Environ) -> Environ:
    """Return a copy of an environ with what is needed to connect, and nothing else."""
    kept = {key: value for key, value in environ.items() if _is_kept(key, value)}
    if COOKIE_KEY in environ:
        kept[COOKIE_KEY] = environ[COOKIE_KEY]
    return kept


def _is_kept(key: str, value: object) -> bool:
    if key in OBJECT_KEYS:
        return True
    if key not in KEPT_KEYS and not key.startswith(OWN_PREFIX):
        return False
    return isinstance(value, str) and len(value) <= MAX_KEPT_CHARS


def forget_cookie(environ: Environ) -> None:
    """Remove the cookie, if the session has been read from it."""
    if SESSION_KEY in environ:
        environ.pop(COOKIE_KEY, None)
