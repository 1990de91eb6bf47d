"""The door for passing signs: they are told, and stored nowhere."""

from chat import presence, wire
from chat.wire import JSON, ok


def typing(data: object) -> JSON:
    """Let the others know that one is typing. Nobody waits for the answer."""
    presence.typing(wire.Typing.parse(data).handle)
    return ok()


EVENTS = {"typing": typing}
