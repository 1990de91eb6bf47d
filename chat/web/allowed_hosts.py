"""Which hosts a request may name, and which pages may open sockets.

Without this check, a page of another site could use DNS rebinding: it lets its own name resolve to
this server, and then counts as the same site for the browser.
"""

import socket
from collections.abc import Iterable
from contextlib import suppress
from wsgiref.types import WSGIEnvironment

from chat.web.addresses import Address, Origin, parse_address, parse_ip, parse_origin
from config import StartupError

MDNS_SUFFIX = ".local"


class AllowedHosts:
    """The hosts that requests may name: loopback, PUBLIC_URL, and this machine's own addresses.

    Its own addresses and names count only when the server listens on more than loopback. Raises
    StartupError when a public URL is not valid.
    """

    def __init__(self, public_urls: Iterable[str], *, allow_any: bool = False) -> None:
        self._public_origins = {_parse_public_url(url) for url in public_urls}
        self._public_addresses = {origin.address for origin in self._public_origins}
        self._allow_any = allow_any
        self._own_names = _own_names()

    def allows_host(self, address: Address, environ: WSGIEnvironment) -> bool:
        """Return whether a request may name this host."""
        if self._allow_any or address.is_loopback or address in self._public_addresses:
            return True
        if not _listens_beyond_loopback(environ):
            return False
        return address.name in self._own_names or is_own_ip(address)

    def allows_origin(self, origin: Origin, address: Address, scheme: str) -> bool:
        """Return whether a page of this origin may open a socket.

        `address` and `scheme` are those of the request. An https page may use a request that seems
        to have come over http: the proxy before us may not tell that it came over https.
        """
        if origin in self._public_origins:
            return True
        return origin.address == address and origin.scheme in ("https", scheme)

    def is_same_server(
        self, address: Address, own_address: Address, environ: WSGIEnvironment
    ) -> bool:
        """Return whether a link to an address leads to this server, which a request has reached.

        `own_address` is that of the request, and `environ` belongs to it.
        """
        if address == own_address or address in self._public_addresses:
            return True
        return address.port == own_address.port and self.allows_host(address, environ)

    def scheme(self, address: Address, scheme: str) -> str:
        """Return the scheme by which browsers reach an address.

        It is that of the request, unless PUBLIC_URL names the address with https only.
        """
        is_https_only = (
            Origin("https", address) in self._public_origins
            and Origin("http", address) not in self._public_origins
        )
        return "https" if is_https_only else scheme


def is_own_ip(address: Address) -> bool:
    """Return whether an IP address belongs to this machine: then a socket can be bound to it."""
    ip = address.ip
    if ip is None or ip.is_unspecified or ip.is_multicast:
        return False
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((str(ip), 0))
        return True
    return False


def _parse_public_url(url: str) -> Origin:
    origin = parse_origin(to_ascii(url.removesuffix("/")))
    if origin is None:
        raise StartupError(
            f"PUBLIC_URL={url} is not an address of a server: write https://chat.example.org, and "
            "separate several with commas; a path belongs in BASE_PATH."
        )
    return origin


def to_ascii(url: str) -> str:
    """Return a URL or an authority as browsers send it, with the names of its host in Punycode."""
    scheme, separator, authority = url.rpartition("://")
    with suppress(UnicodeError):
        authority = authority.encode("idna").decode()
    return scheme + separator + authority


def _own_names() -> set[str]:
    """Return the names of this machine: as it calls itself, and in multicast DNS (RFC 6762)."""
    address = parse_address(socket.gethostname())
    if address is None:
        return set()
    return {address.name, address.name.partition(".")[0] + MDNS_SUFFIX}


def _listens_beyond_loopback(environ: WSGIEnvironment) -> bool:
    """Return whether a request came in at a port that other machines can reach.

    The servers put the address at which they listen into SERVER_NAME. With a Unix socket, which has
    no client address, gunicorn takes it from the Host header instead.
    """
    listens_at = parse_ip(environ.get("SERVER_NAME", ""))
    has_client_address = parse_ip(environ.get("REMOTE_ADDR", "")) is not None
    return has_client_address and listens_at is not None and not listens_at.is_loopback
