"""The proxies whose forwarding headers are trusted: the setting FORWARDED_ALLOW_IPS."""

import ipaddress
from functools import lru_cache

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class TrustedProxies:
    """The peers in FORWARDED_ALLOW_IPS: addresses and networks with commas between them.

    `*` stands for every peer. A Unix socket, which has no address, is always trusted: only the
    proxy should be able to open it.
    """

    def __init__(self, setting: str) -> None:
        parts = [part.strip() for part in setting.split(",") if part.strip()]
        self.are_all_trusted = "*" in parts
        self._networks = [ipaddress.ip_network(part) for part in parts if part != "*"]
        self.contains = lru_cache(maxsize=1_000)(self._contains)

    def _contains(self, address: str) -> bool:
        """Return whether an address may be that of a proxy; that of a Unix socket is empty."""
        if address == "" or self.are_all_trusted:
            return True
        parsed = parse_peer(address)
        return parsed is not None and any(parsed in network for network in self._networks)


def parse_peer(address: str) -> IPAddress | None:
    """Parse the address of a peer; return None when it is not one.

    An IPv4 address that is written as IPv6 is returned as IPv4.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])  # without the zone of fe80::1%eth0
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped  # a socket for both versions has ::ffff:192.0.2.1
    return parsed
