"""The client address of a request: that of the connection, or the one a trusted proxy names.

X-Forwarded-For is trusted only from trusted proxies: see trusted_proxies.py. `flask run` ignores
proxy headers.
"""

import ipaddress
import logging
from collections.abc import Collection, Iterable
from functools import lru_cache
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import request

from chat.engine import ADDRESS_KEY
from chat.web.trusted_proxies import TrustedProxies, parse_peer

UNUSABLE_HEADER = "unusable"
"""Stands for the address of every client whose X-Forwarded-For contains something else at its end,
such as `unknown`. Otherwise a client behind such a proxy could avoid the limits per address.
"""

IPV6_PREFIX_BITS = 64
"""What one subscriber usually gets: every address in it counts as the same client."""

log = logging.getLogger(__name__)


class ClientAddress:
    """WSGI middleware that puts the client's address into the environ.

    `trusted` is the setting FORWARDED_ALLOW_IPS: addresses and networks with commas between them,
    or `*` for every peer. Requests for `local_paths` may come from a proxy itself, as health checks
    do; what they lack is not reported. Without rate limits, `reports_problems` is false.
    """

    def __init__(
        self,
        app: WSGIApplication,
        trusted: str,
        local_paths: Collection[str] = (),
        *,
        reports_problems: bool = True,
    ) -> None:
        self._app = app
        self._local_paths = local_paths
        self._proxies = TrustedProxies(trusted)
        self._has_reported_missing = not reports_problems
        self._has_reported_untrusted = not reports_problems

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle a request."""
        environ[ADDRESS_KEY] = self.address_of(environ)
        return self._app(environ, start_response)

    def address_of(self, environ: WSGIEnvironment) -> str:
        """Return the client's address; "" if a trusted proxy does not name it."""
        peer = environ.get("REMOTE_ADDR", "")
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
        if "werkzeug.socket" in environ:
            return network_of(peer) or ""
        if not self._proxies.contains(peer):
            if forwarded:
                self._report_untrusted_peer(peer)
            return network_of(peer) or ""
        address = network_of(self._last_untrusted(forwarded))
        if address is None and environ.get("PATH_INFO") not in self._local_paths:
            self._report_missing_header(peer)
        if address is None and forwarded.strip():
            return UNUSABLE_HEADER
        return address or ""

    def _last_untrusted(self, forwarded: str) -> str:
        """Return the last address of X-Forwarded-For that is not a proxy's, "" without one.

        Each proxy adds the address of its peer at the end; what is before it, a client can invent.
        """
        parts = [part.strip() for part in forwarded.split(",")]
        addresses = [_without_port(part) for part in parts if part]
        if not addresses:
            return ""
        if self._proxies.are_all_trusted:
            return addresses[-1]
        for address in reversed(addresses):
            if not self._proxies.contains(address):
                return address
        return addresses[0]

    def _report_missing_header(self, peer: str) -> None:
        if self._has_reported_missing:
            return
        self._has_reported_missing = True
        log.warning(
            "Requests from %s have no valid X-Forwarded-For header, so there are no limits per "
            "address. If it is a proxy, let it set the header; if clients connect directly, set "
            "FORWARDED_ALLOW_IPS to the addresses of your proxies, or to nothing.",
            peer or "the Unix socket",
        )

    def _report_untrusted_peer(self, peer: str) -> None:
        """Report, once, what may be a proxy whose clients all count as one address."""
        if self._has_reported_untrusted:
            return
        self._has_reported_untrusted = True
        log.warning(
            "X-Forwarded-For from %s is ignored. If this is your proxy, add the address to "
            "FORWARDED_ALLOW_IPS: otherwise all its clients share the limits of one address.",
            peer,
        )


def client_address() -> str:
    """Return the client's address of the current request, or of the current event's connection."""
    address: str = request.environ.get(ADDRESS_KEY, "")
    return address


@lru_cache(maxsize=10_000)
def network_of(address: str) -> str | None:
    """Return an address as limits count it: an IPv6 address as its network. None if it is none."""
    parsed = parse_peer(address)
    if parsed is None:
        return None
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.ip_network((int(parsed), IPV6_PREFIX_BITS), strict=False))


def _without_port(address: str) -> str:
    """Return an address without the port that some proxies add: 192.0.2.1:80, [2001:db8::1]:80."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, _, port = address.partition(":")
    return host if port.isdecimal() else address
