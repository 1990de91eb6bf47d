"""The connection between two workers: messages, sockets that are passed on, and their limits."""

import errno
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.engine import worker_channel
from chat.engine.worker_channel import MalformedMessage, WorkerChannel

SECONDS = 5.0


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets: those of the other worker, and of this one."""
    theirs, ours = socket.socketpair()
    with theirs, ours:
        yield theirs, ours


def test_a_message_arrives_with_its_head_and_body(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    theirs, ours = ends
    body = bytes(range(256)) * 200
    WorkerChannel(theirs).send({"PATH_INFO": "/socket.io/", "HTTP_X": "é"}, body)

    channel = WorkerChannel(ours)
    head = channel.receive_head(SECONDS)

    assert head.fields == {"PATH_INFO": "/socket.io/", "HTTP_X": "é"}
    assert head.passed_socket is None
    assert channel.receive_body(head) == body


def test_a_socket_is_passed_on_with_a_message(ends: tuple[socket.socket, socket.socket]) -> None:
    theirs, ours = ends
    client, passed = socket.socketpair()
    with client:
        WorkerChannel(theirs).send({}, b"early", passed)
        passed.close()

        channel = WorkerChannel(ours)
        head = channel.receive_head(SECONDS)
        with head.passed_socket as received:
            assert channel.receive_body(head) == b"early"
            client.sendall(b"hello")
            assert received.recv(100) == b"hello"
        assert client.recv(100) == b"", "the received socket was the last one"


@pytest.mark.parametrize(
    "message",
    [
        b"\xff\xff\xff\xff\x00\x00\x00\x00",  # a head of 4 GiB
        b"\x00\x20\x00\x01\x00\x00\x00\x00",  # a head of one byte more than allowed
        b"\x00\x00\x00\x02\x00\x00\x00\x00[]",
        b"\x00\x00\x00\x02\x00\x00\x00\x00{]",
        b"\x00\x00\x00\x02\x00\x00\x00\x00\xff\xfe",
        b"\x00\x00\x00\x02\x00\x10\x00\x01{}",  # a body of one byte more than allowed
    ],
)
def test_a_message_that_no_worker_sends_is_refused(
    ends: tuple[socket.socket, socket.socket], message: bytes
) -> None:
    theirs, ours = ends
    theirs.sendall(message)
    channel = WorkerChannel(ours)

    with pytest.raises(MalformedMessage):
        channel.receive_body(channel.receive_head(SECONDS))


@pytest.mark.parametrize(
    "part", [b"", b"\x00\x00", b"\x00\x00\x00\x02\x00\x00\x00\x05{", b"\0\0\0\2\0\0\0\5{}abc"]
)
def test_the_end_of_the_other_worker_is_noticed_in_every_part_of_a_message(
    ends: tuple[socket.socket, socket.socket], part: bytes
) -> None:
    theirs, ours = ends
    theirs.sendall(part)
    theirs.close()
    channel = WorkerChannel(ours)

    with pytest.raises(ConnectionResetError) as raised:
        channel.receive_body(channel.receive_head(SECONDS))
    assert raised.value.errno == errno.ECONNRESET, "gunicorn logs other errors with a traceback"


def test_a_message_may_begin_later_than_one_that_has_begun_may_stall(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_channel, "STALL_SECONDS", 0.1)
    theirs, ours = ends
    channel = WorkerChannel(ours)
    message = b"\0\0\0\2\0\0\0\0{}"
    answering = threading.Timer(0.5, theirs.sendall, [message])
    answering.start()
    try:
        assert channel.receive_head(SECONDS).fields == {}
    finally:
        answering.join()

    theirs.sendall(message[:1])
    with pytest.raises(TimeoutError):
        channel.receive_head(SECONDS)
    with pytest.raises(TimeoutError):
        channel.receive_head(0.1)


def test_another_worker_that_reads_nothing_is_given_up(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_channel, "STALL_SECONDS", 0.2)
    channel = WorkerChannel(ends[1])

    with pytest.raises(TimeoutError):
        channel.send({}, bytes(10_000_000))


def test_a_worker_that_is_gone_or_accepts_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_channel, "CONNECT_SECONDS", 0.2)
    path = tmp_path / "000"
    with pytest.raises(FileNotFoundError):
        WorkerChannel.open(path)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        waiting = WorkerChannel.open(path)
        with pytest.raises(TimeoutError):
            WorkerChannel.open(path)
        waiting.close()

    with pytest.raises(ConnectionRefusedError):
        WorkerChannel.open(path)
