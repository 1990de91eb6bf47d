"""The names of channels and keys in Redis, unique to an installation.

They depend on the secret key. Those of a room contain a keyed hash of its label, because whoever
knows the label can enter the room.
"""

import hmac
from hashlib import sha256

DIGITS = 32
"""Hexadecimal digits of a hash in a name."""


class RedisNames:
    """Names that workers with the same secret key share."""

    def __init__(self, secret_key: str) -> None:
        self._key = sha256(f"names in redis/{secret_key}".encode()).digest()
        self.prefix = f"confab:{self._hash('installation')[:16]}"
        self.all_workers = f"{self.prefix}:all".encode()
        """The channel that every worker receives."""

        self.leases = f"{self.prefix}:workers"
        """The key of the workers that are alive."""

    def worker_channel(self, worker: str) -> bytes:
        """Return the channel that one worker receives."""
        return f"{self.prefix}:worker:{worker}".encode()

    def room_channel(self, label: str) -> bytes:
        """Return the channel of a room."""
        return f"{self.prefix}:room:{self._hash(label)}".encode()

    def people_key(self, label: str) -> str:
        """Return the key of the people in a room."""
        return f"{self.prefix}:people:{self._hash(label)}"

    def _hash(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), "sha256").hex()[:DIGITS]
