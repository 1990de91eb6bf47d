"""The connections whose client has not sent its whole request yet.

At the limit of connections, the one that has waited longest gives way to a new one: otherwise a few
hundred clients that never finish their requests would keep everybody else out.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from chat.engine.tcp import disconnect

MIN_SECONDS = 1.0
"""A request that has been arriving for less time than this is not interrupted."""


class PendingRequests:
    """Knows since when each connection has been waiting for its client."""

    def __init__(self) -> None:
        self._since: dict[Any, float] = {}  # in this order

    @contextmanager
    def waiting(self, connection: Any) -> Iterator[None]:
        """Count a connection as waiting for its client, during a block."""
        self._since[connection] = monotonic()
        try:
            yield
        finally:
            self._since.pop(connection, None)

    def seconds_until_late(self) -> float:
        """Return how long to wait until the oldest of them may be disconnected; 0 without any."""
        oldest = next(iter(self._since.values()), None)
        if oldest is None:
            return 0.0
        return max(0.0, oldest + MIN_SECONDS - monotonic())

    def disconnect_oldest(self) -> bool:
        """Disconnect the client that has kept its connection waiting longest.

        Returns False when no client has taken longer than MIN_SECONDS.
        """
        for connection, since in self._since.items():
            if monotonic() - since < MIN_SECONDS:
                return False
            del self._since[connection]
            disconnect(connection)
            return True
        return False


pending_requests = PendingRequests()
"""Those of this process."""
