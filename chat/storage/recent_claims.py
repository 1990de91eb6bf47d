"""Recent claims to names, in the memory of a worker: everyday messages claim nothing again."""

import time
from collections import OrderedDict
from typing import NamedTuple

from chat.moderation.names import CLAIM_MEMORY_SECONDS

MAX_RECENT_CLAIMS = 20_000

CHECK_SECONDS = 60
"""How long a worker remembers that a name was free for somebody who does not hold it."""


class RecentClaim(NamedTuple):
    """A claim that the database allowed, at a time of the monotonic clock."""

    handle: str
    is_held: bool
    at: float


class RecentClaims:
    """The last claim of each person in a room; the oldest are forgotten first.

    A person loses a name only by using another one, which replaces the claim here.
    """

    def __init__(self) -> None:
        self._claims: OrderedDict[tuple[int, str], RecentClaim] = OrderedDict()

    def is_recent(self, room_id: int, mark: str, handle: str, *, is_known: bool) -> bool:
        """Return whether a person was recently allowed to use this handle.

        `is_known`: they want to hold it.
        """
        claim = self._claims.get((room_id, mark))
        if claim is None or claim.handle != handle or (is_known and not claim.is_held):
            return False
        seconds = CLAIM_MEMORY_SECONDS if claim.is_held else CHECK_SECONDS
        return time.monotonic() - claim.at < seconds

    def add(self, room_id: int, mark: str, handle: str, *, is_held: bool) -> None:
        """Remember a claim that was allowed."""
        key = room_id, mark
        self._claims[key] = RecentClaim(handle, is_held, time.monotonic())
        self._claims.move_to_end(key)
        if len(self._claims) > MAX_RECENT_CLAIMS:
            self._claims.popitem(last=False)

    def on_name_used(self, room_id: int, mark: str, handle: str) -> None:
        """Forget the claim of a person who uses another handle now, maybe on another worker."""
        claim = self._claims.get((room_id, mark))
        if claim is not None and claim.handle != handle:
            self.forget(room_id, mark)

    def forget(self, room_id: int, mark: str) -> None:
        """Forget the claim of a person whose name the database may not know any more."""
        self._claims.pop((room_id, mark), None)
