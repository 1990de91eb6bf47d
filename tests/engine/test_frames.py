"""WebSocket frames: any division into pieces is parsed; a violation has the right close code."""

import os
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.engine.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    INVALID_PAYLOAD,
    MAX_FRAGMENTS,
    MESSAGE_TOO_BIG,
    NORMAL_CLOSURE,
    OPCODES,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    FrameParser,
    Message,
    ProtocolError,
    build_frame,
    close_code_to_answer,
)

MAX_BYTES = 70_000
LENGTHS = (0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537)
MAX_HEADER_BYTES = 14


def client_frame(
    payload: bytes, opcode: int = TEXT, *, last: bool = True, mask: bytes = b"\x01\x80\xff\x7e"
) -> bytes:
    """Return a frame as clients send it, masked byte by byte."""
    size = len(payload)
    first_byte = opcode | (0x80 if last else 0)
    if size < 126:
        header = struct.pack("!BB", first_byte, 0x80 | size)
    elif size < 65_536:
        header = struct.pack("!BBH", first_byte, 0x80 | 126, size)
    else:
        header = struct.pack("!BBQ", first_byte, 0x80 | 127, size)
    return header + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def parse(*pieces: bytes, max_bytes: int = MAX_BYTES) -> list[Message]:
    """Return the messages in bytes that arrive in these pieces. Raises ProtocolError."""
    parser = FrameParser(max_bytes)
    return [message for piece in pieces for message in parser.feed(piece)]


def close_code(*pieces: bytes, max_bytes: int = MAX_BYTES) -> int:
    """Return the close code with which these bytes are refused."""
    with pytest.raises(ProtocolError) as error:
        parse(*pieces, max_bytes=max_bytes)
    return error.value.close_code


