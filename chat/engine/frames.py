"""Parses and builds WebSocket frames (RFC 6455, section 5). It does no input or output itself."""

from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import Iterator
from typing import Any, TypeAlias

CONTINUATION = 0
TEXT = 1
BINARY = 2
CLOSE = 8
PING = 9
PONG = 10
OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})

# The bits of the first two bytes of a frame.
FIN_BIT = 0x80
RESERVED_BITS = 0x70
OPCODE_BITS = 0x0F
CONTROL_BIT = 0x08
MASK_BIT = 0x80
LENGTH_BITS = 0x7F

MAX_SHORT_LENGTH = 125
LENGTH_IN_2_BYTES = 126
"""This value in the length field says that the length is in the next two bytes."""

LENGTH_IN_8_BYTES = 127
MASK_BYTES = 4

MAX_FRAGMENTS = 1_024
"""Frames of one message; a client could send empty fragments without end."""

# Close codes (RFC 6455, section 7.4.1).
NORMAL_CLOSURE = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
INVALID_PAYLOAD = 1007
MESSAGE_TOO_BIG = 1009

CLOSE_CODES = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
"""Those that an endpoint may send: the registered ones, and those for libraries and programs."""

CLOSE_CODE_BYTES = 2

new_decoder = getincrementaldecoder("utf-8")

Message: TypeAlias = tuple[int, str | bytes]
"""An opcode and a payload: a `str` for TEXT, `bytes` for every other opcode."""


class ProtocolError(Exception):
    """The client has violated the protocol or exceeded a limit."""

    def __init__(self, close_code: int) -> None:
        super().__init__(close_code)
        self.close_code = close_code


def build_frame(payload: str | bytes, opcode: int = TEXT) -> bytes:
    """Return a whole message as one frame, unmasked, as servers send it."""
    data = payload.encode() if isinstance(payload, str) else payload
    size = len(data)
    if size <= MAX_SHORT_LENGTH:
        return bytes((FIN_BIT | opcode, size)) + data
    if size <= 0xFFFF:
        return bytes((FIN_BIT | opcode, LENGTH_IN_2_BYTES)) + size.to_bytes(2, "big") + data
    return bytes((FIN_BIT | opcode, LENGTH_IN_8_BYTES)) + size.to_bytes(8, "big") + data


