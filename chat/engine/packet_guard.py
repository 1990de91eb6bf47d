"""The packet guard: drops malformed packets before they reach a handler.

It works with every server: eventlet, gevent and threads, and with our own WebSocket or without.
"""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from socket import SHUT_RDWR
from typing import Any, TypeAlias

from engineio import payload
from engineio.exceptions import SocketIsClosedError
from engineio.packet import Packet as EnginePacket
from simple_websocket import ConnectionClosed
from socketio import Server, packet

from chat.engine.body import connection_of
from chat.engine.environ import Environ, forget_cookie, reduced
from chat.engine.frames import GOING_AWAY, MAX_FRAGMENTS, MESSAGE_TOO_BIG, NORMAL_CLOSURE
from chat.engine.handover import handover_of
from chat.engine.scheduler import wait_turn
from chat.engine.sessions import SessionObserver
from chat.engine.tcp import MAX_STALL_SECONDS, set_no_delay, set_user_timeout

MAX_MALFORMED_PACKETS = 100
"""Malformed packets of one connection before it is closed."""

ENGINE_IO_TYPES = frozenset("12345")
"""The packets that a client may send: close, ping, pong, message, upgrade."""

SOCKET_IO_TYPES = frozenset("0123")
"""Connect, disconnect, event and acknowledgement.

Binary packets are malformed: they would wait for attachments that may never come.
"""

PACKET_SEPARATOR = "\x1e"

log = logging.getLogger(__name__)

WebSocketFactory: TypeAlias = Callable[[Any, Any], Callable[..., Any]]
"""Makes the WSGI app that answers a WebSocket request, given Engine.IO's handler and server."""


class MalformedPacket(Exception):
    """A packet that no client of ours sends."""


def protect(socketio: Any, events: Collection[str], observers: Collection[SessionObserver]) -> None:
    """Pass only well-formed packets, and only these events, to the handlers of a server.

    `observers` are told about its sessions.
    """
    server: Server = socketio.server
    guard = PacketGuard(server, events, observers)
    server.eio.on("connect", guard.on_connect)
    server.eio.on("message", guard.on_message)
    server.eio.on("disconnect", guard.on_disconnect)
    server._send_eio_packet = _packet_sender(server)
    if server.async_mode == "eventlet":
        _limit_fragmented_messages()
    websocket = _websocket_factory(server.eio._async["websocket"])
    server.eio._async = {**server.eio._async, "websocket": websocket}
    payload.Payload = LenientPayload


class PacketGuard:
    """Handles the messages of Engine.IO in place of python-socketio."""

    def __init__(
        self, server: Server, events: Collection[str], observers: Collection[SessionObserver]
    ) -> None:
        self._server = server
        self._events = events
        self._observers = observers
        self._malformed: Counter[str] = Counter()  # packets by the sid of their connection

    def on_connect(self, eio_sid: str, environ: Environ) -> Any:
        """Note a new session, and keep little of its request."""
        for observer in self._observers:
            observer.on_session_opened(eio_sid, environ)
        return self._server._handle_eio_connect(eio_sid, reduced(environ))

    def on_message(self, eio_sid: str, data: object) -> None:
        """Pass on a Socket.IO packet, or drop it."""
        try:
            self._dispatch(eio_sid, data)
        except MalformedPacket:
            self._count_malformed(eio_sid)

    def on_disconnect(self, eio_sid: str, reason: str) -> None:
        """Forget a connection."""
        self._malformed.pop(eio_sid, None)
        try:
            self._server._handle_eio_disconnect(eio_sid, reason)
        finally:
            for observer in self._observers:
                observer.on_session_closed(eio_sid)

    def _count_malformed(self, eio_sid: str) -> None:
        session = self._server.eio.sockets.get(eio_sid)
        if session is None:
            return
        self._malformed[eio_sid] += 1
        if self._malformed[eio_sid] == MAX_MALFORMED_PACKETS:
            log.info("A connection sent %d malformed packets and was closed", MAX_MALFORMED_PACKETS)
            # With wait=True, it would wait for the client to read, which it need not do.
            session.close(wait=False)

    def _dispatch(self, eio_sid: str, data: object) -> None:
        """Decode a packet and pass it to the server. Raises MalformedPacket."""
        server = self._server
        if not isinstance(data, str) or data[:1] not in SOCKET_IO_TYPES:
            raise MalformedPacket
        try:
            decoded = server.packet_class(encoded_packet=data)
        except (ValueError, TypeError, IndexError) as error:
            raise MalformedPacket from error
        if eio_sid not in server.environ:
            return  # the session has ended while the packet waited for its turn
        if decoded.packet_type == packet.CONNECT:
            server._handle_connect(eio_sid, decoded.namespace, decoded.data)
            forget_cookie(server.environ.get(eio_sid, {}))
        elif decoded.packet_type == packet.DISCONNECT:
            reason = server.reason.CLIENT_DISCONNECT
            server._handle_disconnect(eio_sid, decoded.namespace, reason)
            for observer in self._observers:
                observer.on_namespace_left(eio_sid)
        elif decoded.packet_type == packet.ACK:
            return  # the server never asks for one
        elif self._is_known_event(decoded.data):
            server._handle_event(eio_sid, decoded.namespace, decoded.id, decoded.data)
        else:
            raise MalformedPacket

    def _is_known_event(self, data: object) -> bool:
        """Return whether the data of a packet is an event with a known name."""
        if not isinstance(data, list) or not data:
            return False
        name = data[0]
        return isinstance(name, str) and name in self._events


