"""At the limit of connections, the slowest request gives way."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from chat.engine import pending_requests as module
from chat.engine.pending_requests import MIN_SECONDS, PendingRequests
from tests.conftest import Patch, StoppedClock


@pytest.fixture
def clock(monkeypatch: Patch) -> StoppedClock:
    """The monotonic clock."""
    made = StoppedClock()
    monkeypatch.setattr(module, "monotonic", made)
    return made


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Three connections: the end of the server and that of the client."""
    made = [socket.socketpair() for _ in range(3)]
    yield made
    for server, client in made:
        server.close()
        client.close()


def is_disconnected(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def test_the_oldest_request_is_interrupted_first(
    clock: StoppedClock, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    pending = PendingRequests()
    with ExitStack() as stack:
        for server, _ in pairs:
            stack.enter_context(pending.waiting(server))
            clock.now += 0.1
        clock.now += MIN_SECONDS

        assert pending.disconnect_oldest()
        assert [is_disconnected(client) for _, client in pairs] == [True, False, False]
        assert pending.disconnect_oldest()
        assert [is_disconnected(client) for _, client in pairs] == [True, True, False]


def test_a_young_request_is_not_interrupted(
    clock: StoppedClock, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    pending = PendingRequests()
    (server, client), *_ = pairs
    with pending.waiting(server):
        clock.now += MIN_SECONDS * 0.75
        assert not pending.disconnect_oldest()
        assert pending.seconds_until_late() == pytest.approx(MIN_SECONDS * 0.25)

        clock.now += pending.seconds_until_late()
        assert pending.disconnect_oldest()

    assert is_disconnected(client)


def test_a_request_that_has_arrived_is_not_interrupted(
    clock: StoppedClock, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    pending = PendingRequests()
    with pending.waiting(pairs[0][0]):
        pass
    clock.now += 1000

    assert not pending.disconnect_oldest()
    assert pending.seconds_until_late() == 0
