"""A connection that is in no room is disconnected after a while, with every server."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from time import monotonic

import pytest
from flask import Flask

from chat.errors import Busy
from chat.join_timeout import JoinTimeout
from chat.models import Room
from chat.services import services_of
from tests.clients import POLLING, UPGRADE, WEBSOCKET, Closed, Node, Polling, Stranger, WebSocket
from tests.conftest import Client, Patch
from tests.servers import ConfabServer, wait_until
from tests.torture.connections import count_connections

JOIN_SECONDS = 2
LEFT_SECONDS = 4
"""The limits in tests/impatient.py."""

MAX_LATENESS_SECONDS = 2.5
"""The connections are checked once a second, and the machine may be busy."""

CLOSE_SECONDS = 20
"""Less than the time after which a server gives up a client that answers no ping."""


class Timed:
    """A JoinTimeout with limits of 15 and 600 seconds, and whom it has disconnected."""

    def __init__(self, app: Flask) -> None:
        self.disconnected: list[str] = []
        self.timeout = JoinTimeout(
            services_of(app).socketio,
            self.disconnected.append,
            join_seconds=15,
            left_seconds=600,
        )

    def after(self, seconds: float) -> list[str]:
        """Return who has been disconnected so many seconds from now."""
        self.timeout.disconnect_overdue(monotonic() + seconds)
        return self.disconnected


@pytest.fixture
def timed(app: Flask) -> Iterator[Timed]:
    made = Timed(app)
    yield made
    made.timeout.stop(monotonic())


def test_a_connection_that_does_not_join_is_disconnected_after_15_seconds(timed: Timed) -> None:
    timed.timeout.on_session_opened("ada", {})

    assert timed.after(14) == []
    assert timed.after(16) == ["ada"]
    assert timed.after(1000) == ["ada"]


def test_a_connection_that_joins_may_stay(timed: Timed) -> None:
    timed.timeout.on_session_opened("ada", {})
    timed.timeout.on_room_entered("ada")

    assert timed.after(10_000) == []


def test_a_connection_that_has_left_its_room_may_stay_for_ten_minutes(timed: Timed) -> None:
    timed.timeout.on_session_opened("ada", {})
    timed.timeout.on_room_entered("ada")
    timed.timeout.on_room_left("ada")

    assert timed.after(599) == []
    assert timed.after(601) == ["ada"]


def test_connecting_to_the_namespace_again_gives_no_more_time(timed: Timed) -> None:
    timed.timeout.on_session_opened("ada", {})
    while not timed.after(15.001):
        timed.timeout.on_namespace_left("ada")

    assert timed.disconnected == ["ada"]


def test_a_connection_that_has_ended_is_forgotten(timed: Timed) -> None:
    timed.timeout.on_session_opened("ada", {})
    timed.timeout.on_session_closed("ada")

    assert timed.after(10_000) == []


def test_a_connection_that_could_not_join_may_stay_longer(timed: Timed) -> None:
    timed.timeout.on_session_opened("ada", {})
    timed.timeout.on_room_left("ben")
    timed.timeout.postpone("ada")
    timed.timeout.postpone("ben")

    assert timed.after(14) == []
    assert timed.after(599) == ["ada"]


def deadlines(app: Flask) -> list[float]:
    """Return after how many seconds each connection in no room would be disconnected."""
    return [each - monotonic() for each in services_of(app).join_timeout._deadlines.values()]


def test_only_a_connection_outside_of_every_room_has_a_deadline(app: Flask, ada: Client) -> None:
    assert deadlines(app) == []

    assert ada.ask("leave", {})["ok"]
    (deadline,) = deadlines(app)
    assert deadline == pytest.approx(600, abs=10)

    assert ada.join("kitchen")["ok"]
    assert deadlines(app) == []


def test_a_database_that_is_busy_gives_a_connection_more_time(
    app: Flask, ada: Client, monkeypatch: Patch
) -> None:
    ada.ask("leave", {})
    services_of(app).join_timeout._deadlines.clear()

    def raise_busy(_label: str) -> Room:
        raise Busy

    monkeypatch.setattr(Room, "find", raise_busy)
    assert ada.join("nowhere")["code"] == "busy"

    (deadline,) = deadlines(app)
    assert deadline == pytest.approx(15, abs=5)


def test_a_connection_that_could_not_join_another_room_stays_in_its_room(
    app: Flask, ada: Client, monkeypatch: Patch
) -> None:
    def raise_busy(_label: str) -> Room:
        raise Busy

    monkeypatch.setattr(Room, "find", raise_busy)
    assert ada.join("nowhere")["code"] == "busy"

    assert deadlines(app) == []


def seconds_until_closed(websocket: WebSocket) -> float:
    """Return after how many seconds a server disconnects a client that only answers pings."""
    began = time.monotonic()
    with suppress(Closed):
        while True:
            if websocket.receive() == "2":
                websocket.send("3")
    return time.monotonic() - began


def silent_websocket(server: ConfabServer) -> float:
    with WebSocket(server.url) as websocket:
        return seconds_until_closed(websocket)


def connected_websocket(server: ConfabServer) -> float:
    with Stranger(server.url) as stranger:
        return seconds_until_closed(stranger)


def websocket_that_reconnects_to_the_namespace(server: ConfabServer) -> float:
    with Stranger(server.url) as stranger:
        for _ in range(10):
            stranger.send("41")
            stranger.send("40")
        return seconds_until_closed(stranger)


def websocket_in_a_namespace_that_does_not_exist(server: ConfabServer) -> float:
    with WebSocket(server.url) as websocket:
        websocket.send("40/nowhere,")
        return seconds_until_closed(websocket)


def connected_polling(server: ConfabServer) -> float:
    polling = Polling(server.url)
    began = time.monotonic()
    while polling.request("GET")[0] == 200:
        polling.request("POST", "3")
    return time.monotonic() - began


def websocket_that_was_refused(server: ConfabServer) -> float:
    with Stranger(server.url) as stranger:
        assert stranger.ask("join", {"label": "no-such-room"})["code"] == "not_found"
        return seconds_until_closed(stranger)


def websocket_that_disconnects_from_the_namespace(server: ConfabServer) -> float:
    with Stranger(server.url) as stranger:
        assert stranger.ask("join", {"label": "kitchen"})["ok"]
        stranger.send("41")
        return seconds_until_closed(stranger)


NEVER_JOIN: list[Callable[[ConfabServer], float]] = [
    silent_websocket,
    connected_websocket,
    websocket_that_reconnects_to_the_namespace,
    websocket_in_a_namespace_that_does_not_exist,
    connected_polling,
    websocket_that_was_refused,
    websocket_that_disconnects_from_the_namespace,
]


@pytest.mark.servers
def test_connections_in_no_room_are_disconnected_and_others_stay(
    impatient_server: ConfabServer,
) -> None:
    with Stranger(impatient_server.url) as ada, ThreadPoolExecutor(len(NEVER_JOIN)) as threads:
        assert ada.ask("join", {"label": "kitchen"})["ok"]
        waiting = {each.__name__: threads.submit(each, impatient_server) for each in NEVER_JOIN}
        seconds = {name: future.result() for name, future in waiting.items()}

        assert ada.ask("chat", {"handle": "Ada", "message": "Still here"})["ok"]

    # A little less than the limit, because the client starts to count after the server.
    too_early = {name: each for name, each in seconds.items() if each < JOIN_SECONDS - 1}
    too_late = {
        name: each for name, each in seconds.items() if each > JOIN_SECONDS + MAX_LATENESS_SECONDS
    }
    assert (too_early, too_late) == ({}, {})


@pytest.mark.servers
def test_a_connection_that_has_left_stays_longer_than_a_new_one(
    impatient_server: ConfabServer,
) -> None:
    with Stranger(impatient_server.url) as ada:
        assert ada.ask("join", {"label": "kitchen"})["ok"]
        assert ada.ask("leave", {})["ok"]
        seconds = seconds_until_closed(ada)

    assert LEFT_SECONDS - 1 < seconds < LEFT_SECONDS + MAX_LATENESS_SECONDS


@pytest.mark.servers
def test_clients_that_ignore_the_close_are_disconnected_too(impatient_server: ConfabServer) -> None:
    wait_until(
        lambda: count_connections(impatient_server.port) == 0, what="no other test is connected"
    )
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(WebSocket(impatient_server.url))  # after the server has accepted it
        wait_until(
            lambda: count_connections(impatient_server.port) == 0,
            CLOSE_SECONDS,
            "their connections close",
        )


@pytest.mark.servers
@pytest.mark.parametrize("transports", [POLLING, WEBSOCKET, UPGRADE], ids=str)
def test_a_stock_client_connects_again_and_can_join(
    impatient_server: ConfabServer, transports: tuple[str, ...]
) -> None:
    with Node() as node:
        ada = node.person(impatient_server.url, transports)
        ada.wait_until("disconnect")
        ada.wait_until("connect", times=2)
        ada.join("kitchen")
        ada.post("Here I am")
