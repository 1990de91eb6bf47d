"""How many connections a person and an address may have open at a time, on this worker."""

from collections import defaultdict
from collections.abc import Callable


class OpenConnections:
    """The open connections of each person or address, by key, and their highest number.

    `is_open` returns whether a connection still exists: one whose end was not reported is forgotten
    when it would count against its owner.
    """

    def __init__(self, max_connections: int, is_open: Callable[[str], bool]) -> None:
        self._max_connections = max_connections
        self._is_open = is_open
        self._by_key: defaultdict[str, set[str]] = defaultdict(set)
        self._key_of: dict[str, str] = {}

    def is_full(self, key: str | None) -> bool:
        """Return whether there can be no other connection; None has no limit."""
        if key is None or self.count(key) < self._max_connections:
            return False
        for connection in list(self._by_key.get(key, ())):
            if not self._is_open(connection):
                self.remove(connection)
        return self.count(key) >= self._max_connections

    def count(self, key: str) -> int:
        """Return how many connections are known to be open."""
        return len(self._by_key.get(key, ()))

    def add(self, key: str | None, connection: str) -> None:
        """Count a connection that has been opened."""
        if key is None:
            return
        self._by_key[key].add(connection)
        self._key_of[connection] = key

    def remove(self, connection: str) -> None:
        """Forget a connection that has ended."""
        key = self._key_of.pop(connection, None)
        if key is None:
            return
        self._by_key[key].discard(connection)
        if not self._by_key[key]:
            self._by_key.pop(key, None)  # another thread may have removed it
