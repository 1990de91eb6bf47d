"""The order of what this worker tells a room: that of the numbers, whatever order the news arrives in."""

import threading
from collections.abc import Callable, Collection

from chat.wire import JSON

MAX_HELD_EVENTS = 1_000  # pieces of news of one room beyond a gap; the database has them all


class Sequencer:
    """For each room with people on this worker: up to which number they have been told, and what waits beyond a gap.

    `emit` tells the people of a room here: it is called with the label, the event and its payload. `mend` is called
    with the label of a room in which a number is missing; it has to end in `catch_up`.
    """

    def __init__(self, emit: Callable[[str, str, JSON], None], mend: Callable[[str], None]) -> None:
        self._emit, self._mend = emit, mend
        self._told: dict[str, int] = {}
        self._held: dict[str, dict[int, tuple[str, JSON]]] = {}
        self._mending: set[str] = set()
        self._lock = (
            threading.RLock()
        )  # telling may close a dead connection, which may come back here

    def begin(self, label: str, head: int) -> None:
        """Somebody is about to enter, and will read for themselves what is up to `head`."""
        with self._lock:
            self._told.setdefault(label, head)

    def retain(self, labels: Collection[str]) -> None:
        """Forget the rooms in which nobody is any more."""
        with self._lock:
            for label in self._told.keys() - labels:
                del self._told[label]
                self._held.pop(label, None)

    def cursor(self, label: str) -> int | None:
        """Up to which number the people of a room have been told; None when nobody is there."""
        return self._told.get(label)

    def has_gap(self, label: str) -> bool:
        """Whether something waits for a number that is missing. Whoever asks mends it now: the next gap calls again."""
        with self._lock:
            self._mending.discard(label)
            return bool(self._held.get(label))

    def push(self, label: str, event: str, payload: JSON) -> None:
        """Tell a change when it is the next; keep it for a moment when it is beyond that; drop what has been told."""
        number = payload["rev"]
        with self._lock:
            cursor = self._told.get(label)
            if cursor is None or number <= cursor:
                return
            held = self._held.setdefault(label, {})
            if number == cursor + 1 or len(held) < MAX_HELD_EVENTS:
                held[number] = event, payload
            self._drain(label)
            if number <= self._told[label] or label in self._mending:
                return
            self._mending.add(label)
        self._mend(label)

    def catch_up(
        self, label: str, changes: list[JSON], upto: int, new_after: int | None = None
    ) -> None:
        """Tell what the database has beyond what was told: `changes` by rev, complete up to the number `upto`.

        A message nobody here has been told of is new to them, even if it was changed meanwhile: one with a seq above
        `new_after`, which is what was told before the first of several pages; by default, what was told until now.
        """
        with self._lock:
            cursor = self._told.get(label)
            if cursor is None:
                return
            for payload in changes:
                if payload["rev"] > cursor:
                    self._told[label] = payload["rev"]
                    self._emit(
                        label,
                        "chat" if payload["seq"] > (new_after or cursor) else "change",
                        payload,
                    )
            self._told[label] = cursor = max(cursor, upto)
            self._held[label] = {
                number: news
                for number, news in self._held.get(label, {}).items()
                if number > cursor
            }
            self._drain(label)

    def reset(self, label: str, head: int) -> None:
        """History was restored or cleared: what was told before counts no more."""
        with self._lock:
            if label in self._told:
                self._told[label] = head
                self._held.pop(label, None)

    def _drain(self, label: str) -> None:
        held = self._held.get(label, {})
        while (news := held.pop(self._told[label] + 1, None)) is not None:
            self._told[label] += 1
            self._emit(label, *news)
