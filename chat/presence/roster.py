"""The roster: who is in which room, as one worker knows it.

It holds the people of this worker and, for the rooms that some of them are in, those that other
workers announced, while these are alive. People are known by their marks, each with the handle they
use ("" while it is unknown). In large rooms, workers announce only how many people they have.
This module does not block, and it does not emit.
"""

import threading
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import islice
from math import inf
from typing import TypeAlias

from chat.wire import JSON

GRACE_SECONDS = 5
"""How long a person without a connection counts as present, so that a reload is not announced."""

LEASE_SECONDS = 30
"""A worker without an announcement for so long counts as dead; its people are removed."""

MAX_LISTED_PEOPLE = 200
"""People in one payload; more are only counted, between workers too."""

RELISTED_PEOPLE = 150
"""With so many people in a room or fewer, workers announce them to each other again.

It is less than MAX_LISTED_PEOPLE, so that people who come and go do not make them change each time.
"""

REFRESH_SECONDS = 30
"""How often a worker announces all its people in a room, because announcements may be lost."""

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
    has_new_count: bool = False
    """Whether another worker has announced another number of people."""

    was_postponed: bool = False
    """Whether an announcement has waited for the people of other workers to be known."""

    has_partial_listing: bool = False
    """Whether `join` was answered while the people of other workers were not known."""

    was_loaded: bool = False
    """Whether the people of other workers have been known: `join` may have listed them."""

    published_count: int | None = None
    """What the other workers know if they know only the number of people here."""

    refresh_at: float = inf
    """When everybody here is announced again."""


@dataclass
class OtherPeople:
    """Whom another worker has in a room: `handles`, or only so many people."""

    handles: HandlesByMark = field(default_factory=dict)
    unlisted: int = 0


