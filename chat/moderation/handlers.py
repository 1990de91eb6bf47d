"""The Socket.IO event of hosts and moderators."""

from chat import wire
from chat.dispatch import Handler
from chat.identity import author
from chat.membership import joined_room
from chat.models import Room
from chat.moderation.actions import Actor, name_of, perform
from chat.wire import JSON, ok


def moderate(data: object) -> JSON:
    """Perform an action of a host or moderator; a system message announces it to the room."""
    asked = wire.Moderate.parse(data)
    room = joined_room()
    return ok(perform(room, acting_person(room), asked))


def acting_person(room: Room) -> Actor:
    """Return who performs an action: the person of this event or request."""
    return Actor(author(), name_of(room, room.mark(author())))


EVENTS: dict[str, Handler] = {"moderate": moderate}
