"""The bus accepts only messages that a worker of this installation has signed, and each once."""

import json
import logging
import time
from math import inf

import pytest
from flask import Flask

from chat.broadcasts import Broadcaster
from chat.delivery.reconciler import Reconciler
from chat.delivery.redis_bus import RedisBus
from chat.delivery.redis_names import RedisNames
from chat.delivery.redis_server import RedisServer
from chat.delivery.replay_guard import MAX_AGE_SECONDS, MAX_STREAMS, RedisClock, ReplayGuard
from chat.delivery.signatures import MessageSigner
from chat.limit_sharing import LimitSharing
from chat.limits import Limits
from chat.models import Room
from chat.moderation.enforcement import Enforcement
from chat.presence.roster import Roster
from chat.services import services_of
from config import Config
from tests.conftest import JSON, Client, Log, StoppedClock

SECRET_KEY = "the secret key of this installation"
SIGNER = MessageSigner(SECRET_KEY, "bus")
NAMES = RedisNames(SECRET_KEY)
KITCHEN = NAMES.room_channel("kitchen")
STREAM = "the-stream-of-another-worker"
NOW = StoppedClock().now


@pytest.fixture
def clock() -> StoppedClock:
    """The monotonic clock of the bus, and of Redis."""
    return StoppedClock()


@pytest.fixture
def bus(app: Flask, clock: StoppedClock) -> RedisBus:
    """A bus that is not connected: messages are handed to its `receive`."""
    return make_bus(app, clock)


def make_bus(app: Flask, clock: StoppedClock) -> RedisBus:
    """Return a bus that is not connected."""
    socketio = services_of(app).socketio
    server = RedisServer("redis://127.0.0.1:1/0")
    return RedisBus(socketio, server, NAMES, SIGNER, clock=clock)


def message(
    rev: int, text: str, sent_at: float = StoppedClock().now, stream: str = STREAM
) -> bytes:
    """Return a message of another worker, without a signature, sent at a time in seconds."""
    payload = {"label": "kitchen", "seq": rev, "rev": rev, "handle": "Eve", "message": text}
    return envelope("chat", payload, sent_at, stream)


def envelope(event: str, payload: JSON, sent_at: float, stream: str = STREAM) -> bytes:
    """Return an event as it is on the bus, without a signature."""
    text = json.dumps({"event": event, "payload": payload})
    return f"{stream} {int(sent_at * 1e6)} {text}".encode()


def unsigned_forms(body: bytes) -> list[bytes]:
    """Return a message as somebody without the secret key could publish it."""
    signed = SIGNER.sign(body, KITCHEN)
    return [
        body,
        b"0" * 64 + body,
        MessageSigner("another secret key", "bus").sign(body, KITCHEN),
        MessageSigner(SECRET_KEY, "people").sign(body, KITCHEN),
        SIGNER.sign(body, NAMES.room_channel("garden")),
        SIGNER.sign(body, NAMES.all_workers),
        signed[:-1],
        signed + b" ",
        signed.replace(b"Eve", b"Ada"),
        signed[:64],
        b"",
        b"\xff" * 80,
    ]


def test_only_signed_messages_reach_their_handler(bus: RedisBus) -> None:
    received: list[JSON] = []
    bus.subscribe("chat", lambda _event, payload: received.append(payload))
    forged = unsigned_forms(message(1, "forged"))

    for data in forged:
        bus.receive(KITCHEN, data)
    bus.receive(KITCHEN, SIGNER.sign(message(1, "real"), KITCHEN))

    assert [payload["message"] for payload in received] == ["real"]
    assert bus.unsigned.total == len(forged)


def test_a_forged_number_does_not_hide_the_message_that_has_it(
    app: Flask, bus: RedisBus, clock: StoppedClock, ada: Client, kitchen: str
) -> None:
    """The message has been stored by another worker, and arrives over the bus."""
    socketio = services_of(app).socketio
    enforcement = Enforcement(app, socketio, Roster())
    reconciler = Reconciler(app, socketio, Broadcaster(socketio), bus, enforcement)
    bus.subscribe("chat", reconciler.on_message)
    with app.app_context():
        room = Room.find(kitchen)
    reconciler.sequencer.track(kitchen, room.head)

    for data in unsigned_forms(message(1, "forged")) + unsigned_forms(message(9, "forged")):
        bus.receive(KITCHEN, data)
    assert reconciler.sequencer.cursor(kitchen) == 0
    bus.receive(KITCHEN, SIGNER.sign(message(1, "real"), KITCHEN))
    bus.receive(KITCHEN, SIGNER.sign(message(1, "repeated", clock.now + 1), KITCHEN))

    assert [payload["message"] for payload in ada.received("chat")] == ["real"]
    assert reconciler.sequencer.cursor(kitchen) == 1


def test_unsigned_messages_are_counted_and_logged_once_a_second(
    bus: RedisBus, clock: StoppedClock, caplog: Log
) -> None:
    for _ in range(5):
        bus.receive(KITCHEN, message(1, "forged"))
    clock.now += 1
    bus.receive(KITCHEN, message(1, "forged"))

    reports = [record.getMessage() for record in caplog.records]
    assert [report.split()[0] for report in reports] == ["1", "5"]
    assert bus.unsigned.total == 6
    assert "forged" not in caplog.text


