"""Broadcasts: the only module that emits, to the connections of this worker in a room.

Other workers receive the same events over the bus (delivery/bus.py) and emit them to their own
connections.
"""

from collections.abc import Sequence

from chat import wire
from chat.models import RoomHead
from chat.socket_server import SocketServer


def socketio_room(label: str) -> str:
    """Return the name of the Socket.IO room of the chat room `label`."""
    return f"chat-{label}"


class Broadcaster:
    """Sends events to the connections of this worker in a room."""

    def __init__(self, socketio: SocketServer) -> None:
        self._socketio = socketio

    def emit(
        self, label: str, event: str, payload: wire.JSON, skip_connections: Sequence[str] = ()
    ) -> None:
        """Send one event to the room `label`, except to these connections."""
        self._socketio.emit(
            event,
            payload,
            to=socketio_room(label),
            skip_sid=list(skip_connections),
            ignore_queue=True,
        )

    def head(self, room: RoomHead) -> None:
        """Announce the head of a room, so that a client notices when it has missed changes."""
        self.emit(room.label, "head", wire.head(room))

    def presence(self, payload: wire.JSON) -> None:
        """Announce who entered the room and who left."""
        self.emit(payload["label"], "presence", payload)

    def typing(self, payload: wire.JSON, skip_connections: Sequence[str]) -> None:
        """Announce that a person is typing, except to that person's own connections."""
        self.emit(payload["label"], "typing", payload, skip_connections)
