"""What a WebSocket client may send, in whatever pieces: all of it is read right, or the connection ends with a code."""

import os
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.engine.frames import (
    BINARY,
    CLOSE,
    MAX_FRAGMENTS,
    PING,
    PONG,
    TEXT,
    ProtocolError,
    Reader,
    frame,
)

AT_MOST = 70_000
LENGTHS = (0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537)


def sent(
    payload: bytes, opcode: int = TEXT, *, last: bool = True, mask: bytes = b"\x01\x80\xff\x7e"
) -> bytes:
    """A frame as a client sends it, masked byte by byte."""
    size, first = len(payload), opcode | (0x80 if last else 0)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def read(*pieces: bytes) -> list[tuple[int, str | bytes]]:
    reader = Reader(AT_MOST)
    return [message for piece in pieces for message in reader.feed(piece)]


def code(*pieces: bytes, at_most: int = AT_MOST) -> int:
    reader = Reader(at_most)
    with pytest.raises(ProtocolError) as broken:
        [reader.feed(piece) for piece in pieces]
    return int(broken.value.args[0])


@pytest.mark.parametrize("length", LENGTHS)
def test_text_of_every_length_is_read_and_written_right(length: int) -> None:
    text = "ä" * (length // 2) + "b" * (length % 2)

    assert read(sent(text.encode(), mask=os.urandom(4))) == [(TEXT, text)]
    written = frame(text)
    short = written[1]
    start, size = {126: (4, written[2:4]), 127: (10, written[2:10])}.get(short, (2, bytes([short])))
    assert (written[0], int.from_bytes(size), written[start:].decode()) == (0x81, length, text)
    assert short < 126 or length > (125 if short == 126 else 65_535), "the shortest form"


@pytest.mark.parametrize("length", LENGTHS)
def test_text_in_fragments_is_one_text(length: int) -> None:
    whole = os.urandom(length).hex().encode()[:length]
    cuts = sorted({0, length // 3, length // 2, length})
    parts = [whole[start:end] for start, end in pairwise(cuts)] or [b""]
    frames = [
        sent(part, 0 if place else TEXT, last=part is parts[-1]) for place, part in enumerate(parts)
    ]

    assert read(*frames) == read(b"".join(frames)) == [(TEXT, whole.decode())]


def test_control_frames_come_between_fragments() -> None:
    frames = sent(b"one ", last=False), sent(b"here?", PING), sent(b"two", 0)

    assert read(*frames) == [(PING, b"here?"), (TEXT, "one two")]


@pytest.mark.parametrize(
    ("wrong", "with_code"),
    [
        (b"\x81\x05hello", 1002),
        (b"\xc1\x80\0\0\0\0", 1002),
        (sent(b"", 3), 1002),
        (sent(b"", 11), 1002),
        (sent(b"half", PING, last=False), 1002),
        (sent(b"p" * 126, PING), 1002),
        (sent(b"more", 0), 1002),
        (sent(b"one", last=False) + sent(b"another"), 1002),
        (sent(b"\xff"), 1007),
        (sent("\ud800".encode(errors="surrogatepass")), 1007),
        (sent(b"\xc3", last=False) + sent(b"\x28", 0), 1007),
        (b"\x81\xff" + b"\xff" * 8, 1009),
        (b"\x81\xff" + struct.pack("!Q", AT_MOST + 1), 1009),
        (sent(b"a" * AT_MOST, last=False) + sent(b"b", 0), 1009),
        (sent(b"", last=False) + sent(b"", 0, last=False) * MAX_FRAGMENTS, 1009),
    ],
    ids=[
        *("not masked", "a bit for later", "an opcode for later", "a control opcode for later"),
        *("half a ping", "a long ping", "more of nothing", "another before the end"),
        *("no UTF-8", "a surrogate", "no UTF-8 over two fragments"),
        *(
            "the largest",
            "one byte too many",
            "one byte too many in fragments",
            "fragments without end",
        ),
    ],
)
def test_what_is_wrong_ends_with_its_code(wrong: bytes, with_code: int) -> None:
    assert code(wrong) == with_code
    assert (
        code(*(wrong[place : place + 1] for place in range(min(len(wrong), 20))), wrong[20:])
        == with_code
    )


def test_a_length_alone_is_enough_to_refuse_it() -> None:
    assert code(b"\x81\xfe\x01\x01", at_most=256) == 1009


def test_characters_may_be_split_between_fragments() -> None:
    first, second = "ä".encode()[:1], "ä".encode()[1:]

    assert read(sent(first, last=False), sent(second, 0)) == [(TEXT, "ä")]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[tuple[int, str | bytes]], bytes]:
    """Messages, and the bytes in which a client could send them."""
    messages: list[tuple[int, str | bytes]] = []
    data = b""
    mask = st.binary(min_size=4, max_size=4)
    control = st.tuples(st.sampled_from([PING, PONG, CLOSE]), st.binary(max_size=125))
    for message in draw(
        st.lists(st.one_of(st.text(max_size=300), st.binary(max_size=300)), max_size=8)
    ):
        opcode, whole = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
        cuts = [0, *sorted(draw(st.lists(st.integers(0, len(whole)), max_size=3))), len(whole)]
        for place, (start, end) in enumerate(pairwise(cuts)):
            last = place == len(cuts) - 2
            data += sent(whole[start:end], 0 if place else opcode, last=last, mask=draw(mask))
            if not last and draw(st.booleans()):
                kind, payload = draw(control)
                messages.append((kind, payload))
                data += sent(payload, kind, mask=draw(mask))
        messages.append((opcode, message))
    return messages, data


@given(conversations(), st.data())
def test_whatever_the_pieces_what_is_said_is_heard(
    conversation: tuple[list[tuple[int, str | bytes]], bytes], data: st.DataObject
) -> None:
    messages, sent_bytes = conversation
    cuts = [
        0,
        *sorted(data.draw(st.lists(st.integers(0, len(sent_bytes)), max_size=20))),
        len(sent_bytes),
    ]

    assert read(*(sent_bytes[start:end] for start, end in pairwise(cuts))) == messages


@st.composite
def spoiled(draw: st.DrawFn) -> list[bytes]:
    """What a client could send, but for one byte."""
    data = bytearray(draw(conversations())[1] or sent(b"hello"))
    data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return [bytes(data)]


@given(st.one_of(st.lists(st.binary(max_size=200), max_size=20), spoiled()))
def test_noise_is_refused_or_waited_for_and_never_kept(noise: list[bytes]) -> None:
    reader = Reader(1_000)
    try:
        for piece in noise:
            for opcode, message in reader.feed(piece):
                assert opcode in (TEXT, BINARY, CLOSE, PING, PONG)
                assert isinstance(message, str) == (opcode == TEXT)
                assert len(message) <= 1_000
    except ProtocolError as broken:
        assert broken.args[0] in (1002, 1007, 1009)  # noqa: PT017  # either is right
    assert len(reader._buffer) <= 1_000 + 14
