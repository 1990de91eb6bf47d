"""The operator as the author of actions in a room."""

from chat.models import NO_AUTHOR, Room
from chat.moderation.actions import Actor, name_of, perform
from chat.storage.moderation_commands import Target
from chat.storage.surveys import known_handle
from chat.wire import JSON, Moderate

OPERATOR = Actor(NO_AUTHOR, "The operator", is_operator=True)


def act(room: Room, action: str, **arguments: object) -> JSON:
    """Perform an action in a room; return the keys of its answer. Raises Refusal."""
    return perform(room, OPERATOR, Moderate.parse({"action": action, **arguments}))


def person_with_mark(room: Room, mark: str) -> Target:
    """Return a person of a room, with their name if it is known. Raises Busy."""
    return Target(mark, name_of(room, mark) or known_handle(room.id, mark))
