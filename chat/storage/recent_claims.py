"""Recent claims to names, in the memory of a worker: everyday messages claim nothing again."""

import time
from collections import OrderedDict
from typing import NamedTuple

from chat.models import RoomRow
from chat.moderation.names import CLAIM_MEMORY_SECONDS, NameClaim

MAX_RECENT_CLAIMS = 20_000

CHECK_SECONDS = 60
"""How long a worker remembers that a name was free for somebody who does not hold it."""


class RecentClaim(NamedTuple):
    """A claim that the database allowed, at a time of the monotonic clock."""

    handle: str
    claim: NameClaim
    names_version: int
    at: float


class RecentClaims:
    """The last claim of each person in a room; the oldest are forgotten first.

    Somebody may give a name up on another worker. Then `names_version` of the room is another one,
    and none of its claims counts any more.
    """

    def __init__(self) -> None:
        self._claims: OrderedDict[tuple[int, str], RecentClaim] = OrderedDict()

    def is_recent(self, room: RoomRow, mark: str, handle: str, claim: NameClaim) -> bool:
        """Return whether a person was recently allowed to use this handle.

        A person who holds it and has another address now claims it again, so that the address from
        which they wrote last is known.
        """
        recent = self._claims.get((room.id, mark))
        if recent is None or recent.handle != handle:
            return False
        if recent.names_version != room.names_version:
            return False
        if claim.is_known and recent.claim != claim:
            return False
        seconds = CLAIM_MEMORY_SECONDS if recent.claim.is_known else CHECK_SECONDS
        return time.monotonic() - recent.at < seconds

    def add(
        self, room_id: int, mark: str, handle: str, claim: NameClaim, names_version: int
    ) -> None:
        """Remember a claim that was allowed when the room had this `names_version`."""
        key = room_id, mark
        self._claims.pop(key, None)  # the new one is the youngest
        self._claims[key] = RecentClaim(handle, claim, names_version, time.monotonic())
        if len(self._claims) > MAX_RECENT_CLAIMS:
            self._claims.popitem(last=False)
