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

    def on_session_opened(self, connection: str, _environ: object) -> None:
        """Give a new connection its time to join a room."""
        self._expect_join(connection)

    def on_namespace_left(self, connection: str) -> None:
        """Give a connection that has ended its part of Socket.IO the time of a new one."""
        self._expect_join(connection)

    def on_session_closed(self, connection: str) -> None:
        """Forget a connection that has ended."""
        self._deadlines.pop(connection, None)

    def on_room_entered(self, connection: str) -> None:
        """Let a connection that is in a room stay."""
        self._deadlines.pop(connection, None)

    def on_room_left(self, connection: str) -> None:
        """Give a connection that has left its room the time to join another."""
        self._deadlines[connection] = monotonic() + self._left_seconds

    def postpone(self, connection: str) -> None:
        """Give a connection more time: the server was the reason that it could not join."""
        deadline = self._deadlines.get(connection, 0.0)
        self._deadlines[connection] = max(deadline, monotonic() + self._join_seconds)

    def stop(self, deadline: float) -> None:
        """Disconnect nobody from now on."""
        self._loop.stop(deadline)

    def _expect_join(self, connection: str) -> None:
        """Start the time of a connection that is in no room, unless it runs already."""
        self._loop.start()
        self._deadlines.setdefault(connection, monotonic() + self._join_seconds)

    def _check(self) -> None:
        self.disconnect_overdue(monotonic())

    def disconnect_overdue(self, now: float) -> None:
        """Disconnect the connections whose time is over at `now`, of the monotonic clock."""
        overdue = [each for each, deadline in list(self._deadlines.items()) if deadline < now]
        for connection in overdue:
            self._deadlines.pop(connection, None)
            self._disconnect(connection)
