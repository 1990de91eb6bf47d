"""The rules of a room: who may do what. Pure functions; the journal and the pages apply them.

To add a sanction, follow docs/development.md, "Making changes".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import Any, NamedTuple

from chat import clock
from chat.errors import Banned, Closed, Forbidden, Muted, Removed, RoomLocked, SlowMode

CLOSED_ROOM_KEPT = timedelta(days=30)
"""How long the label of a closed room stays taken."""


class Role(StrEnum):
    """What a person may do in a room. Hosts may do everything; moderators act on people."""

    HOST = "host"
    MODERATOR = "moderator"


class SanctionKind(StrEnum):
    """What can be imposed on a person. A removal ends by itself; a muted person may still read."""

    MUTE = "mute"
    REMOVAL = "removal"
    BAN = "ban"


class RoomRules(NamedTuple):
    """The rules of a room: its fields are the columns of `rooms` with the same names.

    A named tuple, because the journal makes one for each room that it locks.

    `roles` holds roles by mark. `has_sanctions` is false as long as nobody was ever sanctioned.
    `expiry_seconds` is None for the default of the server and 0 for never.
    """

    is_private: bool = False
    is_locked: bool = False
    only_hosts_name: bool = False
    has_sanctions: bool = False
    slow_mode_seconds: int = 0
    expiry_seconds: int | None = None
    password_hash: str = ""
    closed_at: datetime | None = None
    roles: Mapping[str, str] | None = None

    def role(self, mark: str) -> Role | None:
        """Return the role of a person."""
        found = (self.roles or {}).get(mark)
        return None if found is None else Role(found)

    @property
    def hosts(self) -> list[str]:
        """The marks of the hosts."""
        return [mark for mark, role in (self.roles or {}).items() if role == Role.HOST]

    @property
    def is_open_to_all(self) -> bool:
        """Whether everybody may enter: no person has to be looked up."""
        return not self.has_sanctions and not self.password_hash and self.closed_at is None

    @property
    def lets_everybody_write(self) -> bool:
        """Whether everybody in the room may write: no person has to be looked up."""
        return not self.has_sanctions and not self.is_locked and self.closed_at is None


NO_RULES = RoomRules()
"""The rules of a room that nobody has changed."""


@dataclass
class Standing:
    """What is imposed on one person in a room, and when they last posted.

    `sanctions` holds the end of each sanction; None: it has no end. `bans_address`: a ban, as long
    as it is in force, is one of the person's addresses too. `posted_at` is only known in a room
    with slow mode.
    """

    sanctions: dict[SanctionKind, datetime | None] = field(default_factory=dict)
    bans_address: bool = False
    posted_at: datetime | None = None

    def is_under(self, kind: SanctionKind, now: datetime) -> bool:
        """Return whether a sanction is in force."""
        if kind not in self.sanctions:
            return False
        until = self.sanctions[kind]
        return until is None or until > now

    def are_addresses_banned(self, now: datetime) -> bool:
        """Return whether the addresses of the person are banned too."""
        return self.bans_address and self.is_under(SanctionKind.BAN, now)


@dataclass
class Person:
    """A person who wants to do something in a room, with what the database says about them."""

    mark: str
    role: Role | None
    standing: Standing

    @property
    def is_host(self) -> bool:
        """Whether this person is a host."""
        return self.role is Role.HOST


def check_open(rules: RoomRules) -> None:
    """Raise Closed when the room has been closed."""
    if rules.closed_at is None:
        return
    free_at = rules.closed_at + CLOSED_ROOM_KEPT
    day = f"{free_at.day} {free_at:%B %Y}"
    sentence = f"The host has closed this room. Its link will be free again on {day}."
    raise Closed(sentence, free_at=free_at)


def check_may_enter(rules: RoomRules, person: Person, now: datetime) -> None:
    """Check whether a person may read. Raises Closed, Banned, Removed. Hosts may always enter."""
    check_open(rules)
    if person.is_host:
        return
    if person.standing.is_under(SanctionKind.BAN, now):
        raise Banned
    if person.standing.is_under(SanctionKind.REMOVAL, now):
        raise Removed(
            retry_after_ms=_ms_until(person.standing.sanctions[SanctionKind.REMOVAL], now)
        )


def check_may_write(rules: RoomRules, person: Person, now: datetime) -> None:
    """Check whether a person may change anything in the room.

    Raises Closed, Banned, Removed, Muted, RoomLocked.
    """
    check_may_enter(rules, person, now)
    if person.is_host:
        return
    check_not_muted(person, now)
    if rules.is_locked:
        raise RoomLocked


def check_not_muted(person: Person, now: datetime) -> None:
    """Raise Muted when a person is muted."""
    if person.standing.is_under(SanctionKind.MUTE, now):
        raise Muted(until=person.standing.sanctions[SanctionKind.MUTE])


def check_slow_mode(rules: RoomRules, person: Person, now: datetime) -> None:
    """Check the pause since the last message of a person. Raises SlowMode."""
    posted_at = person.standing.posted_at
    if rules.slow_mode_seconds == 0 or person.role is not None or posted_at is None:
        return
    may_post_at = posted_at + timedelta(seconds=rules.slow_mode_seconds)
    if may_post_at > now:
        raise SlowMode(retry_after_ms=_ms_until(may_post_at, now))


def check_may_name_room(rules: RoomRules, person: Person) -> None:
    """Check who may set the name of the room. Raises Forbidden."""
    if rules.only_hosts_name and not person.is_host:
        raise Forbidden("Only a host can name this room.")


def check_may_host(person: Person) -> None:
    """Check that a person may change the rules and roles of the room. Raises Forbidden."""
    if not person.is_host:
        raise Forbidden("Only a host of this room can do this.")


def check_may_act_on(rules: RoomRules, person: Person, target: Person, now: datetime) -> None:
    """Check that a person may impose something on another.

    Nobody acts on themselves, so a room that has a host keeps one. A moderator under a sanction
    acts on nobody until it ends. Raises Forbidden, Closed, Banned, Removed, Muted.
    """
    if person.role is None:
        raise Forbidden
    check_may_enter(rules, person, now)
    if not person.is_host:
        check_not_muted(person, now)
    if person.mark == target.mark:
        raise Forbidden("You can't do this to yourself.")
    if target.role is not None and not person.is_host:
        raise Forbidden("Moderators can't do this to hosts and other moderators.")


def public_rules(rules: RoomRules, expiry_seconds: int) -> dict[str, Any]:
    """Return the rules as everybody in the room may know them: only what differs from the default.

    `expiry_seconds` is how long messages are kept, with the default of the server; 0 for ever.
    """
    public: dict[str, Any] = {"expiry_seconds": expiry_seconds}
    if rules.is_private:
        public["private"] = True
    if rules.is_locked:
        public["locked"] = True
    if rules.only_hosts_name:
        public["naming"] = "hosts"
    if rules.slow_mode_seconds:
        public["slow_mode_seconds"] = rules.slow_mode_seconds
    if rules.password_hash:
        public["password"] = True
    if rules.roles:
        public["roles"] = dict(rules.roles)
    return public


def _ms_until(when: datetime | None, now: datetime) -> int | None:
    if when is None:
        return None
    return max(0, ceil((when - now).total_seconds() * 1000))


def utc_now() -> datetime:
    """Return the time to compare sanctions with."""
    return clock.utc_now()
