"""The roster: who is in which room, as one worker knows it.

It holds the people of this worker and those that other workers announced, while these are alive.
People are known by their marks, each with the handle they use ("" while it is unknown).
This module does not block, and it does not emit.
"""

import threading
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import TypeAlias

from chat.wire import JSON

GRACE_SECONDS = 5
"""How long a person without a connection counts as present, so that a reload is not announced."""

LEASE_SECONDS = 30
"""A worker without an announcement for so long counts as dead; its people are removed."""

MAX_LISTED_PEOPLE = 200
"""People in one payload; more are only counted."""

HandlesByMark: TypeAlias = dict[str, str]
PersonKey: TypeAlias = tuple[str, str]
"""A person in a room: the room's label and the person's mark."""


@dataclass
class RoomRoster:
    """A room with people on this worker.

    `to_announce` holds the marks whose change the people in the room do not know yet, `to_publish`
    those that the other workers do not know yet. `state` numbers the announcements.
    """

    handles: HandlesByMark = field(default_factory=dict)
    to_announce: set[str] = field(default_factory=set)
    to_publish: set[str] = field(default_factory=set)
    state: int = 0
    was_truncated: bool = False


@dataclass
class OtherWorker:
    """What another worker announced: its people by room, and how long that is valid."""

    rooms: dict[str, HandlesByMark] = field(default_factory=dict)
    expires_at: float = 0.0
    is_complete: bool = False


