"""Who is in which room, as one worker knows it: its own people, and those other workers have, while these are alive.

People are known by their marks, each with the name they go by, "" while nobody knows it. Nothing here waits or tells.
"""

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import TypeAlias

from chat.wire import JSON

GRACE_SECONDS = 5  # a reload is no leaving
LEASE_SECONDS = 30  # a worker that has not been heard of for so long is gone, and its people with it
PEOPLE_AT_MOST = 200

Names: TypeAlias = Mapping[str, str]  # by mark


@dataclass
class Guest:
    """Somebody who is here on this worker."""

    name: str
    tabs: set[str] = field(default_factory=set)
    until: float = inf  # if nobody comes back before, they have left


@dataclass
class Crowd:
    """A room with people on this worker."""

    guests: dict[str, Guest] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)  # whom the people here have to be told about
    news: set[str] = field(default_factory=set)  # whom the other workers have to be told about
    state: int = 0
    too_many: bool = False  # there were more than are listed


@dataclass
class Lease:
    """What another worker said it has, and how long that is believed."""

    until: float = 0.0
    rooms: dict[str, dict[str, str]] = field(default_factory=dict)


class People:
    """The people of this worker's rooms, each once however many tabs they have, and what is to be told about them."""

    def __init__(self) -> None:
        self._tabs: dict[str, tuple[str, str]] = {}  # to room and mark
        self._crowds: dict[str, Crowd] = {}
        self._leaving: set[tuple[str, str]] = set()
        self._leases: dict[str, Lease] = {}
        self._lock = threading.RLock()

    def enter(self, label: str, mark: str, tab: str) -> str:
        """A tab comes in; the name its person is known by."""
        with self._lock:
            crowd = self._crowds.setdefault(label, Crowd())
            if mark not in crowd.guests:
                with self._watching(label, [mark]):
                    crowd.guests[mark] = Guest(self._name(label, mark) or "")
                crowd.news.add(mark)
            crowd.guests[mark].tabs.add(tab)
            crowd.guests[mark].until = inf
            self._tabs[tab] = label, mark
            return crowd.guests[mark].name

    def leave(self, tab: str, now: float) -> None:
        """A tab is gone; its person is too, when they do not come back soon."""
        with self._lock:
            if (there := self._tabs.pop(tab, None)) is None:
                return
            guest = self._crowds[there[0]].guests[there[1]]
            guest.tabs.discard(tab)
            if not guest.tabs:
                guest.until = now + GRACE_SECONDS
                self._leaving.add(there)

    def where(self, tab: str) -> tuple[str, str] | None:
        """The room and the mark of a tab."""
        return self._tabs.get(tab)

    def tabs(self, label: str, mark: str) -> list[str]:
        """The tabs of a person on this worker."""
        with self._lock:
            guest = self._guests(label).get(mark)
            return list(guest.tabs) if guest else []

    def call(self, label: str, mark: str, name: str) -> None:
        """A person here goes by this name now."""
        guest = self._guests(label).get(mark)
        if guest is None or guest.name == name:
            return
        with self._lock, self._watching(label, [mark]):
            guest.name = name
            self._crowds[label].news.add(mark)

    def expire(self, now: float) -> None:
        """Those who have not come back are gone, and so are the people of workers that are not heard of any more."""
        with self._lock:
            for label, mark in list(self._leaving):
                crowd = self._crowds[label]
                if crowd.guests[mark].until == inf:
                    self._leaving.discard((label, mark))
                elif crowd.guests[mark].until <= now:
                    self._leaving.discard((label, mark))
                    with self._watching(label, [mark]):
                        del crowd.guests[mark]
                    crowd.news.add(mark)
            for worker in [worker for worker, lease in self._leases.items() if lease.until <= now]:
                self._forget(worker)

    def knows(self, worker: str) -> bool:
        """Whether we have heard of this worker."""
        return worker in self._leases

    def hear(
        self,
        worker: str,
        here: Mapping[str, Names],
        gone: Mapping[str, Collection[str]],
        until: float,
        *,
        whole: bool,
    ) -> None:
        """Another worker has these people; `whole` is all it has, otherwise what is new."""
        with self._lock:
            lease = self._leases.setdefault(worker, Lease())
            lease.until = until
            for label in here.keys() | gone.keys() | (lease.rooms.keys() if whole else set()):
                old = lease.rooms.get(label, {})
                new = {**({} if whole else old), **here.get(label, {})}
                for mark in gone.get(label, ()):
                    new.pop(mark, None)
                with self._watching(label, [mark for mark in old | new if old.get(mark) != new.get(mark)]):
                    lease.rooms[label] = new
                    self._learn_names(label, new, whole)
                if not new:
                    del lease.rooms[label]

    def _learn_names(self, label: str, names: Names, whole: bool) -> None:
        """A person here may go by another name elsewhere: what is new counts more than what is said again."""
        guests = self._guests(label)
        for mark in names.keys() & guests.keys():
            if names[mark] and not (whole and guests[mark].name):
                guests[mark].name = names[mark]

    def forget_others(self) -> None:
        """The other workers cannot be heard."""
        with self._lock:
            for worker in list(self._leases):
                self._forget(worker)

    def _forget(self, worker: str) -> None:
        self.hear(worker, {}, {}, 0, whole=True)
        del self._leases[worker]

    def everybody(self, label: str) -> dict[str, str]:
        """The names of those in a room, by mark."""
        with self._lock:
            found = {mark: guest.name for mark, guest in self._guests(label).items()}
            for lease in self._leases.values():
                for mark, name in lease.rooms.get(label, {}).items():
                    found[mark] = found.get(mark) or name
            return found

    def listed(self, label: str, first: str) -> JSON:
        """Those in a room, `first` and so many others; how many there are; and up to which state that is."""
        with self._lock:
            everybody = {first: "", **self.everybody(label)}
            here = [_person(mark, everybody[mark]) for mark in islice(everybody, PEOPLE_AT_MOST)]
            return {"people": here, "count": len(everybody), "state": self._crowds[label].state}

    def differences(self, also: bool = False) -> list[JSON]:
        """What the people of each room have not been told; with `also`, something for each."""
        with self._lock:
            return [self._difference(label, crowd) for label, crowd in self._crowds.items() if crowd.changed or also]

    def _difference(self, label: str, crowd: Crowd) -> JSON:
        everybody = self.everybody(label)
        crowd.state += 1
        told = {"label": label, "state": crowd.state, "count": len(everybody)}
        marks, crowd.changed = crowd.changed, set()
        was_too_many, crowd.too_many = crowd.too_many, len(everybody) > PEOPLE_AT_MOST
        if was_too_many and not crowd.too_many:  # now there is room for all on the list
            return told | {"here": [_person(*each) for each in everybody.items()], "gone": [], "all": True}
        here = [_person(mark, everybody[mark]) for mark in marks if mark in everybody]
        return told | {"here": here[:PEOPLE_AT_MOST], "gone": [mark for mark in marks if mark not in everybody]}

    def news(self) -> tuple[JSON, JSON]:
        """What the other workers have not been told: who is here, and who is gone."""
        here: JSON = {}
        gone: JSON = {}
        with self._lock:
            for label, crowd in list(self._crowds.items()):
                marks, crowd.news = crowd.news, set()
                if mine := {mark: crowd.guests[mark].name for mark in marks if mark in crowd.guests}:
                    here[label] = mine
                if left := [mark for mark in marks if mark not in crowd.guests]:
                    gone[label] = left
                if not crowd.guests:
                    del self._crowds[label]
        return here, gone

    def own(self) -> JSON:
        """All who are here on this worker."""
        with self._lock:
            return {label: {mark: guest.name for mark, guest in self._guests(label).items()} for label in self._crowds}

    def _guests(self, label: str) -> dict[str, Guest]:
        return self._crowds[label].guests if label in self._crowds else {}

    def _name(self, label: str, mark: str) -> str | None:
        """The name of somebody in a room, None when they are not there."""
        guest = self._guests(label).get(mark)
        if guest and guest.name:
            return guest.name
        elsewhere = [lease.rooms[label][mark] for lease in self._leases.values() if mark in lease.rooms.get(label, ())]
        return next(filter(None, elsewhere), "") if guest or elsewhere else None

    @contextmanager
    def _watching(self, label: str, marks: Collection[str]) -> Iterator[None]:
        """Find out for whom of these what is done here makes a difference to the people of the room."""
        before = [self._name(label, mark) for mark in marks]
        yield
        if crowd := self._crowds.get(label):
            crowd.changed.update(
                mark for mark, name in zip(marks, before, strict=True) if self._name(label, mark) != name
            )


def _person(mark: str, name: str) -> JSON:
    return {"mark": mark} | ({"handle": name} if name else {})
