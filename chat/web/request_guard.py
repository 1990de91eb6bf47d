"""WSGI middleware: refuses requests for hosts and from pages that are not allowed.

Only the limits of their client address come before it, so that refused requests count too.
"""

import json
import logging
from base64 import b64encode
from collections.abc import Collection, Iterable
from hashlib import sha256
from time import monotonic
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from markupsafe import escape
from werkzeug.wrappers import Response

from chat.engine import ADDRESS_KEY, close_after_response
from chat.errors import RateLimited
from chat.limits import Limits
from chat.web.addresses import Address, parse_address, parse_origin
from chat.web.allowed_hosts import AllowedHosts
from chat.web.middleware import SOCKET_PATH
from chat.web.plain_refusals import refuse

LOG_INTERVAL_SECONDS = 10.0
MAX_LOGGED_CHARS = 100

SERVER_VARIABLES = ("HTTP_SCRIPT_NAME", "HTTP_PATH_INFO")
"""Headers that a gunicorn with other settings takes for variables of the server."""

FORWARDING_HEADERS = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PREFIX",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_PROTOCOL",
    "HTTP_X_FORWARDED_SCHEME",
    "HTTP_X_FORWARDED_SERVER",
    "HTTP_X_FORWARDED_SSL",
)
"""Headers that are removed: gunicorn has already applied the scheme of a trusted proxy."""

STYLE = (
    "body{background:light-dark(#ffffff,#0e1012);color:light-dark(#16191d,#f2f3f4);"
    "font:1.125rem/1.5 system-ui,sans-serif;margin:15vh auto;max-width:36rem;padding:0 1rem}"
    "h1{font-size:1.5rem}"
    "pre{font-size:1rem;overflow-wrap:anywhere;white-space:pre-wrap;user-select:all}"
)
PAGE = (
    '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    '<meta name="color-scheme" content="light dark">\n'
    "<title>{title} · Confab</title>\n<style>{style}</style>\n"
    "<h1>{title}</h1>\n<p>{sentence}</p>\n"
)
SETTING = "<pre><code>{setting}</code></pre>\n"
STYLE_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}

log = logging.getLogger(__name__)