class Roster:
    """The people in the rooms of this worker, each once however many connections they have.

    Times are seconds of the monotonic clock.
    """

    def __init__(self) -> None:
        self._person_of_connection: dict[str, PersonKey] = {}
        self._connections: defaultdict[PersonKey, set[str]] = defaultdict(set)
        self._leaves_at: dict[PersonKey, float] = {}
        self._rooms: dict[str, RoomRoster] = {}
        self._others: dict[str, OtherWorker] = {}
        self._lock = threading.RLock()

    def enter(self, label: str, mark: str, connection: str) -> str:
        """Add a connection to a room; return the handle of its person."""
        person = (label, mark)
        with self._lock:
            room = self._rooms.setdefault(label, RoomRoster())
            if mark not in room.handles:
                with self._record_changes(label, [mark]):
                    room.handles[mark] = self._handle(label, mark) or ""
                room.to_publish.add(mark)
            self._leaves_at.pop(person, None)
            self._connections[person].add(connection)
            self._person_of_connection[connection] = person
            return room.handles[mark]

    def leave(self, connection: str, now: float) -> None:
        """Remove a connection. A person without one leaves after GRACE_SECONDS."""
        with self._lock:
            person = self._person_of_connection.pop(connection, None)
            if person is None:
                return
            self._connections[person].discard(connection)
            if not self._connections[person]:
                self._leaves_at[person] = now + GRACE_SECONDS

    def connections(self, label: str, mark: str) -> list[str]:
        """Return the connections of a person on this worker."""
        return list(self._connections.get((label, mark), ()))

    def set_handle(self, label: str, mark: str, handle: str) -> None:
        """Record the handle that a person on this worker uses now."""
        with self._lock:
            room = self._rooms.get(label)
            if room is None or room.handles.get(mark, handle) == handle:
                return
            with self._record_changes(label, [mark]):
                room.handles[mark] = handle
            room.to_publish.add(mark)

    def expire(self, now: float) -> None:
        """Remove people whose grace period is over, and the people of silent workers."""
        with self._lock:
            expired = [person for person, at in self._leaves_at.items() if at <= now]
            for person in expired:
                label, mark = person
                del self._leaves_at[person]
                del self._connections[person]
                with self._record_changes(label, [mark]):
                    del self._rooms[label].handles[mark]
                self._rooms[label].to_publish.add(mark)
            self.forget_others(now)

    def forget_others(self, now: float = inf) -> None:
        """Forget the workers whose announcements expired by `now`; by default all of them."""
        with self._lock:
            expired = [
                worker_id for worker_id, other in self._others.items() if other.expires_at <= now
            ]
            for worker_id in expired:
                self.on_message(worker_id, {}, {}, 0, is_complete=True)
                del self._others[worker_id]

    def knows(self, worker_id: str) -> bool:
        """Return whether a worker has announced all its people, and not only changes."""
        other = self._others.get(worker_id)
        return other is not None and other.is_complete

    def on_message(
        self, worker_id: str, here: JSON, gone: JSON, expires_at: float, *, is_complete: bool
    ) -> None:
        """Take in the announcement of another worker, which is valid until `expires_at`.

        `here` holds handles by mark by label, `gone` lists of marks by label. If `is_complete`,
        `here` holds all people of that worker, otherwise only what has changed.
        """
        with self._lock:
            other = self._others.setdefault(worker_id, OtherWorker())
            other.expires_at = expires_at
            other.is_complete = other.is_complete or is_complete
            labels = here.keys() | gone.keys()
            if is_complete:
                labels |= other.rooms.keys()
            for label in labels:
                announced: HandlesByMark = here.get(label, {})
                old = other.rooms.get(label, {})
                new = announced if is_complete else old | announced
                new = {mark: new[mark] for mark in new if mark not in gone.get(label, ())}
                changed = [mark for mark in old | new if old.get(mark) != new.get(mark)]
                with self._record_changes(label, changed):
                    other.rooms[label] = new
                    self._adopt_handles(label, announced, is_complete)
                if not new:
                    del other.rooms[label]

    def _adopt_handles(self, label: str, announced: HandlesByMark, is_complete: bool) -> None:
        """Use the handles that another worker announced for people who are on this worker too.

        A handle in a complete announcement may be older than the local one; one in a change is
        newer.
        """
        room = self._rooms.get(label)
        if room is None:
            return
        for mark in room.handles.keys() & announced.keys():
            is_newer = not is_complete or not room.handles[mark]
            if announced[mark] and is_newer:
                room.handles[mark] = announced[mark]

    def handles(self, label: str) -> HandlesByMark:
        """Return the people in a room, on all workers: handles by mark."""
        with self._lock:
            found: HandlesByMark = {}
            for handles in self._handles_by_worker(label):
                for mark, handle in handles.items():
                    if not found.get(mark):
                        found[mark] = handle
            return found

    def listing(self, label: str, first_mark: str) -> JSON:
        """Return the people in a room as `join` answers: `first_mark` first, at most a limit."""
        with self._lock:
            handles = {first_mark: "", **self.handles(label)}
            return {
                "people": _people(handles),
                "count": len(handles),
                "state": self._rooms[label].state,
            }

    def room_announcements(self, all_rooms: bool = False) -> list[JSON]:
        """Return a payload of `presence` for each room with changes, or for all rooms.

        The changes count as announced afterwards.
        """
        with self._lock:
            return [
                self._room_announcement(label, room)
                for label, room in self._rooms.items()
                if room.to_announce or all_rooms
            ]

    def _room_announcement(self, label: str, room: RoomRoster) -> JSON:
        handles = self.handles(label)
        room.state += 1
        payload: JSON = {"label": label, "state": room.state, "count": len(handles)}
        marks = room.to_announce
        room.to_announce = set()
        was_truncated = room.was_truncated
        room.was_truncated = len(handles) > MAX_LISTED_PEOPLE
        if was_truncated and not room.was_truncated:
            return payload | {"here": _people(handles), "gone": [], "all": True}
        here = {mark: handles[mark] for mark in marks if mark in handles}
        return payload | {"here": _people(here), "gone": list(marks - here.keys())}

    def worker_changes(self) -> tuple[JSON, JSON]:
        """Return what the other workers do not know yet, by label: who is here, and who is gone.

        The changes count as published afterwards. Rooms without people are forgotten.
        """
        here: JSON = {}
        gone: JSON = {}
        with self._lock:
            for label, room in list(self._rooms.items()):
                marks = room.to_publish
                room.to_publish = set()
                present = {mark: room.handles[mark] for mark in marks if mark in room.handles}
                absent = list(marks - present.keys())
                if present:
                    here[label] = present
                if absent:
                    gone[label] = absent
                if not room.handles:
                    del self._rooms[label]
        return here, gone

    def local_handles(self) -> JSON:
        """Return all people on this worker: handles by mark by label."""
        with self._lock:
            return {label: dict(room.handles) for label, room in self._rooms.items()}

    def _handles_by_worker(self, label: str) -> list[HandlesByMark]:
        """Return the people in a room, for each worker; this worker first."""
        rooms = [self._rooms[label].handles] if label in self._rooms else []
        rooms += [other.rooms[label] for other in self._others.values() if label in other.rooms]
        return rooms

    def _handle(self, label: str, mark: str) -> str | None:
        """Return the handle of a person in a room; None when the person is not there."""
        known = [handles[mark] for handles in self._handles_by_worker(label) if mark in handles]
        if not known:
            return None
        return next(filter(None, known), "")

    @contextmanager
    def _record_changes(self, label: str, marks: Collection[str]) -> Iterator[None]:
        """Record which of these people change inside the context, to announce it to the room."""
        before = {mark: self._handle(label, mark) for mark in marks}
        yield
        room = self._rooms.get(label)
        if room is None:
            return
        room.to_announce.update(mark for mark in marks if self._handle(label, mark) != before[mark])


def _people(handles: HandlesByMark) -> list[JSON]:
    return [
        {"mark": mark, "handle": handle} if handle else {"mark": mark}
        for mark, handle in islice(handles.items(), MAX_LISTED_PEOPLE)
    ]
