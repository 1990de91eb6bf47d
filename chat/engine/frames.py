"""WebSocket frames, RFC 6455: bytes in and messages out, or the other way round. It knows no socket."""

from struct import pack, unpack

OPCODES = CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MAX_FRAGMENTS = 1_024
LATER = {126: (2, "!H"), 127: (8, "!Q")}  # the bytes and the format of a length that does not fit


class ProtocolError(Exception):
    """The client does not speak the protocol, or says too much; its argument is the code to close with."""


def frame(payload: str | bytes, opcode: int = TEXT) -> bytes:
    """One whole message in one frame, as a server sends it."""
    data = payload.encode() if isinstance(payload, str) else payload
    size = len(data)
    if size < 126:
        return pack("!BB", 128 | opcode, size) + data
    return (
        pack("!BBH" if size < 65_536 else "!BBQ", 128 | opcode, 126 if size < 65_536 else 127, size)
        + data
    )


class Reader:
    """Finds the messages in what a client sends, however it comes in pieces."""

    __slots__ = ("_at_most", "_buffer", "_opcode", "_parts", "_size")

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most  # bytes of a message, over all its fragments
        self._buffer = b""
        self._parts: list[bytes] | None = (
            None  # the fragments of a message, its opcode and size until now
        )
        self._opcode = self._size = 0

    def feed(self, data: bytes) -> list[tuple[int, str | bytes]]:
        """The messages that are whole now, each with its opcode: text as text, all else as bytes. Raises Broken."""
        buffer = self._buffer + data if self._buffer else data
        at, messages = 0, list[tuple[int, str | bytes]]()
        try:
            while (head := self._head(buffer, at)) is not None and len(buffer) >= head[1]:
                first, (start, end) = buffer[at], head
                mask = (buffer[start - 4 : start] * ((end - start) // 4 + 1))[: end - start]
                unmasked = int.from_bytes(buffer[start:end], "little") ^ int.from_bytes(
                    mask, "little"
                )
                payload, at = unmasked.to_bytes(end - start, "little"), end
                if first == 128 | TEXT:
                    messages.append((TEXT, payload.decode()))
                elif first & 8:
                    messages.append((first & 15, payload))
                elif (whole := self._add(first, payload)) is not None:
                    messages.append(whole)
        except UnicodeDecodeError:
            raise ProtocolError(1007) from None
        self._buffer = buffer[at:]
        return messages

    def _head(self, buffer: bytes, at: int) -> tuple[int, int] | None:
        """Where the payload of the frame starts that begins here, and where it ends; None while that is not known."""
        if len(buffer) < at + 2:
            return None
        first, size = buffer[at], buffer[at + 1] - 128
        opcode, start = first & 15, at + 6
        if first & 0x70 or size < 0 or opcode not in OPCODES:
            raise ProtocolError(1002)
        if (
            (size > 125 or first < 128)
            if opcode & 8
            else ((opcode == CONTINUATION) == (self._parts is None))
        ):
            raise ProtocolError(1002)
        if size > 125:
            more, form = LATER[size]
            start += more
            if len(buffer) < start - 4:
                return None
            size = unpack(form, buffer[at + 2 : start - 4])[0]
        if size > self._at_most - (0 if opcode & 8 else self._size):
            raise ProtocolError(1009)
        return start, start + size

    def _add(self, first: int, payload: bytes) -> tuple[int, str | bytes] | None:
        """Take in a frame of a message; the message, when this was the last."""
        if self._parts is None:
            self._opcode, self._parts = first & 15, []
        self._parts.append(payload)
        self._size += len(payload)
        if len(self._parts) > MAX_FRAGMENTS:
            raise ProtocolError(1009)
        if first < 128:
            return None
        whole, self._parts, self._size = b"".join(self._parts), None, 0
        return self._opcode, whole.decode() if self._opcode == TEXT else whole
