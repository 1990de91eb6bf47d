"""The guard before the handlers: drops what no client of ours sends, so that one bad packet costs nobody anything."""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import partial
from socket import SHUT_RDWR
from typing import Any

from engineio import payload
from engineio.exceptions import SocketIsClosedError
from engineio.packet import Packet as EnginePacket
from socketio import Server, packet

from chat.engine.frames import MAX_FRAGMENTS
from chat.engine.scheduler import wait_turn
from chat.engine.tcp import send_without_delay

MAX_UNREADABLE_PACKETS = 100  # bad packets of one connection before it is closed
ENGINE_IO_TYPES = frozenset("12345")  # close, ping, pong, message, upgrade
NORMAL_CLOSURE = 1000  # RFC 6455, section 7.4.1
GOING_AWAY = 1001

log = logging.getLogger(__name__)


def protect(socketio: Any, events: Collection[str]) -> None:
    """Let only well-formed packets and these events through to the server's handlers."""
    server: Server = socketio.server
    bad: Counter[str] = Counter()

    def on_message(eio_sid: str, data: object) -> None:
        try:
            _dispatch(server, events, eio_sid, data)
        except MalformedPacket:
            if eio_sid not in server.eio.sockets:
                return
            bad[eio_sid] += 1
            if bad[eio_sid] == MAX_UNREADABLE_PACKETS:
                log.info(
                    "A connection sent %d unreadable packets and was closed", MAX_UNREADABLE_PACKETS
                )
                server.eio.sockets[eio_sid].close(
                    wait=False
                )  # waiting, it would wait for a reader that need not come

    def on_disconnect(eio_sid: str, reason: str) -> None:
        bad.pop(eio_sid, None)
        server._handle_eio_disconnect(eio_sid, reason)

    send, websocket = server._send_eio_packet, server.eio._async["websocket"]

    def send_if_open(eio_sid: str, eio_packet: EnginePacket) -> None:
        with suppress(
            SocketIsClosedError
        ):  # one who has just gone must not keep a room from hearing
            send(eio_sid, eio_packet)

    server._send_eio_packet = send_if_open
    server.eio.on("message", on_message)
    server.eio.on("disconnect", on_disconnect)
    if server.async_mode == "eventlet":
        _limit_messages()
    server.eio._async = {**server.eio._async, "websocket": partial(_guarded, websocket)}
    payload.Payload = ReadablePayload


class MalformedPacket(Exception):
    """Not a packet any client of ours sends."""


def _dispatch(server: Server, events: Collection[str], eio_sid: str, data: object) -> None:
    """Decode one Socket.IO packet and hand it to the server. Raises Unreadable."""
    # Binary packets wait for attachments that may never come; a chat has none.
    if not isinstance(data, str) or data[:1] not in ("0", "1", "2", "3"):
        raise MalformedPacket
    try:
        read = server.packet_class(encoded_packet=data)
    except (ValueError, TypeError, IndexError) as error:
        raise MalformedPacket from error
    if read.packet_type == packet.CONNECT:
        server._handle_connect(eio_sid, read.namespace, read.data)
    elif read.packet_type == packet.DISCONNECT:
        server._handle_disconnect(eio_sid, read.namespace, server.reason.CLIENT_DISCONNECT)
    elif read.packet_type == packet.ACK:
        return  # the server asks for none
    elif (
        isinstance(read.data, list)
        and read.data
        and isinstance(read.data[0], str)
        and read.data[0] in events
    ):
        server._handle_event(eio_sid, read.namespace, read.id, read.data)
    else:
        raise MalformedPacket


def _guarded(
    websocket: Callable[..., Any], handler: Callable[[Any], Any], eio: Any
) -> Callable[..., Any]:
    """The driver's WebSocket; its reader sees readable Engine.IO packets only, and its socket always ends."""

    session = handler.__self__  # type: ignore[attr-defined]  # the Engine.IO socket

    def handle(ws: Any) -> Any:
        try:
            return handler(Readable(ws, session))
        finally:
            if not session.closed:
                session.close(wait=False, abort=True, reason=eio.reason.TRANSPORT_CLOSE)

    def upgrade(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if "werkzeug.socket" in environ:
            send_without_delay(environ["werkzeug.socket"])
        driver = websocket(handle, eio)
        if hasattr(driver, "server_args"):  # simple-websocket has no limit unless it is given one
            driver.server_args["max_message_size"] = eio.max_http_buffer_size
        return driver(environ, start_response)

    return upgrade


class ReadablePayload(payload.Payload):  # type: ignore[misc]  # it ships no types
    """What a polling client sends in one body, of limited size. What is no packet is skipped; the rest counts.

    The library would drop all of it if there are more than 16 packets, or if one of them is unreadable.
    """

    def decode(self, encoded_payload: str) -> None:
        """Find the packets; each is read when it is its turn."""
        found = [
            each
            for each in encoded_payload.split("\x1e")
            if each[:1] and each[:1] in ENGINE_IO_TYPES
        ]
        self.packets = self._one_by_one(found)

    def _one_by_one(self, encoded_packets: list[str]) -> Iterator[EnginePacket]:
        for each in encoded_packets:
            wait_turn()
            yield EnginePacket(encoded_packet=each)


class Readable:
    """A WebSocket that skips frames which are no Engine.IO packet."""

    def __init__(self, ws: Any, session: Any) -> None:
        self._ws = ws
        self._session = session

    def wait(self) -> str | None:
        """The next readable packet, or None at the end."""
        while True:
            frame = self._ws.wait()
            wait_turn()
            if self._session.server.sockets.get(self._session.sid) is not self._session:
                return None  # Engine.IO has lost the session: its client would be connected, but receive nothing
            if frame is None or (isinstance(frame, str) and frame[:1] in ENGINE_IO_TYPES):
                return frame

    def close(self) -> None:
        """End both directions. Under eventlet, closing the socket itself would leave its reader asleep for ever."""
        if (line := getattr(self._ws, "socket", None)) is None:
            self._ws.close()
            return
        code = NORMAL_CLOSURE if self._session.closed else GOING_AWAY
        with suppress(OSError):
            self._ws._send_closing_frame(True, (code, ""))
            line.shutdown(SHUT_RDWR)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ws, name)


def _limit_messages() -> None:
    """Close with 1009 above the limit on a frame, also when what is above it is a message in many fragments."""
    websocket = sys.modules["eventlet.websocket"]

    class Limited(websocket.RFC6455WebSocket.Message):  # type: ignore[misc, name-defined]  # known at run time
        def push(self, data: bytes, final: bool = False) -> None:
            super().push(data, final)
            if len(self.data) > MAX_FRAGMENTS or sum(map(len, self.data)) > self.max_frame_length:
                raise websocket.FailedConnectionError(1009, "The message is too big.")

    websocket.RFC6455WebSocket.Message = Limited
