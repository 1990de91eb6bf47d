"""The WebSocket of one client: what comes is handled in its turn, what goes waits in one ordered, bounded outbox."""

import logging
from contextlib import suppress
from socket import SHUT_RDWR, SHUT_WR, SO_LINGER, SO_SNDBUF, SOL_SOCKET
from struct import pack
from time import monotonic
from typing import Any, ClassVar

from engineio.exceptions import SocketIsClosedError
from engineio.packet import NOOP, Packet

from chat.engine.frames import CLOSE, PING, PONG, TEXT, ProtocolError, Reader, frame
from chat.engine.scheduler import turns
from chat.engine.tcp import limit_unacknowledged, send_without_delay

MAX_OUTBOX_FRAMES, MAX_OUTBOX_BYTES, STALL_SECONDS = (
    256,
    1_000_000,
    15,
)  # for a client that does not read
MAX_UNHANDLED_PACKETS = 16  # packets of one client, before we read on
CLOSE_SECONDS = 1.0
GOING_AWAY = 1001  # RFC 6455, section 7.4.1

log = logging.getLogger(__name__)


class Connections:
    """All lines of this process: emptied at the end of each round of the hub, looked after each second."""

    open: ClassVar[set["Connection"]] = set()

    def __init__(self, eio: Any, hub: Any) -> None:
        self.eio, self.hub = eio, hub
        self._full: list[Connection] = []
        self._heartbeat()

    def schedule_flush(self, connection: "Connection") -> None:
        """Send what this line has, when everybody has said what they have to say now."""
        if not self._full:
            self.hub.schedule_call_global(0, self._empty)
        self._full.append(connection)

    def _empty(self) -> None:
        full, self._full = self._full, []
        for connection in full:
            connection.flush()

    def _heartbeat(self) -> None:
        self.hub.schedule_call_global(1.0, self._heartbeat)
        now = monotonic()
        for connection in list(self.open):
            connection.heartbeat(now)


