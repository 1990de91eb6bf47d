"""A bad line: a TCP proxy that cuts, slows, falls silent, loses answers, and repeats and swaps what Redis says."""

import asyncio
import random
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from tests.servers import free_port

CHUNK = 65_536
ANSWER = re.compile(rb'43\d+\[\{"ok":true,"seq":')
UPGRADE = re.compile(rb"GET .*^upgrade: websocket", re.IGNORECASE | re.MULTILINE | re.DOTALL)

Rewrite = Callable[[bytes], bytes | None]  # what the far end says becomes this; None cuts the line


def unchanged(chunk: bytes) -> bytes:
    """A good line."""
    return chunk


class Link:
    """One connection through the proxy."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter, silent: bool) -> None:
        self.ends = near, far
        self.silent = silent

    def cut(self) -> None:
        """Reset both ends."""
        for end in self.ends:
            end.transport.abort()


class Proxy:
    """Listens on `port` and passes everything on to another port of this machine, as well or badly as it is told."""

    def __init__(self, to_port: int, rewrite: Callable[[], Rewrite] = lambda: unchanged) -> None:
        self.port = free_port()
        self.seconds_late = 0.0
        self.refuses_upgrades = False  # to WebSocket, as some companies' proxies do
        self._to_port = to_port
        self._rewrite = rewrite
        self._links: set[Link] = set()
        self._new_are_silent = False
        self._upgrades_pass = asyncio.Event()
        self._upgrades_pass.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def cut(self, rng: random.Random | None = None, portion: float = 1.0) -> None:
        """Cut all connections, or a portion of them."""
        self._run(lambda link: rng is None or rng.random() < portion, Link.cut)

    def fall_silent(self, new_too: bool = False) -> None:
        """From now on nothing comes through, not even that somebody has hung up; new connections work, or do not."""
        self._new_are_silent = new_too
        self._run(lambda _: True, lambda link: setattr(link, "silent", True))

    def recover(self) -> None:
        """Be a good line again. The silent connections are forgotten, as a router would."""
        self._new_are_silent = False
        self._run(lambda link: link.silent, Link.cut)

    def hold_upgrades(self) -> None:
        """From now on handshakes of WebSocket wait; all other requests pass."""
        self._loop.call_soon_threadsafe(self._upgrades_pass.clear)

    def release_upgrades(self) -> None:
        """Let the handshakes pass that wait, and all later ones."""
        self._loop.call_soon_threadsafe(self._upgrades_pass.set)

    def _run(self, which: Callable[[Link], bool], work: Callable[[Link], None]) -> None:
        async def run() -> None:
            for link in [link for link in self._links if which(link)]:
                work(link)

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(5)

    async def _connected(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        try:
            first = await self._first_chunk(reader)
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            near.transport.abort()
            return
        link = Link(near, far, self._new_are_silent)
        self._links.add(link)
        if not link.silent:
            far.write(first)
        await asyncio.gather(
            self._pass_on(link, reader, far, unchanged),
            self._pass_on(link, far_reader, near, self._rewrite()),
        )
        self._links.discard(link)

    async def _first_chunk(self, reader: asyncio.StreamReader) -> bytes:
        """What the near end says first, when it may pass. A server would not wait for a handshake that is held here."""
        first = await reader.read(CHUNK)
        if UPGRADE.match(first):
            if self.refuses_upgrades:
                raise ConnectionRefusedError
            await self._upgrades_pass.wait()
        if self.seconds_late:
            await asyncio.sleep(self.seconds_late)
        return first

    async def _pass_on(
        self,
        link: Link,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        rewrite: Rewrite,
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if self.seconds_late:
                    await asyncio.sleep(self.seconds_late)
                if link.silent:
                    continue
                said = rewrite(chunk)
                if said is None:
                    link.cut()
                    return
                writer.write(said)
                await writer.drain()
        if not link.silent:
            writer.transport.abort()

    async def _close(self) -> None:
        self._server.close()
        for link in list(self._links):
            link.cut()
        everything = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(everything, timeout=2) if everything else None


class Forgetful:
    """Cuts the line of whoever is about to be told that a message is stored: so many times, one in two."""

    def __init__(self, rng: random.Random) -> None:
        self.left = 0
        self._dice = rng

    def __call__(self) -> Rewrite:
        return self._rewrite

    def _rewrite(self, chunk: bytes) -> bytes | None:
        if self.left and ANSWER.search(chunk) and self._dice.random() < 0.5:
            self.left -= 1
            return None
        return chunk


class Muddled:
    """Repeats and swaps what Redis passes on: one in three comes again later, one in three behind the next."""

    def __init__(self, rng: random.Random) -> None:
        self.muddles = 0
        self.at_work = True
        self._dice = rng

    def __call__(self) -> Rewrite:
        buffer, held = b"", b""

        def rewrite(chunk: bytes) -> bytes:
            nonlocal buffer, held
            buffer += chunk
            said = b""
            while end := _end_of_reply(buffer, 0):
                reply, buffer = buffer[:end], buffer[end:]
                if not self.at_work or b"\r\nmessage\r\n" not in reply[:24]:
                    said, held = said + held + reply, b""
                    continue
                chance = self._dice.random()
                self.muddles += chance < 2 / 3
                now, later = (
                    (reply, reply)
                    if chance < 1 / 3
                    else (b"", reply)
                    if chance < 2 / 3
                    else (reply, b"")
                )
                said, held = said + now + held, later
            return said

        return rewrite


def _end_of_reply(buffer: bytes, start: int) -> int:
    """Where a reply of Redis ends, or 0 when it is not all there."""
    line_end = buffer.find(b"\r\n", start) + 2
    if line_end < 2:
        return 0
    kind, number = buffer[start : start + 1], buffer[start + 1 : line_end - 2]
    if kind in b"$=" and int(number) >= 0:
        end = line_end + int(number) + 2
        return end if end <= len(buffer) else 0
    if kind in b"*>~%":
        for _ in range(int(number) * (2 if kind == b"%" else 1)):
            line_end = _end_of_reply(buffer, line_end) if line_end else 0
    return line_end
