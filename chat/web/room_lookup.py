"""Finds the room of a page that does not create it."""

from chat.errors import NotFound
from chat.identity import author
from chat.limits import Requester
from chat.membership import check_failed_joins
from chat.models import Room
from chat.services import services
from chat.web.client_address import client_address


def find_existing_room(label: str) -> Room:
    """Return the room with this label. Raises NotFound, RateLimited, Busy."""
    limits = services().limits
    address = limits.address_key(client_address())
    check_failed_joins(label, address)
    try:
        return Room.find(label)
    except NotFound:
        limits.overdraw("address_failed_joins", address)
        raise


def page_requester() -> Requester:
    """Return whose tokens the current request of a page takes."""
    return services().limits.requester(author(), client_address())