@dataclass
class OtherWorker:
    """What another worker announced: its people by room, and how long that is valid."""

    rooms: dict[str, OtherPeople] = field(default_factory=dict)
    expires_at: float = 0.0


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
        self._loaded: set[str] = set()  # rooms whose people on the other workers are known
        self._changed_while_loading: set[str] = set()
        self._departed: dict[str, float] = {}  # rooms without people here, and when to repeat that
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

    def local_connections(self, label: str) -> dict[str, list[str]]:
        """Return the connections in a room on this worker, by the mark of their person."""
        with self._lock:
            room = self._rooms.get(label)
            marks = [] if room is None else list(room.handles)
            return {mark: self.connections(label, mark) for mark in marks}

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

    # Other workers

    def renew(self, worker_id: str, expires_at: float) -> None:
        """Note that another worker is alive: what it announced is valid until `expires_at`."""
        with self._lock:
            other = self._others.setdefault(worker_id, OtherWorker())
            other.expires_at = max(other.expires_at, expires_at)

    def live_workers(self, now: float) -> set[str]:
        """Return the other workers that are alive."""
        with self._lock:
            return {
                worker_id for worker_id, other in self._others.items() if other.expires_at > now
            }

    def forget_others(self, now: float = inf) -> None:
        """Forget the workers whose announcements expired by `now`; by default all of them."""
        with self._lock:
            expired = [
                worker_id for worker_id, other in self._others.items() if other.expires_at <= now
            ]
            for worker_id in expired:
                other = self._others[worker_id]
                for label in list(other.rooms):
                    self._replace(other, label, OtherPeople())
                del self._others[worker_id]

    def on_people(
        self, worker_id: str, label: str, here: HandlesByMark, gone: list[str], *, is_complete: bool
    ) -> None:
        """Take in whom another worker has in a room: handles by mark, and the marks that left.

        If `is_complete`, `here` holds all its people, otherwise only what has changed.
        """
        with self._lock:
            if label not in self._rooms:
                return
            other = self._others.setdefault(worker_id, OtherWorker())
            self._changed_while_loading.add(label)
            old = other.rooms.get(label, OtherPeople())
            if old.unlisted and not is_complete:
                return  # the complete announcement was lost
            new = dict(here) if is_complete else old.handles | here
            new = {mark: new[mark] for mark in new if mark not in gone}
            self._replace(other, label, OtherPeople(new))
            self._adopt_handles(label, here, is_complete)

    def on_count(self, worker_id: str, label: str, count: int) -> None:
        """Take in how many people another worker has in a room."""
        with self._lock:
            if label not in self._rooms:
                return
            other = self._others.setdefault(worker_id, OtherWorker())
            self._changed_while_loading.add(label)
            self._replace(other, label, OtherPeople(unlisted=count))

    def begin_loading(self, labels: Collection[str]) -> None:
        """Note which rooms another worker announces something about until `load`."""
        with self._lock:
            self._changed_while_loading.difference_update(labels)

    def load(self, label: str, people_by_worker: dict[str, OtherPeople]) -> bool:
        """Take in everything that the other workers have registered for a room.

        Returns false, and changes nothing, if one of them has announced something meanwhile: what
        was read may be older.
        """
        with self._lock:
            if label not in self._rooms:
                return True
            if label in self._changed_while_loading:
                return False
            room = self._rooms[label]
            to_announce = set(room.to_announce)
            for worker_id, other in self._others.items():
                people = people_by_worker.get(worker_id, OtherPeople())
                self._replace(other, label, people)
                self._adopt_handles(label, people.handles, is_complete=True)
            if room.state == 0 and not room.has_partial_listing and not room.was_loaded:
                # The answer to `join` lists all these people for everybody who enters the room.
                others = set().union(*(each.handles for each in people_by_worker.values()))
                room.to_announce = to_announce - others
                room.has_new_count = False
            room.was_loaded = True
            self._loaded.add(label)
            return True

    def is_loaded(self, label: str) -> bool:
        """Return whether the people of a room on other workers are known."""
        return label in self._loaded

    def unload(self) -> None:
        """Note that the people of all rooms on other workers have to be read again."""
        with self._lock:
            self._loaded.clear()

    def labels_to_load(self) -> set[str]:
        """Return the rooms of this worker whose people on other workers are not known."""
        with self._lock:
            return self._rooms.keys() - self._loaded

    def _replace(self, other: OtherWorker, label: str, people: OtherPeople) -> None:
        """Replace whom another worker has in a room."""
        old = other.rooms.get(label, OtherPeople())
        marks = old.handles | people.handles
        changed = [mark for mark in marks if old.handles.get(mark) != people.handles.get(mark)]
        with self._record_changes(label, changed):
            if people.handles or people.unlisted:
                other.rooms[label] = people
            else:
                other.rooms.pop(label, None)
        room = self._rooms.get(label)
        if room is not None and old.unlisted != people.unlisted:
            room.has_new_count = True

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
            handles_by_worker = self._handles_by_worker(label)
            if not handles_by_worker:
                return {}
            # A copy is cheap; most rooms have all their people on one worker.
            found = dict(handles_by_worker[0])
            for handles in handles_by_worker[1:]:
                for mark, handle in handles.items():
                    if not found.get(mark):
                        found[mark] = handle
            return found

    def count(self, label: str) -> int:
        """Return the number of people in a room, on all workers.

        In large rooms, somebody with connections to several workers may be counted for each.
        """
        with self._lock:
            return len(self.handles(label)) + self._unlisted(label)

    def _unlisted(self, label: str) -> int:
        """Return how many people in a room are on workers that announce only their number."""
        return sum(
            other.rooms[label].unlisted for other in self._others.values() if label in other.rooms
        )

    def listing(self, label: str, first_mark: str) -> JSON:
        """Return the people in a room as `join` answers: `first_mark` first, at most a limit."""
        with self._lock:
            if label in self._rooms and label not in self._loaded:
                self._rooms[label].has_partial_listing = True
            handles = {first_mark: "", **self.handles(label)}
            return {
                "people": _people(handles),
                "count": len(handles) + self._unlisted(label),
                "state": self._rooms[label].state,
            }

    def room_announcements(
        self, *, all_rooms: bool = False, is_loading: bool = False
    ) -> list[JSON]:
        """Return a payload of `presence` for each room with changes, or for all rooms.

        The changes count as announced afterwards. With `is_loading`, those of a room wait once if
        the people of other workers in it are not known yet.
        """
        announcements = []
        with self._lock:
            for label, room in self._rooms.items():
                if not (room.to_announce or room.has_new_count or all_rooms):
                    continue
                if is_loading and self._postpone_once(label, room):
                    continue
                announcements.append(self._room_announcement(label, room))
        return announcements

    def _postpone_once(self, label: str, room: RoomRoster) -> bool:
        """Let the announcement of a room wait once for the people of other workers.

        Returns whether it waits.
        """
        if label in self._loaded or room.was_postponed:
            return False
        room.was_postponed = True
        return True

    def _room_announcement(self, label: str, room: RoomRoster) -> JSON:
        handles = self.handles(label)
        count = len(handles) + self._unlisted(label)
        room.state += 1
        payload: JSON = {"label": label, "state": room.state, "count": count}
        marks = room.to_announce
        room.to_announce = set()
        room.has_new_count = False
        was_truncated = room.was_truncated
        room.was_truncated = count > MAX_LISTED_PEOPLE
        if was_truncated and not room.was_truncated:
            return payload | {"here": _people(handles), "gone": [], "all": True}
        here = {mark: handles[mark] for mark in marks if mark in handles}
        return payload | {"here": _people(here), "gone": list(marks - here.keys())}

    # What this worker announces to the others

    def worker_changes(self, now: float) -> list[JSON]:
        """Return what the other workers do not know yet: a payload for each room.

        It has `label` and, in a small room, `here` and `gone`; with `whole`, `here` holds everybody
        on this worker. In a large room it has `count`, the number of people on this worker.

        The changes count as published afterwards. Rooms without people are forgotten.
        """
        with self._lock:
            changed = [
                (label, room)
                for label, room in self._rooms.items()
                if room.to_publish or room.to_announce or room.has_new_count or not room.handles
            ]
            payloads = [self._room_changes(label, room, now) for label, room in changed]
            for label, room in changed:
                if not room.handles:
                    self._forget_room(label)
                    self._departed[label] = now + REFRESH_SECONDS
            return [payload for payload in payloads if payload is not None]

    def _room_changes(self, label: str, room: RoomRoster, now: float) -> JSON | None:
        marks = room.to_publish
        room.to_publish = set()
        room.refresh_at = min(room.refresh_at, now + REFRESH_SECONDS)
        if self._is_only_counted(label, room) or room.published_count is not None:
            return self._changed_count(label, room, now)
        if not marks:
            return None
        here = {mark: room.handles[mark] for mark in marks if mark in room.handles}
        return {"label": label, "here": here, "gone": list(marks - here.keys()), "whole": False}

    def _changed_count(self, label: str, room: RoomRoster, now: float) -> JSON | None:
        """Return what to publish of a room that is or was only counted; None if nothing changed."""
        before = room.published_count
        payload = self._complete(label, room, now)
        return None if payload.get("count", inf) == before else payload

    def _is_only_counted(self, label: str, room: RoomRoster) -> bool:
        """Return whether a room is so large that workers announce only numbers to each other."""
        is_counted = room.published_count is not None
        return self.count(label) > (RELISTED_PEOPLE if is_counted else MAX_LISTED_PEOPLE)

    def _complete(self, label: str, room: RoomRoster, now: float) -> JSON:
        """Return the payload with everybody on this worker, or their number."""
        room.refresh_at = now + REFRESH_SECONDS
        if self._is_only_counted(label, room):
            room.published_count = len(room.handles)
            return {"label": label, "count": room.published_count}
        room.published_count = None
        return {"label": label, "here": dict(room.handles), "gone": [], "whole": True}

    def due_refreshes(self, now: float, limit: int) -> list[JSON]:
        """Return complete payloads for the rooms that have been due for the longest time.

        Among them are those without people here any more, because that may have been lost.
        """
        with self._lock:
            departed = [label for label, at in self._departed.items() if at <= now][:limit]
            for label in departed:
                del self._departed[label]
            empty = [label for label in departed if label not in self._rooms]
            due = [label for label, room in self._rooms.items() if room.refresh_at <= now]
            longest_due = nsmallest(limit, due, key=lambda label: self._rooms[label].refresh_at)
            return [
                *({"label": label, "here": {}, "gone": [], "whole": True} for label in empty),
                *(self._complete(label, self._rooms[label], now) for label in longest_due),
            ]

    def make_refresh_due(self, labels: Collection[str] | None = None) -> None:
        """Let `due_refreshes` return these rooms, by default all."""
        with self._lock:
            if labels is None:
                labels = self._rooms.keys() | self._departed.keys()
            for label in labels:
                if label in self._rooms:
                    self._rooms[label].refresh_at = 0.0
                else:
                    self._departed[label] = 0.0

    def registration(self, label: str) -> JSON | None:
        """Return what to register for a room: its people on this worker, or how many they are.

        None if there are none.
        """
        with self._lock:
            room = self._rooms.get(label)
            if room is None or not room.handles:
                return None
            if room.published_count is not None:
                return {"count": room.published_count}
            return {"here": dict(room.handles)}

    def _forget_room(self, label: str) -> None:
        """Forget a room without people here, in which the others announce nothing to us."""
        del self._rooms[label]
        self._loaded.discard(label)
        self._changed_while_loading.discard(label)
        for other in self._others.values():
            other.rooms.pop(label, None)

    def local_handles(self) -> JSON:
        """Return all people on this worker: handles by mark by label."""
        with self._lock:
            return {label: dict(room.handles) for label, room in self._rooms.items()}

    def _handles_by_worker(self, label: str) -> list[HandlesByMark]:
        """Return the people in a room, for each worker; this worker first."""
        rooms = [self._rooms[label].handles] if label in self._rooms else []
        rooms += [
            other.rooms[label].handles for other in self._others.values() if label in other.rooms
        ]
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
