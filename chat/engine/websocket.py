"""Where a WebSocket begins: its client gets a line, and all else that its request held is let go."""

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1
from typing import Any
from urllib.parse import parse_qs

from eventlet import hubs
from eventlet.greenio import GreenSocket
from eventlet.wsgi import WSGI_LOCAL
from socketio import Server

from chat.engine.connection import Connection, Connections
from chat.engine.frames import frame

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
KEPT = ("flask.app", "saved_session")  # of an environ, beside all that is text


def take_over(server: Server) -> None:
    """Give every client with a WebSocket a line."""
    eio, connections = server.eio, Connections(server.eio, hubs.get_hub())
    library, send_to_socket = eio._async["websocket"], server._send_eio_packet
    sent: list[Any] = [
        None,
        b"",
    ]  # the last packet, and its frame: the next in the room gets the same

    def connect(sid: str, environ: dict[str, Any]) -> Any:
        if parse_qs(environ.get("QUERY_STRING", "")).get("transport") == ["websocket"]:
            eio.sockets[
                sid
            ].last_ping = None  # the line pings: the library need not keep a greenlet for it
        return server._handle_eio_connect(sid, environ)

    def send(eio_sid: str, packet: Any) -> Any:
        if type(connection := eio.sockets.get(eio_sid)) is not Connection:
            return send_to_socket(eio_sid, packet)
        if packet is not sent[0]:
            sent[:] = packet, frame(packet.encode())
        return connection.push(sent[1])

    def websocket(handler: Any, _: object) -> Callable[..., Any]:
        def upgrade(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            green, polling = environ.get("gunicorn.socket"), handler.__self__
            if green is None or type(green) is not GreenSocket:
                return library(handler, eio)(environ, start_response)  # there is TLS in between
            socket = green.fd.dup()  # gunicorn closes its own, and is done with this request
            socket.setblocking(False)
            connection = Connection(connections, socket, polling)
            key = sha1((environ["HTTP_SEC_WEBSOCKET_KEY"] + GUID).encode()).digest()  # noqa: S324  # as the RFC has it
            connection.push(ANSWER + b64encode(key) + b"\r\n\r\n")
            if not polling.connected:
                connection.take_over()
            known = server.environ[connection.sid].items()
            server.environ[connection.sid] = {
                key: value for key, value in known if type(value) is str or key in KEPT
            }
            WSGI_LOCAL.already_handled = True
            return []

        return upgrade

    eio.on("connect", connect)
    eio._async = {**eio._async, "websocket": websocket}
    server._send_eio_packet = send
