"""Protected names: who holds which name of a room. Pure; the journal reads and stores them.

A name is held by the person who used it last, for a day after that, and by a host for as long as
they are one. Nobody else can use it, or one that looks like it (see text/skeletons.py).
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chat.errors import NameTaken
from chat.text.skeletons import skeleton

CLAIM_MEMORY_SECONDS = 3_600
"""How long a worker remembers that somebody holds a name, without asking the database again."""

HOLD_SECONDS = 86_400 + CLAIM_MEMORY_SECONDS
"""How long a name is held when it is claimed: at least a day after it was used last."""


OPERATOR_NAME = "The operator"
"""How system messages call the operator of the server."""

SOMEBODY = "Somebody"
"""How system messages call a person without a name."""

RESERVED_SKELETONS = frozenset({skeleton(OPERATOR_NAME), skeleton(SOMEBODY)})
"""Nobody may have these names, because system messages use them for others."""


@dataclass(frozen=True)
class NameClaim:
    """The claim of the author of a command to its handle.

    With `is_known`, the author holds the name from then on. An identity that has not been used
    before holds none, because a program gets as many of those as it asks for. `address` is the
    client address, whose hash is stored for bans.
    """

    is_known: bool = False
    address: str = ""


NO_CLAIM = NameClaim()


@dataclass(frozen=True)
class HeldName:
    """A name in the database, with the person who used it last."""

    mark: str
    skeleton: str
    held_until: datetime


@dataclass
class RoomNames:
    """What a transaction knows of the names of a room.

    `to_check` holds the mark and handle of each claim that has to be compared with `held`; others
    were compared recently. `allowed` holds those that have been, with the `names_version` at which
    the person has the name. Who has given up a name in this transaction is in `gave_up`: all their
    claims are compared.
    """

    to_check: set[tuple[str, str]] = field(default_factory=set)
    held: dict[str, HeldName] = field(default_factory=dict)
    allowed: dict[tuple[str, str], int] = field(default_factory=dict)
    gave_up: set[str] = field(default_factory=set)

    def add(self, name: HeldName) -> None:
        """Note a name; it replaces the earlier one of the same person."""
        self.held[name.mark] = name

    def check(self, mark: str, handle: str, hosts: Collection[str], now: datetime) -> bool:
        """Check that a person may use a handle; return whether this was in question.

        Raises NameTaken.
        """
        if (mark, handle) not in self.to_check and mark not in self.gave_up:
            return False
        if is_taken(skeleton(handle), mark, self.held.values(), hosts, now):
            raise NameTaken(handle)
        self.to_check.discard((mark, handle))
        return True


def is_taken(
    wanted: str, mark: str, names: Collection[HeldName], hosts: Collection[str], now: datetime
) -> bool:
    """Return whether somebody else than `mark` holds a name with the skeleton `wanted`.

    Reserved names are always taken. Who holds it too keeps it: nobody loses a name that they have.
    """
    if wanted in RESERVED_SKELETONS:
        return True
    holders = {
        name.mark
        for name in names
        if name.skeleton == wanted and (name.held_until > now or name.mark in hosts)
    }
    return bool(holders) and mark not in holders


def held_until(now: datetime) -> datetime:
    """Return until when a name that is claimed now is held."""
    return now + timedelta(seconds=HOLD_SECONDS)
