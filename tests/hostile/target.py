"""The server that is attacked, as seen from one client address."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.clients import Polling, Stranger, WebSocket
from tests.raw_http import Connection, head


@dataclass(frozen=True)
class Target:
    """A server, and the address from which clients connect according to the trusted proxy."""

    url: str
    address: str

    @property
    def port(self) -> int:
        """Return the port of the server."""
        return urlsplit(self.url).port or 80

    def connect(self) -> Connection:
        """Return a TCP connection."""
        return Connection(self)

    def head(self, method: str, path: str, **headers: str) -> bytes:
        """Return the head of a request; keyword arguments are headers, with `_` for `-`."""
        return head(method, path, **{"X_Forwarded_For": self.address, **headers})

    def ask(self, method: str, path: str, **headers: str) -> bytes:
        """Send a request without a body on a connection of its own; return the response."""
        with self.connect() as connection:
            connection.send(self.head(method, path, **{"Connection": "close", **headers}))
            return connection.response()

    def websocket(self) -> WebSocket:
        """Return a WebSocket that has not connected to Socket.IO."""
        return WebSocket(self.url, X_Forwarded_For=self.address)

    def stranger(self, token: str | None = None) -> Stranger:
        """Return a Socket.IO client over WebSocket."""
        return Stranger(self.url, token, X_Forwarded_For=self.address)

    def polling(self) -> Polling:
        """Return a Socket.IO client over polling."""
        return Polling(self.url, X_Forwarded_For=self.address)
