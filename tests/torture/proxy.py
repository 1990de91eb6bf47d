"""A TCP proxy that simulates an unreliable network.

It can reset or delay connections, drop their data silently, hold back WebSocket handshakes, lose
acknowledgements of the server, and repeat and reorder the messages of Redis.
"""

import asyncio
import random
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, Self, TypeAlias

from tests.servers import free_port

CHUNK_BYTES = 65_536
CALL_SECONDS = 5.0  # for a call from another thread into the event loop
CLOSE_SECONDS = 2.0
ACKNOWLEDGEMENT = re.compile(rb'43\d+\[\{"ok":true,"seq":')
UPGRADE = re.compile(rb"GET .*^upgrade: websocket", re.IGNORECASE | re.MULTILINE | re.DOTALL)

Rewrite: TypeAlias = Callable[[bytes], bytes | None]
"""Returns what to pass on to the client instead of a chunk from the server; None resets the
connection."""


class ResponseFilter(Protocol):
    """Alters what servers send."""

    def for_connection(self) -> Rewrite:
        """Return the function that rewrites the responses of one new connection."""


def pass_through(chunk: bytes) -> bytes:
    """Pass data on unchanged."""
    return chunk


class NoFilter:
    """Passes all responses on."""

    def for_connection(self) -> Rewrite:
        """Return the function for one connection."""
        return pass_through


class ProxiedConnection:
    """One connection through the proxy. While it is silent, all data is dropped."""

    def __init__(
        self, client: asyncio.StreamWriter, server: asyncio.StreamWriter, silent: bool
    ) -> None:
        self.silent = silent
        self._writers = (client, server)

    def reset(self) -> None:
        """Reset both sides."""
        for writer in self._writers:
            writer.transport.abort()


