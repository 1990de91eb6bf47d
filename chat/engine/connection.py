"""The WebSocket connection of one client, which needs no greenlet.

eventlet's hub calls a connection when its socket is readable or writable. Received packets are
handled in order, by the fair scheduler. Frames to send wait in a send queue that is written once
per hub iteration, so several frames take one system call. Slow consumers are disconnected: those
whose send queue is full, or makes no progress for MAX_STALL_SECONDS.
"""

import logging
from contextlib import suppress
from socket import SHUT_RDWR, SHUT_WR, SO_LINGER, SOL_SOCKET
from struct import pack
from time import monotonic
from typing import Any

from engineio.exceptions import SocketIsClosedError
from engineio.packet import NOOP, Packet

from chat.engine.frames import (
    CLOSE,
    GOING_AWAY,
    NORMAL_CLOSURE,
    PING,
    PONG,
    TEXT,
    FrameParser,
    ProtocolError,
    build_frame,
    close_code_to_answer,
)
from chat.engine.scheduler import fair_scheduler
from chat.engine.tcp import (
    MAX_STALL_SECONDS,
    limit_send_buffer,
    set_no_delay,
    set_user_timeout,
)

# The limits of a slow consumer: a client that does not read, or reads too slowly.
MAX_QUEUED_FRAMES = 256
MAX_QUEUED_BYTES = 1_000_000

RECEIVE_BYTES = 16 * 1024

MAX_UNHANDLED_PACKETS = 16
"""Packets of one client that wait to be handled; with more, its socket is not read."""

CLOSE_SECONDS = 1.0
"""How long a client may take to close its side of the connection."""

HEARTBEAT_SECONDS = 1.0

# The first character of an Engine.IO packet is its type.
CLOSE_PACKET = "1"
PING_PACKET = "2"
PONG_PACKET = "3"
MESSAGE_PACKET = "4"
UPGRADE_PACKET = "5"
PING_PROBE = "2probe"
PONG_PROBE = "3probe"

log = logging.getLogger(__name__)

open_connections: set["Connection"] = set()
"""All connections of this process; the acceptor counts them."""


class Connections:
    """The connections of one Engine.IO server: flushes their send queues and sends their pings."""

    def __init__(self, eio: Any, hub: Any) -> None:
        self.eio = eio
        self.hub = hub
        self._to_flush: list[Connection] = []
        self._run_heartbeats()

    def schedule_flush(self, connection: "Connection") -> None:
        """Flush a connection once in this hub iteration, with all that is queued until then."""
        if not self._to_flush:
            self.hub.schedule_call_global(0, self._flush)
        self._to_flush.append(connection)

    def _flush(self) -> None:
        connections = self._to_flush
        self._to_flush = []
        for connection in connections:
            connection.flush()

    def _run_heartbeats(self) -> None:
        self.hub.schedule_call_global(HEARTBEAT_SECONDS, self._run_heartbeats)
        now = monotonic()
        for connection in list(open_connections):
            connection.heartbeat(now)


