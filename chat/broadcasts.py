"""What we tell a room; the only module that emits."""

import logging
from collections.abc import Callable
from typing import Any

from flask import current_app

from chat import wire
from chat.models import Message, Room

log = logging.getLogger(__name__)


def address(label: str) -> str:
    """The Socket.IO room in which the people of a room are."""
    return f"chat-{label}"


def chat(room: Room, message: Message) -> None:
    """Somebody said something new."""
    _tell(room, "chat", message)


def change(room: Room, message: Message) -> None:
    """Something that was said has changed."""
    _tell(room, "change", message)


def head(room: Room) -> None:
    """What everybody should have by now; only those on this worker, for the others have their own beacon."""
    emitter(current_app.extensions["socketio"])(room.label, "head", wire.head(room))


def presence(socketio: Any, payload: wire.JSON) -> None:
    """Who has come and who has gone; only to those on this worker."""
    emitter(socketio)(payload["label"], "presence", payload)


def typing(socketio: Any, payload: wire.JSON, but: list[str]) -> None:
    """Somebody is typing; only to those on this worker, and not to these connections."""
    emitter(socketio)(payload["label"], "typing", payload, skip_sid=but)


def _tell(room: Room, event: str, message: Message) -> None:
    try:
        payload = wire.message(room, message)
        current_app.extensions["order"].push(
            room.label, event, payload
        )  # here, when it is its turn
        current_app.extensions["queue"].publish(event, payload)  # on the other workers
    except Exception:
        # What is stored stays stored, and its sender is told so; who was not told is found by the beacon.
        log.exception("a %s could not be told", event)


def emitter(socketio: Any) -> Callable[..., None]:
    """What tells the people of a room on this worker: called with its label, the event and the payload."""
    return lambda label, event, data, **but: socketio.emit(
        event, data, to=address(label), ignore_queue=True, **but
    )
