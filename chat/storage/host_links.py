"""Host links: secrets that make the browser that opens them a host. Only hashes are stored."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from sqlalchemy import Connection, func, insert, select

from chat.errors import Forbidden, HostLinkRefused
from chat.models import Room, rooms
from chat.moderation.names import OPERATOR_NAME, SOMEBODY
from chat.moderation.rules import Role, utc_now
from chat.moderation.tables import host_links
from chat.storage.database import read_transaction, write_transaction
from chat.storage.effects import LogAction

SECRET_BYTES = 16
LINK_DAYS = 7

MAX_UNUSED_LINKS = 20
"""Valid host links of a room that nobody has used yet."""


@dataclass(frozen=True)
class Creator:
    """Who creates a host link: a host with their handle, or the operator."""

    mark: str
    handle: str
    is_operator: bool = False


def create_host_link(room: Room, creator: Creator) -> str:
    """Create a host link of a room; return its secret, which is stored nowhere.

    The log of the room has an entry. Raises Forbidden for somebody who is no host, and above
    MAX_UNUSED_LINKS; Busy.
    """
    secret = secrets.token_urlsafe(SECRET_BYTES)
    row = {
        "secret_hash": hash_secret(secret),
        "room_id": room.id,
        "created_by": creator.mark,
        "expires_at": utc_now() + timedelta(days=LINK_DAYS),
    }
    name = OPERATOR_NAME if creator.is_operator else creator.handle or SOMEBODY
    sentence = f"{name} created a host link"
    with write_transaction() as connection:
        _check_may_create(connection, room, creator)
        connection.execute(insert(host_links), row)
        LogAction(room.id, creator.mark, name, "host_link", sentence=sentence).write(connection)
    return secret


def _check_may_create(connection: Connection, room: Room, creator: Creator) -> None:
    """Raise Forbidden unless a host creates the link. The room stays locked until it is stored."""
    roles = select(rooms.c.roles).where(rooms.c.id == room.id).with_for_update()
    role = (connection.scalar(roles) or {}).get(creator.mark)
    if not creator.is_operator and role != Role.HOST:
        raise Forbidden("Only a host of this room can do this.")
    links = host_links.c
    unused = links.used_at.is_(None), links.expires_at > utc_now()
    count = select(func.count()).where(links.room_id == room.id, *unused)
    if connection.execute(count).scalar_one() >= MAX_UNUSED_LINKS:
        raise Forbidden("This room has too many unused host links. Use one, or wait a week.")


def check_host_link(room: Room, secret: str) -> str:
    """Return the hash of the secret of a valid host link. Raises HostLinkRefused, Busy."""
    secret_hash = hash_secret(secret)
    statement = select(host_links).where(host_links.c.secret_hash == secret_hash)
    with read_transaction() as connection:
        link = connection.execute(statement).one_or_none()
    if link is None or link.room_id != room.id:
        raise HostLinkRefused("This host link doesn't belong to this room.")
    if link.used_at is not None:
        raise HostLinkRefused("This host link has already been used.")
    if link.expires_at <= utc_now():
        raise HostLinkRefused("This host link has expired. Ask a host for a new one.")
    return secret_hash


def hash_secret(secret: str) -> str:
    """Return what is stored of the secret of a host link; it is random, so it needs no salt."""
    return sha256(secret.encode()).hexdigest()
