"""The sequencer: per room, this worker broadcasts changes strictly in the order of their `rev`."""

import threading
from collections.abc import Callable, Collection

from chat.wire import JSON

MAX_HELD_EVENTS = 1_000
"""Events of one room that are held behind a gap; more are dropped: the database has them all."""


class Sequencer:
    """Tracks, for each room with connections on this worker, the last number that was broadcast.

    An event with the next number is broadcast, one beyond a gap is held, an older one is dropped.
    `emit` is called with the label, the event and its payload. `on_gap` is called with the label of
    a room in which a number is missing; it has to read the missing changes and call `catch_up`.
    """

    def __init__(
        self, emit: Callable[[str, str, JSON], None], on_gap: Callable[[str], None]
    ) -> None:
        self._emit = emit
        self._on_gap = on_gap
        self._cursors: dict[str, int] = {}
        self._held: dict[str, dict[int, tuple[str, JSON]]] = {}
        self._gaps_reported: set[str] = set()
        # Reentrant: an emit may close a dead connection, and that may call the sequencer again.
        self._lock = threading.RLock()

    def track(self, label: str, head: int) -> None:
        """Start to track a room from `head` on, unless it is tracked already."""
        with self._lock:
            self._cursors.setdefault(label, head)

    def retain(self, labels: Collection[str]) -> None:
        """Stop tracking all rooms but these."""
        with self._lock:
            for label in self._cursors.keys() - labels:
                del self._cursors[label]
                self._held.pop(label, None)

    def cursor(self, label: str) -> int | None:
        """Return the last number that was broadcast in a room; None when it is not tracked."""
        return self._cursors.get(label)

    def has_gap(self, label: str) -> bool:
        """Return whether events are held behind a missing number, and report the next gap again."""
        with self._lock:
            self._gaps_reported.discard(label)
            return bool(self._held.get(label))

    def push(self, label: str, event: str, payload: JSON) -> None:
        """Take in a change: broadcast it, hold it, or drop it."""
        with self._lock:
            if not self._accept(label, event, payload):
                return
            self._gaps_reported.add(label)
        self._on_gap(label)

    def _accept(self, label: str, event: str, payload: JSON) -> bool:
        """Take in a change under the lock; return whether it revealed a new gap."""
        rev = payload["rev"]
        cursor = self._cursors.get(label)
        if cursor is None or rev <= cursor:
            return False
        held = self._held.setdefault(label, {})
        if rev == cursor + 1 or len(held) < MAX_HELD_EVENTS:
            held[rev] = (event, payload)
        self._broadcast_held(label)
        is_behind_gap = rev > self._cursors[label]
        return is_behind_gap and label not in self._gaps_reported

    def catch_up(
        self, label: str, changes: list[JSON], upto: int, new_after: int | None = None
    ) -> None:
        """Broadcast changes read from the database: in `rev` order, complete up to `upto`.

        A message with a `seq` above `new_after` is new to the room, even if it was changed since.
        `new_after` is the cursor before the first of several pages; by default the current cursor.
        """
        with self._lock:
            cursor = self._cursors.get(label)
            if cursor is None:
                return
            if new_after is None:
                new_after = cursor
            for payload in changes:
                if payload["rev"] > cursor:
                    self._cursors[label] = payload["rev"]
                    event = "chat" if payload["seq"] > new_after else "change"
                    self._emit(label, event, payload)
            cursor = max(cursor, upto)
            self._cursors[label] = cursor
            held = self._held.get(label, {})
            self._held[label] = {rev: held[rev] for rev in held if rev > cursor}
            self._broadcast_held(label)

    def reset(self, label: str, head: int) -> None:
        """Continue from `head`: the history of the room was restored, or it is another room."""
        with self._lock:
            if label in self._cursors:
                self._cursors[label] = head
                self._held.pop(label, None)

    def _broadcast_held(self, label: str) -> None:
        """Broadcast the held events that follow the cursor without a gap."""
        held = self._held.get(label, {})
        while True:
            next_rev = self._cursors[label] + 1
            if next_rev not in held:
                return
            event, payload = held.pop(next_rev)
            self._cursors[label] = next_rev
            self._emit(label, event, payload)
