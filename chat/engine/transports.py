"""Closes the transport of an Engine.IO session, so that its client connects to another worker.

Closing the session instead would send an Engine.IO CLOSE packet, after which some clients never
reconnect: python-socketio takes it for an intentional disconnect by the server.
"""

from typing import Any, NoReturn

from engineio.exceptions import SocketIsClosedError
from engineio.packet import Packet

from chat.engine.connection import Connection


class EndOfTransport(Packet):  # type: ignore[misc]  # the library ships no types
    """Ends the transport of a session when it is taken from the session's queue.

    It cannot be encoded. Engine.IO then closes the WebSocket, or answers the polling request with
    400.
    """

    def encode(self, b64: bool = False) -> NoReturn:
        """Raise SocketIsClosedError."""
        raise SocketIsClosedError


def close_transport(eio: Any, sid: str) -> None:
    """Close the WebSocket of a session with 1001 (going away), after its queued packets.

    A polling session has no transport to close: its pending request, or its next one, is answered
    with 400.
    """
    session = eio.sockets.get(sid)
    if session is None:
        return
    if isinstance(session, Connection):
        session.close_transport()
        return
    session.queue.put(EndOfTransport())
    if not session.upgraded:
        session.close(wait=False, abort=True, reason=eio.reason.TRANSPORT_CLOSE)
        eio.sockets.pop(sid, None)