def test_what_a_worker_signs_another_worker_accepts() -> None:
    other_worker = MessageSigner(SECRET_KEY, "bus")

    assert other_worker.verify(SIGNER.sign(b"hello", b"here"), b"here") == b"hello"
    assert other_worker.verify(SIGNER.sign(b"hello", b"here"), b"there") is None
    assert SECRET_KEY.encode() not in SIGNER.sign(b"hello", b"here")


# Replays


def test_a_message_that_is_published_again_is_dropped_counted_and_logged(
    bus: RedisBus, clock: StoppedClock, caplog: Log
) -> None:
    received: list[JSON] = []
    bus.subscribe("chat", lambda _event, payload: received.append(payload))
    recorded = [
        SIGNER.sign(message(rev, "hello", clock.now + rev / 1e6), KITCHEN) for rev in (1, 2, 3)
    ]
    for data in recorded:
        bus.receive(KITCHEN, data)

    clock.now += 1
    for data in recorded + recorded[::-1]:
        bus.receive(KITCHEN, data)

    assert [payload["rev"] for payload in received] == [1, 2, 3]
    assert bus.replayed.total == 6
    assert "received before" in caplog.text
    assert "hello" not in caplog.text


def test_messages_of_a_worker_that_has_ended_cannot_be_published_again(
    app: Flask, bus: RedisBus, clock: StoppedClock
) -> None:
    recorded = SIGNER.sign(message(1, "hello", clock.now), KITCHEN)
    bus.receive(KITCHEN, recorded)
    clock.now += MAX_AGE_SECONDS + 1
    received: list[JSON] = []
    newcomer = make_bus(app, clock)
    for each in (bus, newcomer):
        each.subscribe("chat", lambda _event, payload: received.append(payload))

    for each in (bus, newcomer):
        each.receive(KITCHEN, recorded)
        assert each.replayed.total == 1
        each.receive(KITCHEN, SIGNER.sign(message(2, "hello again", clock.now), KITCHEN))

    assert [payload["rev"] for payload in received] == [2, 2]


def test_a_replayed_report_of_taken_tokens_locks_nobody_out(
    app: Flask, bus: RedisBus, clock: StoppedClock
) -> None:
    limits = Limits(Config(), SECRET_KEY, is_shared=True, clock=clock)
    bus.subscribe("limit_usage", LimitSharing(services_of(app).socketio, bus, limits).on_message)
    ada = limits.requester("ada", None)
    report = {"person_messages": {ada.person: 1}}
    recorded = SIGNER.sign(envelope("limit_usage", report, clock.now), KITCHEN)

    for _ in range(100):
        bus.receive(KITCHEN, recorded)

    assert limits.buckets["person_messages"].take(ada.person, 4, clock.now) == 0


def test_a_bus_is_up_since_its_subscriptions_were_confirmed(bus: RedisBus) -> None:
    assert bus.up_since == inf
    began = time.monotonic()

    bus._on_subscribed(set())

    assert bus.is_up
    assert began <= bus.up_since <= time.monotonic()


def test_a_worker_does_not_receive_its_own_messages(bus: RedisBus) -> None:
    received: list[JSON] = []
    bus.subscribe("chat", lambda _event, payload: received.append(payload))

    bus.receive(KITCHEN, bus.sign(KITCHEN, '{"event": "chat", "payload": {}}'))

    assert received == []
    assert bus.replayed.total == 0


def test_every_message_of_a_worker_is_accepted_by_the_others_whatever_their_clocks_show(
    app: Flask,
) -> None:
    received: list[JSON] = []
    hosts = [StoppedClock() for _ in range(2)]
    sender, receiver = (make_bus(app, clock) for clock in hosts)
    hosts[1].now += 1e6
    for bus in (sender, receiver):
        bus.set_clock((2_000_000_000, 0))
    receiver.subscribe("chat", lambda _event, payload: received.append(payload))

    for number in range(5):
        receiver.receive(
            KITCHEN, sender.sign(KITCHEN, json.dumps({"event": "chat", "payload": {"n": number}}))
        )
        if number == 2:  # the clock of Redis has been set back
            sender.set_clock((2_000_000_000 - 50, 0))

    assert [payload["n"] for payload in received] == list(range(5))


@pytest.mark.parametrize(
    "text", ["", "x", "x y", "x y {}", "x 1.5 {}", "x 9 []", "x 9 {}", "x 9 1"]
)
def test_a_signed_text_that_is_no_message_is_dropped(
    bus: RedisBus, clock: StoppedClock, caplog: Log, text: str
) -> None:
    clock.now = 0
    caplog.set_level(logging.INFO)

    bus.receive(KITCHEN, SIGNER.sign(text.encode(), KITCHEN))

    assert "that no worker sent" in caplog.text
    assert "Traceback" not in caplog.text


def test_the_guard_remembers_a_bounded_number_of_streams() -> None:
    clock = StoppedClock()
    guard = ReplayGuard(RedisClock(clock))

    for number in range(3 * MAX_STREAMS):
        assert guard.accept(f"stream {number}", int(clock.now * 1e6))
        clock.now += 1

    assert len(guard) <= MAX_STREAMS
