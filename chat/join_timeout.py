"""Disconnects connections that are in no room for too long.

They would otherwise cost memory and a place among the connections for as long as they answer pings.
"""

from collections.abc import Callable
from time import monotonic

from chat.background import BackgroundLoop
from chat.socket_server import SocketServer

CHECK_SECONDS = 1.0


class JoinTimeout:
    """Knows which connections of this worker are in no room, and until when they may stay so.

    Connections are named by the session id of Engine.IO. `disconnect` closes the transport of one.
    `join_seconds` is how long a new connection has to join a room; `left_seconds` is how long one
    that has left its room may stay.
    """

    def __init__(
        self,
        socketio: SocketServer,
        disconnect: Callable[[str], None],
        *,
        join_seconds: float,
        left_seconds: float,
    ) -> None:
        self._disconnect = disconnect
        self._join_seconds = join_seconds
        self._left_seconds = left_seconds
        self._deadlines: dict[str, float] = {}  # of the connections that are in no room
        pause_seconds = (CHECK_SECONDS, CHECK_SECONDS)
        self._loop = BackgroundLoop(
            socketio, pause_seconds, self._check, "Disconnecting connections that are in no room"
        )

    def expect_join(self, connection: str) -> None:
        """Give a connection that is in no room the time of a new one, unless it runs already."""
        self._loop.start()
        self._deadlines.setdefault(connection, monotonic() + self._join_seconds)

    def postpone(self, connection: str) -> None:
        """Give a connection more time, because it could not join through no fault of its own."""
        deadline = self._deadlines.get(connection, 0.0)
        self._deadlines[connection] = max(deadline, monotonic() + self._join_seconds)

    def joined(self, connection: str) -> None:
        """Note that a connection is in a room."""
        self._deadlines.pop(connection, None)

    def left(self, connection: str) -> None:
        """Note that a connection has left its room."""
        self._deadlines[connection] = monotonic() + self._left_seconds

    def forget(self, connection: str) -> None:
        """Forget a connection that has ended."""
        self._deadlines.pop(connection, None)

    def stop(self) -> None:
        """Disconnect nobody from now on."""
        self._loop.stop()

    def _check(self) -> None:
        self.disconnect_overdue(monotonic())

    def disconnect_overdue(self, now: float) -> None:
        """Disconnect the connections whose time is over at `now`, of the monotonic clock."""
        overdue = [each for each, deadline in list(self._deadlines.items()) if deadline < now]
        for connection in overdue:
            self._deadlines.pop(connection, None)
            self._disconnect(connection)