class RefusedRequest(Exception):
    """The guard refuses a request. `setting` would allow it, if it is not empty."""

    def __init__(self, code: str, title: str, sentence: str, setting: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.title = title
        self.sentence = sentence
        self.setting = setting


class RequestGuard:
    """Passes on a request only if its Host is allowed, and a socket request only if its Origin is.

    A request that is passed on has a valid Host, the scheme by which browsers reach it, and no
    forwarding headers except X-Forwarded-For. One that is refused takes the token of a page.
    `health_paths` are answered for every valid Host, because load balancers and hosting platforms
    send one of their own.
    """

    def __init__(
        self,
        app: WSGIApplication,
        hosts: AllowedHosts,
        limits: Limits,
        *,
        health_paths: Collection[str],
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._limits = limits
        self._health_paths = health_paths
        self._log = ThrottledLog()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle a request."""
        is_for_socket = environ["PATH_INFO"].startswith(SOCKET_PATH)
        try:
            self._check(environ, is_for_socket)
        except RefusedRequest as refusal:
            self._log.warn(environ, refusal)
            response = self._refuse(environ, start_response, refusal, is_for_socket)
            # Its client has nothing else to ask here.
            return close_after_response(environ, start_response, response)
        for name in FORWARDING_HEADERS:
            environ.pop(name, None)
        return self._app(environ, start_response)

    def _refuse(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        refusal: RefusedRequest,
        is_for_socket: bool,
    ) -> Iterable[bytes]:
        try:
            self._limits.take("address_pages", self._limits.address_key(environ.get(ADDRESS_KEY)))
        except RateLimited as limited:
            return refuse(start_response, limited)
        response = _json_response(refusal) if is_for_socket else _page(refusal)
        return response(environ, start_response)

    def _check(self, environ: WSGIEnvironment, is_for_socket: bool) -> None:
        """Check a request, and set its scheme. Raises RefusedRequest."""
        for name in SERVER_VARIABLES:
            if name in environ:
                raise RefusedRequest(
                    "bad_request", "Bad request", "This request has a header that is not allowed."
                )
        if not _is_utf8(environ.get("QUERY_STRING", "")):
            raise RefusedRequest(
                "bad_request", "Bad request", "The address of this page is not valid UTF-8."
            )
        is_health_check = environ["PATH_INFO"].rstrip("/") in self._health_paths
        if is_health_check and "HTTP_HOST" not in environ and _is_http_1_0(environ):
            return
        address = parse_address(environ.get("HTTP_HOST", ""))
        if address is None:
            raise RefusedRequest(
                "bad_host", "Bad request", "This request does not name a valid host."
            )
        if not is_health_check and not self._hosts.allows_host(address, environ):
            raise _host_refusal(address, _likely_scheme(environ))
        scheme = self._hosts.scheme(address, environ["wsgi.url_scheme"])
        environ["wsgi.url_scheme"] = scheme
        if is_for_socket and "HTTP_ORIGIN" in environ:
            self._check_origin(environ["HTTP_ORIGIN"], address, scheme)

    def _check_origin(self, text: str, address: Address, scheme: str) -> None:
        """Check the Origin of a socket request, which only browsers send. Raises RefusedRequest."""
        origin = parse_origin(text)
        if origin is None:
            raise RefusedRequest(
                "origin_refused", "Address not allowed", "This page may not connect to the server."
            )
        if not self._hosts.allows_origin(origin, address, scheme):
            raise RefusedRequest(
                "origin_refused",
                "Address not allowed",
                f"This server does not accept connections from {origin}; if that is its address, "
                "start it with this setting (separate several addresses with commas):",
                f"PUBLIC_URL={origin}",
            )


class ThrottledLog:
    """Logs refused requests, one line in LOG_INTERVAL_SECONDS, and how many were left out."""

    def __init__(self) -> None:
        self._next_at = 0.0
        self._left_out = 0

    def warn(self, environ: WSGIEnvironment, refusal: RefusedRequest) -> None:
        """Log a refused request, unless another was logged a moment ago."""
        now = monotonic()
        if now < self._next_at:
            self._left_out += 1
            return
        host = environ.get("HTTP_HOST", "")[:MAX_LOGGED_CHARS]
        origin = environ.get("HTTP_ORIGIN", "")[:MAX_LOGGED_CHARS]
        line = f"Refused a request ({refusal.code}): Host {host!r}, Origin {origin!r}."
        if refusal.setting:
            line += f" To allow it, set {refusal.setting}."
        if self._left_out:
            line += f" {self._left_out} more were refused since the last such line."
        log.warning("%s", line)
        self._next_at = now + LOG_INTERVAL_SECONDS
        self._left_out = 0


def _is_utf8(text: str) -> bool:
    """Return whether the bytes of a text from the environ are UTF-8, as Werkzeug expects.

    Browsers escape everything that is not ASCII.
    """
    if text.isascii():
        return True
    try:
        text.encode("latin-1").decode()
    except UnicodeError:
        return False
    return True


def _host_refusal(address: Address, scheme: str) -> RefusedRequest:
    return RefusedRequest(
        "host_refused",
        "Address not allowed",
        f"This server does not answer at the address {address}; if it should, start it with this "
        "setting (separate several addresses with commas):",
        f"PUBLIC_URL={scheme}://{address}",
    )


def _is_http_1_0(environ: WSGIEnvironment) -> bool:
    """Return whether a request need not have a Host header; load balancers still send such."""
    return environ.get("SERVER_PROTOCOL") == "HTTP/1.0"


def _likely_scheme(environ: WSGIEnvironment) -> str:
    """Return the scheme to suggest: a proxy that we do not trust may still be right."""
    is_https = environ.get("HTTP_X_FORWARDED_PROTO", "").lower().startswith("https")
    return "https" if is_https else environ["wsgi.url_scheme"]


def _page(refusal: RefusedRequest) -> Response:
    text = PAGE.format(title=escape(refusal.title), sentence=escape(refusal.sentence), style=STYLE)
    if refusal.setting:
        text += SETTING.format(setting=escape(refusal.setting))
    return Response(text, 400, PAGE_HEADERS, mimetype="text/html")


def _json_response(refusal: RefusedRequest) -> Response:
    message = f"{refusal.sentence} {refusal.setting}".strip()
    body = json.dumps({"code": refusal.code, "message": message})
    return Response(body, 400, PAGE_HEADERS, mimetype="application/json")
