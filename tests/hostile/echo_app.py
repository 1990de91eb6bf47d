"""Confab with a WebSocket at /echo that sends back every message, for the Autobahn test suite.

Handshakes, frames, limits, turns and closing are those of production; only what happens to a
message differs, because the messages of the suite are no packets of Engine.IO.
"""

from collections.abc import Callable, Iterable
from typing import Any

import engineio
from engineio.socket import Socket
from eventlet import hubs

from chat import create_app
from chat.engine.connection import Connection, Connections
from chat.engine.environ import Environ
from chat.engine.frames import BINARY, TEXT, build_frame
from chat.engine.websocket import open_connection

ECHO_PATH = "/echo"
MAX_MESSAGE_BYTES = 256 * 1024
"""The largest message of the cases; the limit in production is smaller."""


class EchoConnection(Connection):
    """A connection whose messages are sent back in their turn."""

    def _receive(self, opcode: int, payload: Any) -> None:
        if opcode in (TEXT, BINARY):
            message: Any = (opcode, payload)  # where production has a packet, which is text
            self._handle_in_turn(message)
        else:
            super()._receive(opcode, payload)

    def _handle(self, packet: Any) -> None:
        if packet is None:
            super()._handle(packet)
        else:
            opcode, payload = packet
            self.push(build_frame(payload, opcode))


app = create_app()
eio = engineio.Server(async_mode="eventlet", max_http_buffer_size=MAX_MESSAGE_BYTES)
connections = Connections(eio, hubs.get_hub())
confab = app.wsgi_app


def answer(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Open an echo WebSocket, or answer as Confab does."""
    if environ["PATH_INFO"] != ECHO_PATH:
        return confab(environ, start_response)
    session = Socket(eio, eio.generate_id())
    open_connection(EchoConnection, connections, session, environ)
    return []


app.wsgi_app = answer  # type: ignore[method-assign]  # as Flask documents