class Proxy:
    """Listens on `port` and forwards to another port of this machine."""

    def __init__(self, to_port: int, response_filter: ResponseFilter | None = None) -> None:
        self.port = free_port()
        self.delay_seconds = 0.0  # of every chunk
        self.refuses_upgrades = False  # to WebSocket, as some corporate proxies do
        self._to_port = to_port
        self._filter = response_filter or NoFilter()
        self._connections: set[ProxiedConnection] = set()
        self._new_are_silent = False
        self._may_upgrade = asyncio.Event()
        self._may_upgrade.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.start_server(self._accept, "127.0.0.1", self.port)
        future = asyncio.run_coroutine_threadsafe(listening, self._loop)
        self._server = future.result(CALL_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(CALL_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_SECONDS)
        self._loop.close()

    def reset_all(self) -> None:
        """Reset all connections."""
        self._for_each(ProxiedConnection.reset)

    def silence(self, new_too: bool = False) -> None:
        """Drop all data of the open connections from now on, even that one side has closed.

        New connections work, unless `new_too` is set.
        """
        self._new_are_silent = new_too

        def silence(connection: ProxiedConnection) -> None:
            connection.silent = True

        self._for_each(silence)

    def recover(self) -> None:
        """Forward again. Silent connections are reset, as by a router that has forgotten them."""
        self._new_are_silent = False

        def reset_if_silent(connection: ProxiedConnection) -> None:
            if connection.silent:
                connection.reset()

        self._for_each(reset_if_silent)

    def hold_upgrades(self) -> None:
        """Hold back WebSocket handshakes from now on; all other requests pass."""
        self._loop.call_soon_threadsafe(self._may_upgrade.clear)

    def release_upgrades(self) -> None:
        """Forward the handshakes that were held back, and all later ones."""
        self._loop.call_soon_threadsafe(self._may_upgrade.set)

    def _for_each(self, work: Callable[[ProxiedConnection], None]) -> None:
        async def run() -> None:
            for connection in list(self._connections):
                work(connection)

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(CALL_SECONDS)

    async def _accept(
        self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter
    ) -> None:
        try:
            first = await self._first_chunk(client_reader)
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            client_writer.transport.abort()
            return
        connection = ProxiedConnection(client_writer, server_writer, self._new_are_silent)
        self._connections.add(connection)
        if not connection.silent:
            server_writer.write(first)
        await asyncio.gather(
            self._forward(connection, client_reader, server_writer, pass_through),
            self._forward(connection, server_reader, client_writer, self._filter.for_connection()),
        )
        self._connections.discard(connection)

    async def _first_chunk(self, reader: asyncio.StreamReader) -> bytes:
        """Return the client's first chunk, as soon as it may be forwarded.

        This is before connecting to the server, which would not wait for a handshake held here.
        """
        first = await reader.read(CHUNK_BYTES)
        if UPGRADE.match(first):
            if self.refuses_upgrades:
                raise ConnectionRefusedError
            await self._may_upgrade.wait()
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        return first

    async def _forward(
        self,
        connection: ProxiedConnection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        rewrite: Rewrite,
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if connection.silent:
                    continue
                rewritten = rewrite(chunk)
                if rewritten is None:
                    connection.reset()
                    return
                writer.write(rewritten)
                await writer.drain()
        if not connection.silent:
            writer.transport.abort()

    async def _close(self) -> None:
        self._server.close()
        for connection in list(self._connections):
            connection.reset()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)


class AcknowledgementLoss:
    """Resets connections on which a message is about to be acknowledged, one in two.

    `remaining` is how many are still to be lost.
    """

    def __init__(self, rng: random.Random) -> None:
        self.remaining = 0
        self._rng = rng

    def for_connection(self) -> Rewrite:
        """Return the function for one connection."""
        return self._rewrite

    def _rewrite(self, chunk: bytes) -> bytes | None:
        if self.remaining and ACKNOWLEDGEMENT.search(chunk) and self._rng.random() < 0.5:
            self.remaining -= 1
            return None
        return chunk


PUBLISHED = re.compile(rb"[*>]3\r\n\$\d\r\ns?message\r\n")
"""How a message begins that was published on a channel, which may be a sharded one."""


class MessageShuffler:
    """Repeats one in three published messages of Redis, and swaps one in three with the next."""

    def __init__(self, rng: random.Random) -> None:
        self.enabled = False
        self.shuffled = 0  # how many messages were repeated or swapped
        self._rng = rng

    def for_connection(self) -> Rewrite:
        """Return the function for one connection, with buffers of its own."""
        buffer = b""
        held = b""  # sent after the next reply

        def rewrite(chunk: bytes) -> bytes:
            nonlocal buffer, held
            buffer += chunk
            output = b""
            while end := _end_of_reply(buffer, 0):
                reply = buffer[:end]
                buffer = buffer[end:]
                if self.enabled and PUBLISHED.match(reply):
                    now, later = self._shuffle(reply)
                    output += now + held
                    held = later
                else:
                    output += held + reply
                    held = b""
            return output

        return rewrite

    def _shuffle(self, message: bytes) -> tuple[bytes, bytes]:
        """Return what to send of a message now, and what to send after the next reply."""
        chance = self._rng.random()
        if chance < 1 / 3:
            self.shuffled += 1
            return message, message
        if chance < 2 / 3:
            self.shuffled += 1
            return b"", message
        return message, b""


def _end_of_reply(buffer: bytes, start: int) -> int:
    """Return where a reply of Redis ends; 0 when it is incomplete.

    See https://redis.io/docs/latest/develop/reference/protocol-spec/.
    """
    line_end = buffer.find(b"\r\n", start) + 2
    if line_end < 2:
        return 0
    kind = buffer[start : start + 1]
    number = buffer[start + 1 : line_end - 2]
    if kind in b"$=" and int(number) >= 0:
        end = line_end + int(number) + 2
        return end if end <= len(buffer) else 0
    if kind in b"*>~%":
        elements = int(number) * 2 if kind == b"%" else int(number)
        for _ in range(elements):
            if line_end == 0:
                return 0
            line_end = _end_of_reply(buffer, line_end)
    return line_end
