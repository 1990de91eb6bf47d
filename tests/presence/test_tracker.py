"""The tracker: what it knows of people on other workers, depending on the connection to Redis."""

import time
from collections.abc import Callable, Collection

import pytest
from flask import Flask

from chat import _subscribe
from chat.broadcasts import Broadcaster
from chat.delivery.bus import LocalBus
from chat.presence.registry import NoPresenceRegistry, PeopleByWorker
from chat.presence.tracker import (
    BUS_GRACE_SECONDS,
    REGISTRATION_SECONDS,
    SETTLE_SECONDS,
    PeopleInRoom,
    PresenceTracker,
)
from chat.services import services_of
from tests.conftest import JSON, Client, Patch, post_elsewhere


class HandlerBus(LocalBus):
    """A bus whose handlers a test calls."""

    def __init__(self) -> None:
        self._connect_handlers: list[Callable[[], None]] = []
        self._follow_handlers: list[Callable[[set[str]], None]] = []

    def on_connect(self, handler: Callable[[], None]) -> None:
        """Keep a handler for `connect`."""
        self._connect_handlers.append(handler)

    def on_follow(self, handler: Callable[[set[str]], None]) -> None:
        """Keep a handler for `confirm`."""
        self._follow_handlers.append(handler)

    def connect(self) -> None:
        """Call the handlers of a connection."""
        for handler in self._connect_handlers:
            handler()

    def confirm(self, labels: set[str]) -> None:
        """Call the handlers of rooms that are followed from now on."""
        for handler in self._follow_handlers:
            handler(labels)


class WatchedRegistry(NoPresenceRegistry):
    """Notes what a person in a room has received each time somebody reads it."""

    def __init__(self, person: Client) -> None:
        self.received: list[list[JSON]] = []
        self._person = person

    def load_rooms(self, labels: Collection[str]) -> dict[str, PeopleByWorker] | None:
        """Return that nothing is registered."""
        self.received.append(self._person.received("chat"))
        return super().load_rooms(labels)


@pytest.fixture
def bus() -> LocalBus:
    """A bus whose state a test sets; it is not connected yet."""
    return LocalBus()


@pytest.fixture
def tracker(app: Flask, bus: LocalBus) -> PresenceTracker:
    """The tracker of a worker that shares an empty Redis with others."""
    socketio = services_of(app).socketio
    broadcaster = Broadcaster(socketio)
    return PresenceTracker(app, socketio, broadcaster, bus, NoPresenceRegistry(), BUS_GRACE_SECONDS)


def test_a_room_may_be_in_use_before_the_first_connection_to_redis(
    tracker: PresenceTracker,
) -> None:
    assert tracker.may_be_in("kitchen")


def test_a_room_may_be_in_use_as_soon_as_redis_is_down(
    tracker: PresenceTracker, bus: LocalBus
) -> None:
    bus.up_since = time.monotonic() - REGISTRATION_SECONDS
    bus.is_up = True
    assert not tracker.may_be_in("kitchen")

    bus.is_up = False

    assert tracker.may_be_in("kitchen")


def test_a_room_may_be_in_use_until_all_workers_have_registered_again(
    tracker: PresenceTracker, bus: LocalBus
) -> None:
    bus.up_since = time.monotonic()
    bus.is_up = True
    assert tracker.may_be_in("kitchen")

    bus.up_since -= REGISTRATION_SECONDS

    assert not tracker.may_be_in("kitchen")


def test_a_single_worker_knows_which_rooms_are_in_use(app: Flask) -> None:
    assert not services_of(app).presence.may_be_in("kitchen")


@pytest.mark.parametrize("is_new_connection", [True, False])
def test_missing_messages_are_broadcast_before_presence_reads_redis(
    app: Flask, ada: Client, kitchen: str, is_new_connection: bool
) -> None:
    services = services_of(app)
    bus = HandlerBus()
    registry = WatchedRegistry(ada)
    presence = PresenceTracker(
        app, services.socketio, Broadcaster(services.socketio), bus, registry, BUS_GRACE_SECONDS
    )
    _subscribe(bus, services.reconciler, presence, services.limit_sharing)
    post_elsewhere(app, kitchen, "hello")

    if is_new_connection:
        bus.connect()
    else:
        bus.confirm({kitchen})

    assert [message["message"] for message in registry.received[0]] == ["hello"]


def test_who_is_in_a_room_is_unknown_until_all_workers_have_registered_again(
    tracker: PresenceTracker, bus: LocalBus, monkeypatch: Patch
) -> None:
    bus.is_up = True
    tracker.on_bus_connect()
    assert tracker.all_people_in("kitchen") == PeopleInRoom({}, 0)

    bus.up_since = time.monotonic()  # again: Redis may have lost what was registered
    assert tracker.all_people_in("kitchen") is None
    tracker.on_bus_connect()
    assert tracker.all_people_in("kitchen") is None

    later = time.monotonic() + SETTLE_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert tracker.all_people_in("kitchen") == PeopleInRoom({}, 0)