class LenientPayload(payload.Payload):  # type: ignore[misc]  # the library ships no types
    """The packets that a polling client sends in one body, whose size is limited elsewhere.

    Malformed packets are skipped. The library would drop all packets if one of them is malformed,
    or if there are more than 16.
    """

    def decode(self, encoded_payload: str) -> None:
        """Split the packets; each is decoded when its turn comes."""
        encoded_packets = [
            part
            for part in encoded_payload.split(PACKET_SEPARATOR)
            if part and part[0] in ENGINE_IO_TYPES
        ]
        self.packets = self._decode_in_turn(encoded_packets)

    def _decode_in_turn(self, encoded_packets: list[str]) -> Iterator[EnginePacket]:
        for encoded_packet in encoded_packets:
            wait_turn()
            yield EnginePacket(encoded_packet=encoded_packet)


class GuardedWebSocket:
    """A WebSocket of the async mode's driver that skips frames which are no Engine.IO packet."""

    def __init__(self, websocket: Any, session: Any) -> None:
        self._websocket = websocket
        self._session = session

    def wait(self) -> str | None:
        """Return the next well-formed packet, or None at the end."""
        while True:
            frame = self._websocket.wait()
            wait_turn()
            if self._is_orphaned() or frame is None:
                return None
            if isinstance(frame, str) and frame[:1] in ENGINE_IO_TYPES:
                return frame

    def close(self) -> None:
        """Close both directions, whatever the client does.

        A reader that waits for data then finds the end; closing the socket would not wake it up.
        """
        close_code = NORMAL_CLOSURE if self._session.closed else GOING_AWAY
        simple_websocket = getattr(self._websocket, "ws", None)
        with suppress(OSError, ConnectionClosed):
            if simple_websocket is None:
                self._websocket._send_closing_frame(True, (close_code, ""))
                self._websocket.socket.shutdown(SHUT_RDWR)
            else:
                simple_websocket.close(close_code)
                simple_websocket.sock.shutdown(SHUT_RDWR)

    def _is_orphaned(self) -> bool:
        """Return whether Engine.IO has lost the session.

        Its client would stay connected and receive nothing.
        """
        return self._session.server.sockets.get(self._session.sid) is not self._session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._websocket, name)


def _packet_sender(server: Server) -> Callable[[str, EnginePacket], None]:
    """Return the function that sends a packet to one client. It is called for each recipient."""
    send = server._send_eio_packet

    def send_if_open(eio_sid: str, eio_packet: EnginePacket) -> None:
        # A client that has just disconnected must not end the broadcast to its room.
        with suppress(SocketIsClosedError):
            send(eio_sid, eio_packet)

    return send_if_open


def _websocket_factory(original: WebSocketFactory) -> WebSocketFactory:
    """Return a factory whose WebSockets are guarded, and whose sessions end with them."""

    def websocket(handler: Callable[[Any], Any], eio: Any) -> Callable[..., Any]:
        session = handler.__self__  # type: ignore[attr-defined]  # a method of the Engine.IO socket

        def handle(driver_websocket: Any) -> Any:
            try:
                return handler(GuardedWebSocket(driver_websocket, session))
            finally:
                if not session.closed:
                    session.close(wait=False, abort=True, reason=eio.reason.TRANSPORT_CLOSE)

        def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            handover = handover_of(environ)
            if handover is not None:
                handover.complete()
            driver = original(handle, eio)
            if hasattr(driver, "server_args"):
                _prepare_simple_websocket(driver, connection_of(environ), eio)
            return driver(environ, start_response)

        return answer

    return websocket


def _prepare_simple_websocket(driver: Any, connection: Any, eio: Any) -> None:
    """Set the limits of simple-websocket, which has none by default.

    The timeout of an earlier request on the connection would end the WebSocket when it is idle.
    """
    driver.server_args["max_message_size"] = eio.max_http_buffer_size
    connection.settimeout(None)
    set_no_delay(connection)
    set_user_timeout(connection, MAX_STALL_SECONDS)


def _limit_fragmented_messages() -> None:
    """Have eventlet's WebSocket limit messages of many fragments too, not only single frames."""
    websocket = sys.modules["eventlet.websocket"]

    class LimitedMessage(websocket.RFC6455WebSocket.Message):  # type: ignore[misc, name-defined]  # known at run time
        def push(self, data: bytes, final: bool = False) -> None:
            super().push(data, final)
            size = sum(len(fragment) for fragment in self.data)
            if len(self.data) > MAX_FRAGMENTS or size > self.max_frame_length:
                raise websocket.FailedConnectionError(MESSAGE_TOO_BIG, "The message is too big.")

    websocket.RFC6455WebSocket.Message = LimitedMessage
