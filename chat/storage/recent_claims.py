"""Recent claims to names, in the memory of a worker: everyday messages claim nothing again."""

import time
from collections import OrderedDict
from collections.abc import Collection, Mapping
from itertools import count
from typing import Any, NamedTuple

from chat.moderation.names import CLAIM_MEMORY_SECONDS

MAX_RECENT_CLAIMS = 20_000

CHECK_SECONDS = 60
"""How long a worker remembers that a name was free for somebody who does not hold it."""

ACTIONS_THAT_FREE_A_NAME = ("ban", "remove")


class RecentClaim(NamedTuple):
    """A claim that the database allowed, at a time of the monotonic clock, during a watch."""

    handle: str
    is_held: bool
    at: float
    watch: int


class RecentClaims:
    """The last claim of each person in a room; the oldest are forgotten first.

    Only claims of watched rooms are remembered. A watched room is one whose changes this worker
    broadcasts, so it notices when a person uses another name, is removed or is banned, on whatever
    worker, and forgets the claim.
    """

    def __init__(self) -> None:
        self._claims: OrderedDict[tuple[int, str], RecentClaim] = OrderedDict()
        self._watches: dict[int, int] = {}  # by room id
        self._watch_numbers = count()

    def watch(self, room_id: int) -> None:
        """Remember claims of a room from now on. Earlier ones may be outdated and are forgotten."""
        self._watches[room_id] = next(self._watch_numbers)

    def retain(self, room_ids: Collection[int]) -> None:
        """Stop watching all rooms but these."""
        for room_id in list(self._watches):  # a copy: another thread may begin to watch a room
            if room_id not in room_ids:
                self._watches.pop(room_id, None)

    def is_recent(self, room_id: int, mark: str, handle: str, *, is_known: bool) -> bool:
        """Return whether a person was recently allowed to use this handle.

        `is_known`: they want to hold it.
        """
        claim = self._claims.get((room_id, mark))
        if claim is None or claim.watch != self._watches.get(room_id):
            return False
        if claim.handle != handle or (is_known and not claim.is_held):
            return False
        seconds = CLAIM_MEMORY_SECONDS if claim.is_held else CHECK_SECONDS
        return time.monotonic() - claim.at < seconds

    def add(self, room_id: int, mark: str, handle: str, *, is_held: bool) -> None:
        """Remember a claim that was allowed, if the room is watched."""
        watch = self._watches.get(room_id)
        if watch is None:
            return
        key = room_id, mark
        self._claims.pop(key, None)  # the new one is the youngest
        self._claims[key] = RecentClaim(handle, is_held, time.monotonic(), watch)
        if len(self._claims) > MAX_RECENT_CLAIMS:
            self._claims.popitem(last=False)

    def on_change(self, room_id: int, event: str, payload: Mapping[str, Any]) -> None:
        """Forget the claim that a change of a room has ended, which was made on any worker."""
        kind = payload.get("kind")
        if kind == "moderation":
            details = payload.get("details") or {}
            if details.get("action") in ACTIONS_THAT_FREE_A_NAME:
                self.forget(room_id, details["target"])
        elif kind == "rename":
            self._on_name_used(room_id, payload["mark"], payload["message"])
        elif event == "chat" and kind is None:
            self._on_name_used(room_id, payload["mark"], payload["handle"])

    def _on_name_used(self, room_id: int, mark: str, handle: str) -> None:
        claim = self._claims.get((room_id, mark))
        if claim is not None and claim.handle != handle:
            self.forget(room_id, mark)

    def forget(self, room_id: int, mark: str) -> None:
        """Forget the claim of a person whose name the database may not know any more."""
        self._claims.pop((room_id, mark), None)