class Connection:
    """Stands in for a client's Engine.IO socket, from the start or an upgrade on; what is idle needs no greenlet."""

    connected = upgraded = True
    upgrading = False

    def __init__(self, connections: Connections, socket: Any, polling: Any) -> None:
        self.sid = polling.sid
        self.closed = False
        self.closing = False
        self._connections = connections
        self._socket = socket
        self._polling = polling
        self._reader = Reader(connections.eio.max_http_buffer_size)
        self._writing: Any = None
        self._came: list[str | None] = []  # what is to be handled; None is the end
        self._busy = False
        self._pinged = False
        self._going_away = (
            False  # no more packets are read; the WebSocket closes when those read are answered
        )
        self._out, self._size = (
            list[bytes](),
            0,
        )  # what waits, and its size as soon as there is a tail
        self._tail = b""  # what the kernel did not take: nothing else goes before
        self._since = self._last_progress = (
            monotonic()
        )  # of the last ping, pong or upgrade; of what the kernel took last
        self._close_at: float | None = None
        send_without_delay(socket)
        limit_unacknowledged(socket, STALL_SECONDS)
        socket.setsockopt(
            SOL_SOCKET, SO_SNDBUF, 128 * 1024
        )  # the most that the kernel takes of what waits
        connections.open.add(self)
        self._read_on()

    def send(self, packet: Packet) -> None:
        """Send a packet, as Engine.IO does. Raises SocketIsClosedError."""
        if self.closed:
            raise SocketIsClosedError
        self.push(frame(packet.encode()))  # text: a chat sends nothing binary

    def push(self, data: bytes) -> None:
        """Send whole frames, behind all that waits. Who does not read is cut off."""
        if self._close_at is not None:
            return
        if self._tail:
            if len(self._out) >= MAX_OUTBOX_FRAMES or self._size > MAX_OUTBOX_BYTES:
                self.abort()
                return
            self._size += len(data)
        elif not self._out:
            self._connections.schedule_flush(self)
        self._out.append(data)

    def flush(self) -> None:
        """Hand the kernel all that waits, in one piece."""
        if not self._tail and self._out:
            self._tail, self._size = self._out[0] if len(self._out) == 1 else b"".join(self._out), 0
            self._out.clear()
            self._write()

    def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """End the session, as Engine.IO does, and the connection."""
        if not self.closing:
            self.closing, eio = True, self._connections.eio
            eio._trigger_event(
                "disconnect", self.sid, reason or eio.reason.SERVER_DISCONNECT, run_async=False
            )
            if not abort:
                self.push(frame("1"))
            self.closed = True
            eio.sockets.pop(self.sid, None)
        self._finish(1000)

    def close_transport(self) -> None:
        """Close the WebSocket with 1001 (going away), after the answers to the packets that were already read.

        No Engine.IO CLOSE packet is sent: the client loses its connection, not its session, and reconnects.
        """
        self._going_away = True
        if not self._busy:
            self._finish(GOING_AWAY)

    def abort(self) -> None:
        """End the connection now: what waits is thrown away, by the kernel too."""
        self._close_at = self._close_at or monotonic() + CLOSE_SECONDS
        self._out.clear()
        with suppress(OSError):
            self._socket.setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
            self._socket.shutdown(SHUT_RDWR)  # which is read as the end

    def check_ping_timeout(self) -> bool:
        """What Engine.IO asks its own sockets; here beat() sees to it."""
        return not self.closed

    def heartbeat(self, now: float) -> None:
        """Ping, and end what has stood still for too long. Called each second."""
        eio = self._connections.eio
        still = now - self._since
        if self._close_at is not None:
            if now > self._close_at:
                self._drop()
        elif self._is_orphaned():
            log.warning(
                "Engine.IO has lost the session of a connection. It is closed, so that its client reconnects."
            )
            self._finish(GOING_AWAY)
        elif self._tail and now - self._last_progress > STALL_SECONDS:
            self.abort()
        elif self._polling is not None or self._pinged:
            if still > eio.ping_timeout:
                self._drop()
        elif still > eio.ping_interval:
            self._pinged, self._since = True, now
            self.push(frame("2"))

    def _is_orphaned(self) -> bool:
        """Whether Engine.IO has no entry for this connection: its client would be connected, but receive nothing."""
        if self._polling is not None or self.closing:
            return False
        return self._connections.eio.sockets.get(self.sid) is not self

    def take_over(self) -> None:
        """Take over the session: from now on, packets for its client are sent here, after those still in its queue.

        The polling socket is marked as closing, never as closed. Engine.IO's service task iterates over a copy of the
        sockets and deletes the entry of a closed one by its sid, which would be the entry of this connection.
        """
        polling = self._polling
        polling.closing = True
        while not polling.queue.empty():
            packet = polling.queue.get(block=False)
            if packet is not None:
                self.send(packet)
        for _ in range(polling.queue.getting()):
            polling.queue.put(
                None
            )  # ends a pending GET request: at its timeout, it would end the session
        self._polling = None
        self._since = monotonic()
        self._connections.eio.sockets[self.sid] = self

    def _read_on(self) -> None:
        hub = self._connections.hub
        self._reading = hub.add(hub.READ, self._socket.fileno(), self._read, bool, bool)
        self._reading.greenlet = (
            None  # nobody waits here (so there are two times nothing, bool, to do to somebody)
        )

    def _read(self, _: int) -> None:
        messages: list[tuple[int, str | bytes]] = []
        try:
            if not (data := self._socket.recv(16_384)):
                self._drop()
            elif self._close_at is None and not self._going_away:
                messages = self._reader.feed(data)
        except BlockingIOError:
            return
        except ProtocolError as broken:
            self._finish(broken.args[0])
        except OSError:
            self._drop()
        for opcode, message in messages:
            if opcode == TEXT and message[:1] == "3":
                self._pinged, self._since = False, monotonic()
            elif opcode == TEXT:
                self._put(str(message))
            elif opcode == PING:
                self.push(frame(message, PONG))
            elif opcode == CLOSE:
                self._finish(1000)

    def _put(self, packet: str | None) -> None:
        """Have a packet handled: those of one line one after the other, those of all in turn."""
        self._came.append(packet)
        if not self._busy:
            self._busy = True
            turns().start(self._handle_all)
        elif len(self._came) > MAX_UNHANDLED_PACKETS and self._reading is not None:
            self._reading = self._connections.hub.remove(self._reading)

    def _handle_all(self) -> None:
        try:
            self._handle(self._came.pop(0))
            while self._came:
                turns().wait()
                self._handle(self._came.pop(0))
        finally:
            self._busy = False
            if self._going_away:
                self._finish(GOING_AWAY)
            if self._reading is None and self in self._connections.open:
                self._read_on()

    def _handle(self, packet: str | None) -> None:
        eio = self._connections.eio
        if self._polling is not None:
            self._upgrade(packet)
        elif packet is None or packet[:1] == "1":
            self.close(
                abort=True,
                reason=eio.reason.CLIENT_DISCONNECT if packet else eio.reason.TRANSPORT_CLOSE,
            )
        elif packet[:1] == "4" and not self.closed:
            eio._trigger_event("message", self.sid, packet[1:], run_async=False)

    def _upgrade(self, packet: str | None) -> None:
        """Handle the packets of an upgrade from polling: a probe, then the upgrade; any other ends this WebSocket."""
        polling = self._polling
        probed = polling.upgrading
        polling.upgrading = packet == "2probe" and not probed
        if polling.upgrading:
            self.push(frame("3probe"))
            polling.queue.put(Packet(NOOP))  # ends the pending GET request
        elif packet == "5" and probed and self._may_adopt():
            self.take_over()
        else:
            self.abort()

    def _may_adopt(self) -> bool:
        """Whether the session is still open and has not been taken over by another connection."""
        polling = self._polling
        return (
            self._connections.eio.sockets.get(self.sid) is polling
            and not polling.closing
            and not polling.closed
        )

    def _write(self, _: int = 0) -> None:
        hub, before = self._connections.hub, len(self._tail)
        try:
            self._tail = self._tail[self._socket.send(self._tail) :]
        except BlockingIOError:
            pass
        except OSError:
            self._tail = b""
            self.abort()
        if self._writing is None and self._tail:
            self._writing = hub.add(hub.WRITE, self._socket.fileno(), self._write, bool, bool)
        elif self._writing is not None and not self._tail:
            self._writing = hub.remove(self._writing)
            self.flush()
        if len(self._tail) != before:
            self._last_progress = monotonic()
        if self._close_at is not None and not self._tail:
            with suppress(OSError):
                self._socket.shutdown(SHUT_WR)

    def _finish(self, code: int) -> None:
        """Close the WebSocket when all that waits is sent; its client has a second to do the same."""
        if self._close_at is None:
            self.push(frame(pack("!H", code), CLOSE))
            self._close_at = monotonic() + CLOSE_SECONDS
            self._put(None)

    def _drop(self) -> None:
        """The connection has ended, and nothing is left of it."""
        if self in self._connections.open:
            self._connections.open.remove(self)
            self._close_at = self._close_at or monotonic()
            for listener in filter(None, (self._reading, self._writing)):
                self._connections.hub.remove(listener)
            self._tail, self._reading, self._writing = b"", None, None
            self._out.clear()
            self._socket.close()
            self._put(None)
