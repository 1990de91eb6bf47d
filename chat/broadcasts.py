"""What we tell a room; the only module that emits."""

import logging

from flask import current_app

from chat import wire
from chat.models import Room

log = logging.getLogger(__name__)


def address(label: str) -> str:
    """The Socket.IO room in which the people of a room are."""
    return f"chat-{label}"


def chat(room: Room, message: wire.JSON) -> None:
    """Somebody said something new."""
    _tell(room, "chat", message)


def change(room: Room, message: wire.JSON) -> None:
    """Something that was said has changed."""
    _tell(room, "change", message)


def _tell(room: Room, event: str, payload: wire.JSON) -> None:
    try:
        current_app.extensions["socketio"].emit(event, payload, to=address(room.label))
    except Exception:
        # What is stored stays stored, and its sender is told so: who was not told asks again.
        log.exception("a %s could not be told", event)
