"""Replaces the WebSocket of Engine.IO: a client gets a Connection, and its request ends at once.

A message to a room is encoded and framed once, not once for each member.
"""

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from eventlet import hubs
from eventlet.greenio import GreenSocket
from eventlet.wsgi import WSGI_LOCAL
from socketio import Server

from chat.engine.connection import Connection, Connections
from chat.engine.early_bytes import take_early_bytes
from chat.engine.environ import ADDRESS_KEY, Environ
from chat.engine.frames import build_frame
from chat.engine.handover import handover_of

HANDSHAKE = (
    "HTTP/1.1 101 Switching Protocols\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Accept: {accept}\r\n"
    "\r\n"
)
ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3

WebSocketFactory: TypeAlias = Callable[[Any, Any], Callable[..., Any]]
"""Makes the WSGI app that answers a WebSocket request, given Engine.IO's handler and server."""


def replace_websocket(server: Server) -> None:
    """Give every client of a Socket.IO server that uses WebSocket a Connection."""
    eio = server.eio
    connections = Connections(eio, hubs.get_hub())
    eio.on("connect", _connect_handler(server))
    original = eio._async["websocket"]
    eio._async = {**eio._async, "websocket": _websocket_factory(server, connections, original)}
    server._send_eio_packet = _packet_sender(server)


def _connect_handler(server: Server) -> Callable[[str, Environ], Any]:
    eio = server.eio
    handle_connect = eio.handlers["connect"]

    def on_connect(sid: str, environ: Environ) -> Any:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        if query.get("transport") == ["websocket"]:
            # Keeps Engine.IO from starting a greenlet for pings, which the Connection sends.
            eio.sockets[sid].last_ping = None
        return handle_connect(sid, environ)

    return on_connect


def _packet_sender(server: Server) -> Callable[[str, Any], Any]:
    """Return the function that sends a packet to one client. It is called for each recipient."""
    eio = server.eio
    send_to_socket = server._send_eio_packet
    # All members of a room get the same packet, one after another.
    last_packet: Any = None
    last_frame = b""

    def send(eio_sid: str, packet: Any) -> Any:
        nonlocal last_packet, last_frame
        connection = eio.sockets.get(eio_sid)
        if type(connection) is not Connection:
            return send_to_socket(eio_sid, packet)
        if packet is not last_packet:
            last_frame = build_frame(packet.encode())
            last_packet = packet
        return connection.push(last_frame)

    return send


def _websocket_factory(
    server: Server, connections: Connections, original: WebSocketFactory
) -> WebSocketFactory:
    eio = server.eio

    def websocket(handler: Any, _eio: object) -> Callable[..., Any]:
        def answer(environ: Environ, start_response: Callable[..., Any]) -> Any:
            client_socket = environ.get("gunicorn.socket")
            if type(client_socket) is not GreenSocket:  # with TLS, it is another type
                return original(handler, eio)(environ, start_response)
            handover = handover_of(environ)
            if handover is None:
                early_bytes = take_early_bytes(start_response)
            else:
                handover.complete()
                early_bytes = handover.early_bytes
            open_connection(Connection, connections, handler.__self__, environ, early_bytes)
            return []

        return answer

    return websocket


def open_connection(
    connection_type: type[Connection],
    connections: Connections,
    polling: Any,
    environ: Environ,
    early_bytes: bytes = b"",
) -> None:
    """Answer the handshake of a client that connects or upgrades, and take over its socket.

    `early_bytes` have been read behind the handshake.
    """
    # A copy, because gunicorn closes its own at the end of the request.
    client_socket = environ["gunicorn.socket"].fd.dup()
    client_socket.setblocking(False)
    address = environ.get(ADDRESS_KEY, "")
    connection = connection_type(connections, client_socket, polling, address)
    accept = _accept_key(environ["HTTP_SEC_WEBSOCKET_KEY"])
    connection.push(HANDSHAKE.format(accept=accept).encode())
    is_upgrade = polling.connected
    if not is_upgrade:
        connection.take_over()
    if early_bytes:
        connection.receive(early_bytes)
    WSGI_LOCAL.already_handled = True  # so gunicorn sends no response


def _accept_key(key: str) -> str:
    """Return the answer to a Sec-WebSocket-Key (RFC 6455, section 4.2.2)."""
    digest = sha1((key + ACCEPT_GUID).encode()).digest()  # noqa: S324  # as the RFC requires
    return b64encode(digest).decode()
