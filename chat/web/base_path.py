"""WSGI middleware for a site that is not at the root of its host but below a path, such as /chat.

It moves the path from PATH_INFO to SCRIPT_NAME (PEP 3333), from which Flask makes all addresses of
pages. Whatever comes after it sees the same paths as at the root of a host.
"""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from chat.web.trusted_proxies import TrustedProxies
from config import parse_base_path


class BasePath:
    """Serves an app below `base_path`, or else below the path in the X-Forwarded-Prefix of a proxy.

    A proxy may leave `base_path` in the path of a request or remove it. One that sends
    X-Forwarded-Prefix, the path that it has removed, has to be in `trusted`, which is the setting
    FORWARDED_ALLOW_IPS. Every other X-Forwarded-Prefix is ignored.
    """

    def __init__(self, app: WSGIApplication, base_path: str, trusted: str) -> None:
        self._app = app
        self._base_path = base_path
        self._proxies = TrustedProxies(trusted)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle a request."""
        if self._base_path:
            environ["SCRIPT_NAME"] = self._base_path
            environ["PATH_INFO"] = self._without_base_path(environ["PATH_INFO"])
        elif "HTTP_X_FORWARDED_PREFIX" in environ:
            prefix = self._forwarded_prefix(environ)
            if prefix:
                environ["SCRIPT_NAME"] = prefix
        return self._app(environ, start_response)

    def _without_base_path(self, path: str) -> str:
        if path == self._base_path:
            return "/"
        if path.startswith(f"{self._base_path}/"):
            return path.removeprefix(self._base_path)
        return path

    def _forwarded_prefix(self, environ: WSGIEnvironment) -> str:
        """Return the path that a trusted proxy has removed; "" without one that is valid."""
        is_dev_server = "werkzeug.socket" in environ
        if is_dev_server or not self._proxies.contains(environ.get("REMOTE_ADDR", "")):
            return ""
        try:
            return parse_base_path(environ["HTTP_X_FORWARDED_PREFIX"])
        except ValueError:
            return ""
