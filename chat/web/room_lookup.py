"""Finds the room of a page that does not create it."""

from flask import request

from chat.errors import NotFound
from chat.identity import author
from chat.limits import Requester
from chat.membership import check_access, check_failed_joins
from chat.models import Room
from chat.services import services
from chat.web.client_address import client_address
from chat.web.visits import is_link_preview


def find_existing_room(label: str) -> Room:
    """Return the room with this label. Raises NotFound, RateLimited, Busy.

    For link previews, a private room does not exist: they show nothing of it.
    """
    limits = services().limits
    address = limits.address_key(client_address())
    check_failed_joins(label, address)
    try:
        found = Room.find(label)
    except NotFound:
        limits.overdraw("address_failed_joins", address)
        raise
    if found.is_private and is_link_preview(request):
        raise NotFound("There is no room with this name.")
    return found


def accessible_room(label: str) -> Room:
    """Return a room that this person may see.

    Raises what find_existing_room and check_access raise.
    """
    room = find_existing_room(label)
    check_access(room)
    return room


def page_requester() -> Requester:
    """Return whose tokens the current request of a page takes."""
    return services().limits.requester(author(), client_address())