class FrameParser:
    """Parses the frames of one client, in whatever pieces they arrive."""

    __slots__ = ("_buffer", "_decoder", "_fragments", "_fragments_bytes", "_max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes  # of one message, in all its fragments
        self._buffer = b""  # a frame that has not arrived completely
        self._fragments: list[Any] | None = None  # None: no message has begun
        self._fragments_bytes = 0
        self._decoder: IncrementalDecoder | None = None  # of a fragmented text

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that are complete with `data`, up to a close frame.

        Raises ProtocolError, after the messages before the violation.
        """
        buffer = self._buffer + data
        position = 0
        try:
            while True:
                bounds = self._find_payload(buffer, position)
                if bounds is None:
                    break
                start, end = bounds
                if len(buffer) < end:
                    break
                message = self._add_frame(buffer[position], _unmask(buffer, start, end))
                position = end
                if message is None:
                    continue
                yield message
                if message[0] == CLOSE:
                    break  # what follows has no meaning (RFC 6455, section 5.5.1)
        except UnicodeDecodeError:
            raise ProtocolError(INVALID_PAYLOAD) from None
        self._buffer = buffer[position:]

    def _find_payload(self, buffer: bytes, position: int) -> tuple[int, int] | None:
        """Return where the payload of the frame at `position` starts and where it ends.

        Returns None when the header is incomplete. Raises ProtocolError as early as possible: what
        is too large is refused before it arrives.
        """
        length_start = position + 2
        if len(buffer) < length_start:
            return None
        first_byte = buffer[position]
        second_byte = buffer[position + 1]
        size = second_byte & LENGTH_BITS
        if not second_byte & MASK_BIT:
            raise ProtocolError(PROTOCOL_ERROR)
        self._check_first_byte(first_byte, size)
        mask_start = length_start
        if size > MAX_SHORT_LENGTH:
            mask_start += 2 if size == LENGTH_IN_2_BYTES else 8
            if len(buffer) < mask_start:
                return None
            size = int.from_bytes(buffer[length_start:mask_start], "big")
        is_control = first_byte & CONTROL_BIT
        bytes_before = 0 if is_control else self._fragments_bytes
        if bytes_before + size > self._max_bytes:
            raise ProtocolError(MESSAGE_TOO_BIG)
        start = mask_start + MASK_BYTES
        return start, start + size

    def _check_first_byte(self, first_byte: int, size: int) -> None:
        """Raise ProtocolError when a frame of this kind is not allowed here."""
        opcode = first_byte & OPCODE_BITS
        if first_byte & RESERVED_BITS or opcode not in OPCODES:
            raise ProtocolError(PROTOCOL_ERROR)
        if opcode & CONTROL_BIT:
            is_fragment = not first_byte & FIN_BIT
            if is_fragment or size > MAX_SHORT_LENGTH:
                raise ProtocolError(PROTOCOL_ERROR)
            return
        is_continuation = opcode == CONTINUATION
        has_begun = self._fragments is not None
        if is_continuation != has_begun:
            raise ProtocolError(PROTOCOL_ERROR)

    def _add_frame(self, first_byte: int, payload: bytes) -> Message | None:
        """Return the message that a frame completes, or None. Raises ProtocolError."""
        if first_byte == FIN_BIT | TEXT:  # the usual case
            return TEXT, payload.decode()
        opcode = first_byte & OPCODE_BITS
        if opcode == CLOSE:
            _check_close(payload)
        if opcode & CONTROL_BIT:
            return opcode, payload
        if self._fragments is None:
            self._fragments = []
            self._decoder = new_decoder() if opcode == TEXT else None
        is_last = bool(first_byte & FIN_BIT)
        # Each fragment is decoded at once, so that invalid text is refused as early as possible.
        part = payload if self._decoder is None else self._decoder.decode(payload, is_last)
        self._fragments.append(part)
        self._fragments_bytes += len(payload)
        if len(self._fragments) > MAX_FRAGMENTS:
            raise ProtocolError(MESSAGE_TOO_BIG)
        if not is_last:
            return None
        return self._join(self._fragments)

    def _join(self, fragments: list[Any]) -> Message:
        """Return the message whose last fragment has arrived."""
        is_text = self._decoder is not None
        self._fragments = None
        self._fragments_bytes = 0
        self._decoder = None
        if is_text:
            return TEXT, "".join(fragments)
        return BINARY, b"".join(fragments)


def _check_close(payload: bytes) -> None:
    """Raise ProtocolError or UnicodeDecodeError for a malformed close frame.

    See RFC 6455, sections 5.5.1 and 7.4.
    """
    if not payload:
        return
    code = int.from_bytes(payload[:CLOSE_CODE_BYTES], "big")
    if len(payload) < CLOSE_CODE_BYTES or code not in CLOSE_CODES:
        raise ProtocolError(PROTOCOL_ERROR)
    payload[CLOSE_CODE_BYTES:].decode()  # the reason


def close_code_to_answer(payload: bytes) -> int:
    """Return the code with which to answer a valid close frame: the same, if it has one."""
    if not payload:
        return NORMAL_CLOSURE
    return int.from_bytes(payload[:CLOSE_CODE_BYTES], "big")


def _unmask(buffer: bytes, start: int, end: int) -> bytes:
    """Return a payload without its mask.

    It is computed with one XOR of two large integers: a loop over the bytes is many times slower.
    """
    size = end - start
    mask = buffer[start - MASK_BYTES : start]
    repeated_mask = (mask * (size // MASK_BYTES + 1))[:size]
    masked_number = int.from_bytes(buffer[start:end], "little")
    mask_number = int.from_bytes(repeated_mask, "little")
    return (masked_number ^ mask_number).to_bytes(size, "little")