@pytest.mark.parametrize("length", LENGTHS)
def test_text_of_every_length_is_parsed(length: int) -> None:
    text = "ä" * (length // 2) + "b" * (length % 2)

    assert parse(client_frame(text.encode(), mask=os.urandom(4))) == [(TEXT, text)]


@pytest.mark.parametrize("length", LENGTHS)
def test_text_of_every_length_is_built_with_the_shortest_header(length: int) -> None:
    text = "b" * length

    frame = build_frame(text)

    assert frame[0] == 0x81
    if length < 126:
        assert frame[1:] == bytes([length]) + text.encode()
    elif length < 65_536:
        assert frame[1:] == b"\x7e" + length.to_bytes(2, "big") + text.encode()
    else:
        assert frame[1:] == b"\x7f" + length.to_bytes(8, "big") + text.encode()


def test_text_is_built_as_utf_8_and_bytes_as_they_are() -> None:
    assert build_frame("äb") == b"\x81\x03\xc3\xa4b"
    assert build_frame(b"\x03\xe8", CLOSE) == b"\x88\x02\x03\xe8"


@pytest.mark.parametrize("length", LENGTHS)
def test_fragments_are_joined_to_one_text(length: int) -> None:
    whole = os.urandom(length).hex().encode()[:length]
    cuts = sorted({0, length // 3, length // 2, length})
    parts = [whole[start:end] for start, end in pairwise(cuts)] or [b""]
    frames = [
        client_frame(part, CONTINUATION if index else TEXT, last=index == len(parts) - 1)
        for index, part in enumerate(parts)
    ]

    assert parse(*frames) == [(TEXT, whole.decode())]
    assert parse(b"".join(frames)) == [(TEXT, whole.decode())]


def test_control_frames_may_come_between_fragments() -> None:
    first = client_frame(b"one ", last=False)
    ping = client_frame(b"payload", PING)
    second = client_frame(b"two", CONTINUATION)

    assert parse(first, ping, second) == [(PING, b"payload"), (TEXT, "one two")]


def test_a_character_may_be_split_between_fragments() -> None:
    encoded = "ä".encode()
    first = client_frame(encoded[:1], last=False)
    second = client_frame(encoded[1:], CONTINUATION)

    assert parse(first, second) == [(TEXT, "ä")]


EMPTY_FRAGMENT = client_frame(b"", CONTINUATION, last=False)
VIOLATIONS = {
    "no mask": (b"\x81\x05hello", PROTOCOL_ERROR),
    "a reserved bit": (b"\xc1\x80\0\0\0\0", PROTOCOL_ERROR),
    "a reserved opcode": (client_frame(b"", 3), PROTOCOL_ERROR),
    "a reserved control opcode": (client_frame(b"", 11), PROTOCOL_ERROR),
    "a fragmented ping": (client_frame(b"half", PING, last=False), PROTOCOL_ERROR),
    "a long ping": (client_frame(b"p" * 126, PING), PROTOCOL_ERROR),
    "a continuation of nothing": (client_frame(b"more", CONTINUATION), PROTOCOL_ERROR),
    "a text within a text": (
        client_frame(b"one", last=False) + client_frame(b"another"),
        PROTOCOL_ERROR,
    ),
    "no UTF-8": (client_frame(b"\xff"), INVALID_PAYLOAD),
    "a surrogate": (
        client_frame("\ud800".encode(errors="surrogatepass")),
        INVALID_PAYLOAD,
    ),
    "no UTF-8 over two fragments": (
        client_frame(b"\xc3", last=False) + client_frame(b"\x28", CONTINUATION),
        INVALID_PAYLOAD,
    ),
    "no UTF-8 in a first fragment": (client_frame(b"\xff", last=False), INVALID_PAYLOAD),
    "a fragmented close": (client_frame(b"\x03\xe8", CLOSE, last=False), PROTOCOL_ERROR),
    "a long close": (client_frame(b"\x03\xe8" + b"r" * 124, CLOSE), PROTOCOL_ERROR),
    "a close of one byte": (client_frame(b"\x03", CLOSE), PROTOCOL_ERROR),
    "a close without UTF-8": (client_frame(b"\x03\xe8\xce\xba\xff", CLOSE), INVALID_PAYLOAD),
    "a close with half a character": (client_frame(b"\x03\xe8\xe2\x82", CLOSE), INVALID_PAYLOAD),
    "a close with a surrogate": (
        client_frame(b"\x03\xe8\xed\xa0\x80", CLOSE),
        INVALID_PAYLOAD,
    ),
    "the largest length": (b"\x81\xff" + b"\xff" * 8, MESSAGE_TOO_BIG),
    "one byte too many": (b"\x81\xff" + struct.pack("!Q", MAX_BYTES + 1), MESSAGE_TOO_BIG),
    "one byte too many in fragments": (
        client_frame(b"a" * MAX_BYTES, last=False) + client_frame(b"b", CONTINUATION),
        MESSAGE_TOO_BIG,
    ),
    "fragments without end": (
        client_frame(b"", last=False) + EMPTY_FRAGMENT * MAX_FRAGMENTS,
        MESSAGE_TOO_BIG,
    ),
}


@pytest.mark.parametrize(("data", "expected"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_violation_has_its_close_code(data: bytes, expected: int) -> None:
    single_bytes = [data[index : index + 1] for index in range(min(len(data), 20))]

    assert close_code(data) == expected
    assert close_code(*single_bytes, data[20:]) == expected


# Those of the Autobahn test suite, 7.7 and 7.9, and the registered ones that came later.
VALID_CLOSE_CODES = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]
INVALID_CLOSE_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]


@pytest.mark.parametrize("code", VALID_CLOSE_CODES)
@pytest.mark.parametrize("reason", ["", "Bye", "ä" * 61], ids=["none", "short", "longest"])
def test_a_valid_close_is_answered_with_its_code(code: int, reason: str) -> None:
    payload = code.to_bytes(2, "big") + reason.encode()

    assert parse(client_frame(payload, CLOSE)) == [(CLOSE, payload)]
    assert close_code_to_answer(payload) == code


def test_a_close_without_code_is_answered_with_a_normal_closure() -> None:
    assert parse(client_frame(b"", CLOSE)) == [(CLOSE, b"")]
    assert close_code_to_answer(b"") == NORMAL_CLOSURE


@pytest.mark.parametrize("code", INVALID_CLOSE_CODES)
@pytest.mark.parametrize("reason", [b"", b"Bye"], ids=["no reason", "reason"])
def test_a_close_with_an_invalid_code_is_refused(code: int, reason: bytes) -> None:
    assert close_code(client_frame(code.to_bytes(2, "big") + reason, CLOSE)) == PROTOCOL_ERROR


def test_a_close_may_come_between_fragments() -> None:
    first = client_frame(b"one ", last=False)
    close = client_frame(b"\x03\xe8", CLOSE)

    assert parse(first, close) == [(CLOSE, b"\x03\xe8")]


@pytest.mark.parametrize("after", [client_frame(b"more"), client_frame(b"", PING), b"\xff\xff"])
def test_what_follows_a_close_is_ignored(after: bytes) -> None:
    assert parse(client_frame(b"\x03\xe8", CLOSE) + after) == [(CLOSE, b"\x03\xe8")]


def test_messages_before_a_violation_are_parsed() -> None:
    messages = FrameParser(MAX_BYTES).feed(client_frame(b"hello") + b"\xff\xff")

    assert next(messages) == (TEXT, "hello")
    with pytest.raises(ProtocolError):
        next(messages)


def test_a_length_is_refused_before_its_payload_arrives() -> None:
    assert close_code(b"\x81\xfe\x01\x01", max_bytes=256) == MESSAGE_TOO_BIG


@st.composite
def client_messages(draw: st.DrawFn) -> tuple[list[Message], bytes]:
    """Draw messages, and the bytes in which a client could send them."""
    expected: list[Message] = []
    data = b""
    masks = st.binary(min_size=4, max_size=4)
    control_frames = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))
    payloads = st.one_of(st.text(max_size=300), st.binary(max_size=300))
    for payload in draw(st.lists(payloads, max_size=8)):
        if isinstance(payload, str):
            opcode = TEXT
            whole = payload.encode()
        else:
            opcode = BINARY
            whole = payload
        cuts = [0, *sorted(draw(st.lists(st.integers(0, len(whole)), max_size=3))), len(whole)]
        for index, (start, end) in enumerate(pairwise(cuts)):
            last = index == len(cuts) - 2
            frame_opcode = CONTINUATION if index else opcode
            data += client_frame(whole[start:end], frame_opcode, last=last, mask=draw(masks))
            if not last and draw(st.booleans()):
                control_opcode, control_payload = draw(control_frames)
                expected.append((control_opcode, control_payload))
                data += client_frame(control_payload, control_opcode, mask=draw(masks))
        expected.append((opcode, payload))
    return expected, data


@given(client_messages(), st.data())
def test_messages_are_parsed_however_their_bytes_are_divided(
    sent: tuple[list[Message], bytes], data: st.DataObject
) -> None:
    expected, sent_bytes = sent
    positions = data.draw(st.lists(st.integers(0, len(sent_bytes)), max_size=20))
    cuts = [0, *sorted(positions), len(sent_bytes)]

    assert parse(*(sent_bytes[start:end] for start, end in pairwise(cuts))) == expected


@st.composite
def corrupted_messages(draw: st.DrawFn) -> list[bytes]:
    """Draw what a client could send, with one byte changed."""
    data = bytearray(draw(client_messages())[1] or client_frame(b"hello"))
    data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return [bytes(data)]


@given(st.one_of(st.lists(st.binary(max_size=200), max_size=20), corrupted_messages()))
def test_random_bytes_are_refused_or_buffered_within_the_limit(pieces: list[bytes]) -> None:
    parser = FrameParser(1_000)
    try:
        for piece in pieces:
            for opcode, payload in parser.feed(piece):
                assert opcode in OPCODES - {CONTINUATION}
                assert isinstance(payload, str) == (opcode == TEXT)
                assert len(payload) <= 1_000
    except ProtocolError as error:
        codes = (PROTOCOL_ERROR, INVALID_PAYLOAD, MESSAGE_TOO_BIG)
        assert error.close_code in codes  # noqa: PT017  # refusing and buffering are both right
    assert len(parser._buffer) <= 1_000 + MAX_HEADER_BYTES
