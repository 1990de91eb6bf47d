"""Effects: what a command writes to other tables, in the transaction that stores its message."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from chat.errors import HostLinkRefused
from chat.moderation.rules import SanctionKind, utc_now
from chat.moderation.tables import (
    banned_addresses,
    host_links,
    known_names,
    last_posts,
    moderation_log,
    sanctions,
)


@dataclass(frozen=True)
class Effect:
    """One write that belongs to a command in the room `room_id`."""

    room_id: int

    def write(self, connection: Connection) -> None:
        """Execute it. Raises Refusal when it is not possible; then nothing is stored."""
        raise NotImplementedError


@dataclass(frozen=True)
class ImposeSanction(Effect):
    """Impose a sanction on a person; it replaces an earlier one of the same kind."""

    mark: str
    kind: SanctionKind
    handle: str
    until: datetime | None
    with_address: bool = False

    def write(self, connection: Connection) -> None:
        """Replace the row."""
        LiftSanction(self.room_id, self.mark, self.kind).write(connection)
        row = {
            "room_id": self.room_id,
            "mark": self.mark,
            "kind": self.kind,
            "handle": self.handle,
            "until": self.until,
            "with_address": self.with_address,
            "created_at": utc_now(),
        }
        connection.execute(insert(sanctions), row)


@dataclass(frozen=True)
class LiftSanction(Effect):
    """End a sanction, and with a ban that of the person's addresses; None ends all of a person."""

    mark: str
    kind: SanctionKind | None

    def write(self, connection: Connection) -> None:
        """Delete the rows."""
        of_person = sanctions.c.room_id == self.room_id, sanctions.c.mark == self.mark
        statement = delete(sanctions).where(*of_person)
        if self.kind is not None:
            statement = statement.where(sanctions.c.kind == self.kind)
        connection.execute(statement)
        if self.kind in (None, SanctionKind.BAN):
            addresses = banned_addresses.c
            of_room = addresses.room_id == self.room_id
            connection.execute(delete(banned_addresses).where(of_room, addresses.mark == self.mark))


@dataclass(frozen=True)
class BanAddresses(Effect):
    """Ban these addresses with a person, and the one from which that person wrote last."""

    mark: str
    address_hashes: frozenset[str]

    def write(self, connection: Connection) -> None:
        """Insert a row for each address that this person has none for."""
        names = known_names.c
        of_person = names.room_id == self.room_id, names.mark == self.mark
        known = connection.scalar(select(names.address_hash).where(*of_person))
        wanted = {each for each in {*self.address_hashes, known or ""} if each}
        banned = banned_addresses.c
        existing = select(banned.address_hash).where(
            banned.room_id == self.room_id,
            banned.mark == self.mark,
            banned.address_hash.in_(wanted),
        )
        missing = wanted - set(connection.scalars(existing))
        for address_hash in sorted(missing):
            row = {
                "room_id": self.room_id,
                "address_hash": address_hash,
                "mark": self.mark,
                "created_at": utc_now(),
            }
            connection.execute(insert(banned_addresses), row)


@dataclass(frozen=True)
class ConsumeHostLink(Effect):
    """Use up a host link. Raises HostLinkRefused when it has been used meanwhile."""

    secret_hash: str

    def write(self, connection: Connection) -> None:
        """Mark the row as used."""
        links = host_links.c
        unused = links.secret_hash == bindparam("hash"), links.used_at.is_(None)
        statement = update(host_links).where(*unused).values(used_at=utc_now())
        if connection.execute(statement, {"hash": self.secret_hash}).rowcount == 0:
            raise HostLinkRefused("This host link has already been used.")


@dataclass(frozen=True)
class DeleteHostLinks(Effect):
    """Delete the unused host links of a person who is no host any more."""

    mark: str

    def write(self, connection: Connection) -> None:
        """Delete the rows."""
        links = host_links.c
        of_person = links.room_id == self.room_id, links.created_by == self.mark
        connection.execute(delete(host_links).where(*of_person, links.used_at.is_(None)))


@dataclass(frozen=True)
class ReleaseName(Effect):
    """End the protection of the name of a person who was sent away: others may use it at once."""

    mark: str

    def write(self, connection: Connection) -> None:
        """Update the row; without a skeleton, the name is not held even if the hold is extended."""
        names = known_names.c
        of_person = names.room_id == self.room_id, names.mark == self.mark
        free = {"skeleton": "", "held_until": utc_now()}
        connection.execute(update(known_names).where(*of_person).values(free))


@dataclass(frozen=True)
class NotePost(Effect):
    """Note when a person posted in a room with slow mode."""

    mark: str
    posted_at: datetime

    def write(self, connection: Connection) -> None:
        """Update the row of the person, or insert it."""
        posts = last_posts.c
        of_person = posts.room_id == self.room_id, posts.mark == self.mark
        values = {"posted_at": self.posted_at}
        if connection.execute(update(last_posts).where(*of_person).values(values)).rowcount == 0:
            row = {"room_id": self.room_id, "mark": self.mark, **values}
            connection.execute(insert(last_posts), row)


@dataclass(frozen=True)
class HoldName(Effect):
    """Let a person hold the name that they use now, instead of the one before.

    `is_new`: they have held none in this room.
    """

    mark: str
    handle: str
    skeleton: str
    held_until: datetime
    address_hash: str
    is_new: bool

    def write(self, connection: Connection) -> None:
        """Insert the row of the person, or update it.

        The row may have been deleted meanwhile, because the hold had ended.
        """
        values = {
            "handle": self.handle,
            "skeleton": self.skeleton,
            "held_until": self.held_until,
            "address_hash": self.address_hash,
        }
        names = known_names.c
        of_person = names.room_id == self.room_id, names.mark == self.mark
        statement = update(known_names).where(*of_person).values(values)
        if self.is_new or connection.execute(statement).rowcount == 0:
            row = {"room_id": self.room_id, "mark": self.mark, **values}
            connection.execute(insert(known_names), row)


@dataclass(frozen=True)
class LogAction(Effect):
    """Record an action of a host or moderator for the audit page."""

    mark: str
    handle: str
    action: str
    target: str = ""
    sentence: str = ""

    def write(self, connection: Connection) -> None:
        """Insert the row."""
        row = {
            "room_id": self.room_id,
            "at": utc_now(),
            "mark": self.mark,
            "handle": self.handle,
            "action": self.action,
            "target": self.target,
            "sentence": self.sentence,
        }
        connection.execute(insert(moderation_log), row)
