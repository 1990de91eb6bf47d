"""The bus accepts only messages that a worker of this installation has signed."""

import json
from typing import Any

import pytest
from flask import Flask

from chat.broadcasts import Broadcaster
from chat.delivery import bus as bus_module
from chat.delivery.bus import RedisBus
from chat.delivery.reconciler import Reconciler
from chat.delivery.signatures import MessageSigner
from chat.models import Room
from chat.services import services_of
from tests.conftest import JSON, Client, Log, Patch

SECRET_KEY = "the secret key of this installation"
SIGNER = MessageSigner(SECRET_KEY, "bus")


class Clock:
    """The monotonic clock of the bus; it stands still until it is set."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: Patch) -> Clock:
    """The clock of the bus."""
    clock = Clock()
    monkeypatch.setattr(bus_module, "time", clock)
    return clock


def make_bus(app: Flask) -> RedisBus:
    """Return a bus that is not connected: messages are handed to its `receive`."""
    return RedisBus(services_of(app).socketio, "redis://127.0.0.1:1/0", "confab:test", SIGNER)


def message(rev: int, text: str, **changes: Any) -> bytes:
    """Return a message of another worker, without a signature."""
    payload = {"label": "kitchen", "seq": rev, "rev": rev, "handle": "Eve", "message": text}
    return json.dumps({"from": "a", "event": "chat", "payload": payload} | changes).encode()


def unsigned_forms(body: bytes) -> list[bytes]:
    """Return a message as somebody without the secret key could publish it."""
    signed = SIGNER.sign(body)
    return [
        body,
        b"0" * 64 + body,
        MessageSigner("another secret key", "bus").sign(body),
        MessageSigner(SECRET_KEY, "people").sign(body),
        signed[:-1],
        signed + b" ",
        signed.replace(b"Eve", b"Ada"),
        signed[:64],
        b"",
        b"\xff" * 80,
    ]


def test_only_signed_messages_reach_their_handler(app: Flask) -> None:
    received: list[JSON] = []
    bus = make_bus(app)
    bus.subscribe("chat", lambda _event, payload: received.append(payload))
    forged = unsigned_forms(message(1, "forged"))

    for data in forged:
        bus.receive(data)
    bus.receive(SIGNER.sign(message(1, "real")))

    assert [payload["message"] for payload in received] == ["real"]
    assert bus.unverified == len(forged)


def test_a_forged_number_does_not_hide_the_message_that_has_it(
    app: Flask, ada: Client, kitchen: str
) -> None:
    """The message has been stored by another worker, and arrives over the bus."""
    bus = make_bus(app)
    socketio = services_of(app).socketio
    reconciler = Reconciler(app, socketio, Broadcaster(socketio), bus)
    bus.subscribe("chat", reconciler.on_message)
    with app.app_context():
        room = Room.find(kitchen)
    reconciler.sequencer.track(kitchen, room.head)

    for data in unsigned_forms(message(1, "forged")) + unsigned_forms(message(9, "forged")):
        bus.receive(data)
    assert reconciler.sequencer.cursor(kitchen) == 0
    bus.receive(SIGNER.sign(message(1, "real")))
    bus.receive(SIGNER.sign(message(1, "repeated")))

    assert [payload["message"] for payload in ada.received("chat")] == ["real"]
    assert reconciler.sequencer.cursor(kitchen) == 1


def test_unsigned_messages_are_counted_and_logged_once_a_second(
    app: Flask, clock: Clock, caplog: Log
) -> None:
    bus = make_bus(app)

    for _ in range(5):
        bus.receive(message(1, "forged"))
    clock.now += 1
    bus.receive(message(1, "forged"))

    reports = [record.getMessage() for record in caplog.records]
    assert [report.split()[0] for report in reports] == ["1", "5"]
    assert bus.unverified == 6
    assert "forged" not in caplog.text


def test_what_a_worker_signs_another_worker_accepts() -> None:
    other_worker = MessageSigner(SECRET_KEY, "bus")

    assert other_worker.verify(SIGNER.sign(b"hello")) == b"hello"
    assert SECRET_KEY.encode() not in SIGNER.sign(b"hello")
