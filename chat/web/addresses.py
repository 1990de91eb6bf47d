"""Parses and compares the addresses in Host and Origin headers (RFC 9110, RFC 6454)."""

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple

MAX_NAME_CHARS = 253
MAX_ADDRESS_CHARS = MAX_NAME_CHARS + len(".:65535")
MAX_ORIGIN_CHARS = len("https://") + MAX_ADDRESS_CHARS
MAX_PORT = 65535
DEFAULT_PORTS = (80, 443)

LABEL = re.compile(r"[a-z0-9-]{1,63}")
AUTHORITY = re.compile(
    r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9.-]{1,254})(:(?P<port>[1-9][0-9]{0,4}))?"
)
ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<authority>.+)")


class Address(NamedTuple):
    """A host name or IP address in lower case, and a port; None stands for a default port.

    Both default ports count as one: a server behind a proxy may not know whether a request came
    over https.
    """

    name: str
    port: int | None

    def __str__(self) -> str:
        """Return the address as it is written in a URL."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port is None else f"{name}:{self.port}"

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The IP address, or None when the host is a name."""
        return parse_ip(self.name)

    @property
    def is_loopback(self) -> bool:
        """Whether every computer resolves this host to itself (RFC 6761, section 6.3)."""
        ip = self.ip
        if ip is not None:
            return ip.is_loopback
        return self.name == "localhost" or self.name.endswith(".localhost")


class Origin(NamedTuple):
    """The scheme and address of a page: `http` or `https`."""

    scheme: str
    address: Address

    def __str__(self) -> str:
        """Return the origin as a URL without a path."""
        return f"{self.scheme}://{self.address}"


def parse_address(text: str) -> Address | None:
    """Parse the value of a Host header; return None when it is not valid."""
    return _parse_address(text) if len(text) <= MAX_ADDRESS_CHARS else None


def parse_origin(text: str) -> Origin | None:
    """Parse the value of an Origin header; return None when it is not one of http or https."""
    match = ORIGIN.fullmatch(text.lower()) if len(text) <= MAX_ORIGIN_CHARS else None
    if match is None:
        return None
    address = parse_address(match["authority"])
    return None if address is None else Origin(match["scheme"], address)


@lru_cache(maxsize=1000)
def _parse_address(text: str) -> Address | None:
    match = AUTHORITY.fullmatch(text.lower())
    if match is None:
        return None
    name = _normalize_name(match["name"])
    port = int(match["port"]) if match["port"] else None
    if name is None or (port is not None and port > MAX_PORT):
        return None
    return Address(name, None if port in DEFAULT_PORTS else port)


@lru_cache(maxsize=1000)
def parse_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an IP address without brackets; return None when it is not one.

    An IPv4 address that is written as IPv6 is returned as IPv4.
    """
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip


def _normalize_name(name: str) -> str | None:
    """Return a name without the dot of a complete domain name; None when it is not valid."""
    if name.startswith("["):
        ip = parse_ip(name[1:-1])
        return None if ip is None else str(ip)
    name = name.removesuffix(".")
    has_valid_labels = all(LABEL.fullmatch(label) for label in name.split("."))
    return name if has_valid_labels and len(name) <= MAX_NAME_CHARS else None
