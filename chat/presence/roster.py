"""Who is in which room, as one worker knows it: its own people, and those other workers have, while these are alive.

People are known by their marks, each with the name they go by, "" while nobody knows it. Nothing here waits or tells.
"""

import threading
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from math import inf

from chat.wire import JSON

GRACE_SECONDS = 5  # a reload is no leaving
LEASE_SECONDS = (
    30  # a worker that has not been heard of for so long is gone, and its people with it
)
MAX_LISTED_PEOPLE = 200


@dataclass
class RoomRoster:
    """A room with people on this worker."""

    names: dict[str, str] = field(default_factory=dict)  # of those on this worker, by mark
    changed: set[str] = field(default_factory=set)  # whom the people here have to be told about
    news: set[str] = field(default_factory=set)  # whom the other workers have to be told about
    state: int = 0
    too_many: bool = False  # there were more than are listed


class Roster:
    """The people of this worker's rooms, each once however many tabs they have, and what is to be told about them."""

    def __init__(self) -> None:
        self._where: dict[str, tuple[str, str]] = {}  # the room and mark of each tab
        self._tabs: defaultdict[tuple[str, str], set[str]] = defaultdict(set)  # by room and mark
        self._leaving: dict[
            tuple[str, str], float
        ] = {}  # if they do not come back before, they have left
        self._crowds: dict[str, RoomRoster] = {}
        self._elsewhere: dict[
            str, dict[str, dict[str, str]]
        ] = {}  # by worker what it said it has: names in rooms
        self._until: dict[str, float] = {}  # how long that is believed
        self._whole: set[str] = set()  # those who have said all they have
        self._lock = threading.RLock()

    def enter(self, label: str, mark: str, tab: str) -> str:
        """A tab comes in; the name its person is known by."""
        with self._lock:
            crowd = self._crowds.setdefault(label, RoomRoster())
            if mark not in crowd.names:
                with self._watching(label, [mark]):
                    crowd.names[mark] = self._name(label, mark) or ""
                crowd.news.add(mark)
            self._leaving.pop((label, mark), None)
            self._tabs[label, mark].add(tab)
            self._where[tab] = label, mark
            return crowd.names[mark]

    def leave(self, tab: str, now: float) -> None:
        """A tab is gone; its person is too, when they do not come back soon."""
        with self._lock:
            if there := self._where.pop(tab, None):
                self._tabs[there].discard(tab)
                if not self._tabs[there]:
                    self._leaving[there] = now + GRACE_SECONDS

    def tabs(self, label: str, mark: str) -> list[str]:
        """The tabs of a person on this worker."""
        return list(self._tabs.get((label, mark), ()))

    def call(self, label: str, mark: str, name: str) -> None:
        """A person here goes by this name now."""
        with self._lock:
            crowd = self._crowds.get(label)
            if crowd and crowd.names.get(mark, name) != name:
                with self._watching(label, [mark]):
                    crowd.names[mark] = name
                crowd.news.add(mark)

    def expire(self, now: float) -> None:
        """Those who have not come back are gone, and so are the people of workers that are not heard of any more."""
        with self._lock:
            for label, mark in [there for there, until in self._leaving.items() if until <= now]:
                del self._leaving[label, mark], self._tabs[label, mark]
                with self._watching(label, [mark]):
                    del self._crowds[label].names[mark]
                self._crowds[label].news.add(mark)
            self.forget_others(now)

    def forget_others(self, now: float = inf) -> None:
        """The other workers cannot be heard: all of them, or those not believed until after now."""
        with self._lock:
            for worker in [worker for worker, until in self._until.items() if until <= now]:
                self.on_message(worker, {}, {}, 0, whole=True)
                del self._elsewhere[worker], self._until[worker]
                self._whole.discard(worker)

    def knows(self, worker: str) -> bool:
        """Whether we have heard all that this worker has, and not only what was new."""
        return worker in self._whole

    def on_message(self, worker: str, here: JSON, gone: JSON, until: float, *, whole: bool) -> None:
        """Another worker has these people; `whole` is all it has, otherwise what is new."""
        with self._lock:
            self._until[worker] = until
            if whole:
                self._whole.add(worker)
            rooms = self._elsewhere.setdefault(worker, {})
            for label in here.keys() | gone.keys() | (rooms.keys() if whole else set()):
                own = self._crowds.get(label, RoomRoster()).names
                old = rooms.get(label, {})
                new = ({} if whole else old) | here.get(label, {})
                for mark in gone.get(label, ()):
                    new.pop(mark, None)
                with self._watching(
                    label, [mark for mark in old | new if old.get(mark) != new.get(mark)]
                ):
                    rooms[label] = new
                    for mark in own.keys() & here.get(label, {}).keys():
                        if new[mark] and not (
                            whole and own[mark]
                        ):  # what is new counts more than what is said again
                            own[mark] = new[mark]
                if not new:
                    del rooms[label]

    def everybody(self, label: str) -> dict[str, str]:
        """The names of those in a room, by mark."""
        with self._lock:
            found, *others = map(dict, self._lists(label) or [{}])
            for names in others:
                found |= {mark: name for mark, name in names.items() if not found.get(mark)}
            return found

    def listed(self, label: str, first: str) -> JSON:
        """Those in a room, `first` and so many others; how many there are; and up to which state that is."""
        with self._lock:
            everybody = {first: "", **self.everybody(label)}
            return {
                "people": _list(everybody),
                "count": len(everybody),
                "state": self._crowds[label].state,
            }

    def differences(self, also: bool = False) -> list[JSON]:
        """What the people of each room have not been told; with `also`, something for each."""
        with self._lock:
            return [
                self._difference(label, crowd)
                for label, crowd in self._crowds.items()
                if crowd.changed or also
            ]

    def _difference(self, label: str, crowd: RoomRoster) -> JSON:
        everybody = self.everybody(label)
        crowd.state += 1
        told = {"label": label, "state": crowd.state, "count": len(everybody)}
        marks, crowd.changed = crowd.changed, set()
        was_too_many, crowd.too_many = crowd.too_many, len(everybody) > MAX_LISTED_PEOPLE
        if was_too_many and not crowd.too_many:  # now there is room for all on the list
            return told | {"here": _list(everybody), "gone": [], "all": True}
        here = {mark: everybody[mark] for mark in marks if mark in everybody}
        return told | {"here": _list(here), "gone": list(marks - here.keys())}

    def news(self) -> tuple[JSON, JSON]:
        """What the other workers have not been told: who is here, and who is gone."""
        here: JSON = {}
        gone: JSON = {}
        with self._lock:
            for label, crowd in list(self._crowds.items()):
                marks, crowd.news = crowd.news, set()
                if mine := {mark: crowd.names[mark] for mark in marks if mark in crowd.names}:
                    here[label] = mine
                if left := list(marks - mine.keys()):
                    gone[label] = left
                if not crowd.names:
                    del self._crowds[label]
        return here, gone

    def own(self) -> JSON:
        """All who are here on this worker."""
        with self._lock:
            return {label: dict(crowd.names) for label, crowd in self._crowds.items()}

    def _lists(self, label: str) -> list[dict[str, str]]:
        """The names in a room, by mark, as each worker has them; ours first."""
        ours = [self._crowds[label].names] if label in self._crowds else []
        return ours + [rooms[label] for rooms in self._elsewhere.values() if label in rooms]

    def _name(self, label: str, mark: str) -> str | None:
        """The name of somebody in a room, None when they are not there."""
        known = [names[mark] for names in self._lists(label) if mark in names]
        return next(filter(None, known), "") if known else None

    @contextmanager
    def _watching(self, label: str, marks: Collection[str]) -> Iterator[None]:
        """Find out for whom of these what is done here makes a difference to the people of the room."""
        before = {mark: self._name(label, mark) for mark in marks}
        yield
        if crowd := self._crowds.get(label):
            crowd.changed |= {mark for mark in marks if self._name(label, mark) != before[mark]}


def _list(names: dict[str, str]) -> list[JSON]:
    return [
        {"mark": key} | ({"handle": name} if name else {})
        for key, name in islice(names.items(), MAX_LISTED_PEOPLE)
    ]