class Connection:
    """A WebSocket, used by Engine.IO in place of its own `Socket` after connecting or upgrading."""

    # Engine.IO reads these from its sockets.
    connected = True
    upgraded = True
    upgrading = False

    def __init__(self, connections: Connections, socket: Any, polling: Any, address: str) -> None:
        self.sid = polling.sid
        self.closed = False
        self.closing = False
        self._connections = connections
        self._socket = socket
        self._address = address  # of the client, "" if it is not known
        self._polling = polling  # Engine.IO's socket; None once its session has been taken over
        self._parser = FrameParser(connections.eio.max_http_buffer_size)
        self._read_listener: Any = None
        self._write_listener: Any = None  # only while there are unsent bytes

        self._unhandled: list[str | None] = []  # packets; None: the connection has ended
        self._is_handling = False
        # The code with which to close when the packets that were read are handled; until then, no
        # more are read.
        self._pending_close: int | None = None

        self._queue: list[bytes] = []
        self._queued_bytes = 0  # counted only while there are unsent bytes
        self._unsent = b""  # what the kernel did not accept; sent before the queue

        now = monotonic()
        self._awaits_pong = False
        self._last_activity = now  # of the last ping, pong or upgrade
        self._last_send_progress = now  # when the kernel last accepted bytes
        self._close_at: float | None = None  # None: the WebSocket is not being closed

        set_no_delay(socket)
        set_user_timeout(socket, MAX_STALL_SECONDS)
        limit_send_buffer(socket)
        open_connections.add(self)
        self._start_reading()

    # Engine.IO's interface

    def send(self, packet: Packet) -> None:
        """Send an Engine.IO packet. Raises SocketIsClosedError."""
        if self.closed:
            raise SocketIsClosedError
        self.push(build_frame(packet.encode()))  # always text: nothing here sends binary packets

    def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """End the session and close the WebSocket. With `abort`, send no Engine.IO CLOSE packet."""
        if not self.closing:
            self._end_session(abort, reason)
        self._start_closing(NORMAL_CLOSURE)

    def check_ping_timeout(self) -> bool:
        """Return whether the session is open. Pings are checked by `heartbeat`."""
        return not self.closed

    # Sending

    def push(self, frames: bytes) -> None:
        """Queue whole frames. Disconnects the client when its send queue is full."""
        if self._close_at is not None:
            return
        if self._unsent:
            if len(self._queue) >= MAX_QUEUED_FRAMES or self._queued_bytes > MAX_QUEUED_BYTES:
                self.abort()
                return
            self._queued_bytes += len(frames)
        elif not self._queue:
            self._connections.schedule_flush(self)
        self._queue.append(frames)

    def flush(self) -> None:
        """Write the send queue, in one system call."""
        if self._unsent or not self._queue:
            return
        if len(self._queue) == 1:
            self._unsent = self._queue[0]
        else:
            self._unsent = b"".join(self._queue)
        self._queue.clear()
        self._queued_bytes = 0
        self._write()

    def _write(self, _fileno: int = 0) -> None:
        """Write the unsent bytes. The hub calls this when the socket is writable again."""
        hub = self._connections.hub
        unsent_before = len(self._unsent)
        try:
            sent = self._socket.send(self._unsent)
            self._unsent = self._unsent[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = b""
            self.abort()
        if self._unsent:
            if self._write_listener is None:
                self._write_listener = self._listen(hub.WRITE, self._write)
        elif self._write_listener is not None:
            hub.remove(self._write_listener)
            self._write_listener = None
            self.flush()
        if len(self._unsent) != unsent_before:
            self._last_send_progress = monotonic()
        if self._close_at is not None and not self._unsent:
            with suppress(OSError):
                self._socket.shutdown(SHUT_WR)

    # Receiving

    def _start_reading(self) -> None:
        self._read_listener = self._listen(self._connections.hub.READ, self._read)
        # No greenlet waits here, and the hub must not keep the current one alive.
        self._read_listener.greenlet = None

    def _read(self, _fileno: int) -> None:
        """Read the socket. The hub calls this when it is readable."""
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._release()
            return
        if not data:
            self._release()
            return
        self.receive(data)

    def receive(self, data: bytes) -> None:
        """Handle what the client has sent."""
        if self._close_at is not None or self._pending_close is not None:
            return
        try:
            for opcode, payload in self._parser.feed(data):
                self._receive(opcode, payload)
        except ProtocolError as error:
            self._close_when_handled(error.close_code)

    def _receive(self, opcode: int, payload: Any) -> None:
        if opcode == TEXT and payload[:1] == PONG_PACKET:
            self._receive_pong()
        elif opcode == TEXT:
            self._handle_in_turn(payload)
        elif opcode == PING:
            self.push(build_frame(payload, PONG))
        elif opcode == CLOSE:
            self._close_when_handled(close_code_to_answer(payload))

    def _receive_pong(self) -> None:
        if self._polling is not None:
            return  # until the upgrade, pings are sent by polling: this must not extend its time
        self._awaits_pong = False
        self._last_activity = monotonic()

    def _handle_in_turn(self, packet: str | None) -> None:
        """Handle a packet after those before it, when the fair scheduler gives the turn."""
        self._unhandled.append(packet)
        if not self._is_handling:
            self._is_handling = True
            fair_scheduler().spawn(self._handle_all, self._address)
        elif len(self._unhandled) > MAX_UNHANDLED_PACKETS and self._read_listener is not None:
            self._connections.hub.remove(self._read_listener)
            self._read_listener = None

    def _handle_all(self) -> None:
        """Handle packets until none is left. The first one has had its turn already."""
        try:
            self._handle(self._unhandled.pop(0))
            while self._unhandled:
                fair_scheduler().wait_turn(self._address)
                self._handle(self._unhandled.pop(0))
        finally:
            self._is_handling = False
            if self._pending_close is not None:
                self._start_closing(self._pending_close)
            if self._read_listener is None and self in open_connections:
                self._start_reading()

    def _handle(self, packet: str | None) -> None:
        eio = self._connections.eio
        if self._polling is not None:
            self._handle_upgrade(packet)
        elif packet is None:
            self.close(abort=True, reason=eio.reason.TRANSPORT_CLOSE)
        elif packet[:1] == CLOSE_PACKET:
            self.close(abort=True, reason=eio.reason.CLIENT_DISCONNECT)
        elif packet[:1] == MESSAGE_PACKET and not self.closed:
            eio._trigger_event("message", self.sid, packet[1:], run_async=False)

    # Upgrading from polling

    def take_over(self) -> None:
        """Take over the session: its packets are sent here from now on, after those still queued.

        The polling socket is marked as closing, never as closed. Engine.IO's service task iterates
        over a copy of the sockets and deletes the entry of a closed one by its sid, which would be
        the entry of this connection.
        """
        polling = self._polling
        polling.closing = True
        while not polling.queue.empty():
            packet = polling.queue.get(block=False)
            if packet is not None:
                self.send(packet)
        for _ in range(polling.queue.getting()):
            # Ends a pending GET request. At its timeout, it would end the session.
            polling.queue.put(None)
        self._polling = None
        self._last_activity = monotonic()
        self._connections.eio.sockets[self.sid] = self

    def _handle_upgrade(self, packet: str | None) -> None:
        """Handle a packet of an upgrade: a probe, then the upgrade. Any other disconnects."""
        polling = self._polling
        has_probed = polling.upgrading
        polling.upgrading = packet == PING_PROBE and not has_probed
        if polling.upgrading:
            self.push(build_frame(PONG_PROBE))
            polling.queue.put(Packet(NOOP))  # ends the pending GET request
        elif packet == UPGRADE_PACKET and has_probed and self._may_take_over():
            self.take_over()
        else:
            self.abort()

    def _may_take_over(self) -> bool:
        """Return whether the session is open and no other connection has taken it over."""
        polling = self._polling
        return (
            self._connections.eio.sockets.get(self.sid) is polling
            and not polling.closing
            and not polling.closed
        )

    # Heartbeat

    def heartbeat(self, now: float) -> None:
        """Send a ping when it is due; disconnect a client that stalls or answers no ping.

        Called once a second.
        """
        if self._close_at is not None:
            if now > self._close_at:
                self._release()
        elif self._is_orphaned():
            log.warning(
                "Engine.IO has lost the session of a connection. It is closed, so that its client "
                "reconnects."
            )
            self._start_closing(GOING_AWAY)
        elif self._unsent and now - self._last_send_progress > MAX_STALL_SECONDS:
            self.abort()
        else:
            self._check_ping(now)

    def _check_ping(self, now: float) -> None:
        eio = self._connections.eio
        idle_seconds = now - self._last_activity
        is_upgrading = self._polling is not None
        if is_upgrading or self._awaits_pong:
            if idle_seconds > eio.ping_timeout:
                self._release()
        elif idle_seconds > eio.ping_interval:
            self._awaits_pong = True
            self._last_activity = now
            self.push(build_frame(PING_PACKET))

    def _is_orphaned(self) -> bool:
        """Return whether Engine.IO has no entry for this connection.

        Its client would stay connected and receive nothing.
        """
        if self._polling is not None or self.closing:
            return False
        return self._connections.eio.sockets.get(self.sid) is not self

    # Closing

    def close_transport(self) -> None:
        """Close the WebSocket with 1001 (going away), after answering the packets already read.

        No Engine.IO CLOSE packet is sent: the client loses its connection, not its session, and
        reconnects.
        """
        self._close_when_handled(GOING_AWAY)

    def abort(self) -> None:
        """Disconnect at once, and discard what is queued here and in the kernel."""
        if self._close_at is None:
            self._close_at = monotonic() + CLOSE_SECONDS
        self._queue.clear()
        linger_zero_seconds = pack("ii", 1, 0)
        with suppress(OSError):
            self._socket.setsockopt(SOL_SOCKET, SO_LINGER, linger_zero_seconds)
            self._socket.shutdown(SHUT_RDWR)  # makes the socket readable: `_read` finds its end

    def _end_session(self, abort: bool, reason: str | None) -> None:
        eio = self._connections.eio
        self.closing = True
        eio._trigger_event(
            "disconnect", self.sid, reason or eio.reason.SERVER_DISCONNECT, run_async=False
        )
        if not abort:
            self.push(build_frame(CLOSE_PACKET))
        self.closed = True
        eio.sockets.pop(self.sid, None)

    def _close_when_handled(self, close_code: int) -> None:
        """Close the WebSocket after answering the packets already read."""
        self._pending_close = close_code
        if not self._is_handling:
            self._start_closing(close_code)

    def _start_closing(self, close_code: int) -> None:
        """Send a close frame behind all that is queued; the client has CLOSE_SECONDS to answer."""
        if self._close_at is not None:
            return
        self.push(build_frame(pack("!H", close_code), CLOSE))
        self._close_at = monotonic() + CLOSE_SECONDS
        self._handle_in_turn(None)

    def _release(self) -> None:
        """Close the socket and free all that belongs to it; then the session ends."""
        if self not in open_connections:
            return
        open_connections.remove(self)
        if self._close_at is None:
            self._close_at = monotonic()
        for listener in (self._read_listener, self._write_listener):
            if listener is not None:
                self._connections.hub.remove(listener)
        self._read_listener = None
        self._write_listener = None
        self._unsent = b""
        self._queue.clear()
        self._socket.close()
        self._handle_in_turn(None)

    def _listen(self, event: Any, callback: Any) -> Any:
        """Have the hub call `callback` whenever the socket is readable or writable."""
        hub = self._connections.hub
        fileno = self._socket.fileno()
        return hub.add(event, fileno, callback, _on_descriptor_reused, _on_descriptor_reused)


def _on_descriptor_reused(*_: object) -> None:
    """Do nothing. The hub calls this when a file descriptor is opened again while it has listeners.

    It is meant to wake up greenlets that wait for a socket which was closed behind their back. A
    connection removes its listeners before it closes its socket.
    """
