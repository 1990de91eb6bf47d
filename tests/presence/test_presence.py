"""Who is here and who is typing: people and not tabs, on every worker, whatever becomes of one of them."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import cast

import pytest
from flask import Flask

from chat.presence.roster import GRACE_SECONDS, LEASE_SECONDS, MAX_LISTED_PEOPLE, Roster
from chat.presence.tracker import MAX_PEOPLE_FOR_TYPING, REFRESH_SECONDS
from chat.services import services_of
from tests.clients import JSON, Node, Person
from tests.conftest import Client, in_room
from tests.servers import ConfabServer, gunicorn, wait_until
from tests.services import Redis

Open = Callable[..., Client]


class Clock:
    """It beats when it is told to."""

    def __init__(self, app: Flask) -> None:
        self._presence = services_of(app).presence
        self._presence._loop._running = True  # so that nothing is announced but by hand
        self._ahead = 0.0

    def beat(self, later: float = 0.0) -> None:
        """What is told once a second is told now, or after some seconds more."""
        self._ahead += later
        self._presence.announce(time.monotonic() + self._ahead)


@pytest.fixture
def clock(app: Flask) -> Clock:
    """The clock of the app; nothing is told of anybody unless it beats."""
    return Clock(app)


def marks(people: list[JSON]) -> set[str]:
    return {each["mark"] for each in people}


def told(person: Client) -> list[tuple[set[str], set[str], int]]:
    """What somebody was told of people: who came, who went, and how many there are."""
    return [
        (marks(each["here"]), set(each["gone"]), each["count"])
        for each in person.received("presence")
    ]


# Who is here


def test_who_comes_in_is_told_who_is_there(clock: Clock, open_client: Open, kitchen: str) -> None:
    ada, ben = open_client(), open_client()
    hers = ada.join(kitchen)["you"]["mark"]

    answer = ben.join(kitchen)

    assert marks(answer["people"]) == {hers, answer["you"]["mark"]}
    assert answer["people"][0] == {"mark": answer["you"]["mark"]}  # oneself first
    assert answer["count"] == 2
    assert "partial" not in answer


def test_those_who_are_there_are_told_who_comes_in(
    clock: Clock, ada: Client, open_client: Open, kitchen: str
) -> None:
    clock.beat()
    ada.received("presence")
    state = ada.join(kitchen)["state"]
    his = open_client().join(kitchen)["you"]["mark"]

    clock.beat()

    [difference] = ada.received("presence")
    assert difference == {
        "label": kitchen,
        "state": state + 1,
        "here": [{"mark": his}],
        "gone": [],
        "count": 2,
    }


def test_strangers_are_told_of_nobody(clock: Clock, cy: Client, ada: Client) -> None:
    clock.beat()
    clock.beat(later=60)

    assert [difference["label"] for difference in cy.received("presence")] == ["garden"]


def test_who_leaves_is_gone_after_a_grace(
    clock: Clock, ada: Client, ben: Client, kitchen: str
) -> None:
    his = ben.join(kitchen)["you"]["mark"]
    clock.beat()
    ada.received("presence")

    ben.ask("leave", {})
    clock.beat()
    assert told(ada) == []
    clock.beat(later=GRACE_SECONDS)

    assert told(ada) == [(set(), {his}, 1)]


def test_who_closes_the_page_is_gone_too(
    clock: Clock, ada: Client, ben: Client, kitchen: str
) -> None:
    his = ben.join(kitchen)["you"]["mark"]
    clock.beat()
    ada.received("presence")

    ben.close()
    clock.beat(later=GRACE_SECONDS)

    assert told(ada) == [(set(), {his}, 1)]


def test_a_reload_is_nothing_to_tell(
    clock: Clock, ada: Client, app: Flask, open_client: Open, kitchen: str
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    before = open_client(browser)
    before.join(kitchen)
    clock.beat()
    ada.received("presence")

    before.close()
    clock.beat()
    in_room(open_client(browser), kitchen)
    clock.beat()
    clock.beat(later=GRACE_SECONDS)

    assert told(ada) == []


def test_two_tabs_are_one_person_until_both_are_closed(
    clock: Clock, ada: Client, app: Flask, open_client: Open, kitchen: str
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    one, other = open_client(browser), open_client(browser)
    his = one.join(kitchen)["you"]["mark"]
    assert other.join(kitchen)["count"] == 2
    clock.beat()
    ada.received("presence")

    one.close()
    clock.beat(later=GRACE_SECONDS)
    assert told(ada) == []
    other.close()
    clock.beat(later=GRACE_SECONDS)

    assert told(ada) == [(set(), {his}, 1)]


def test_who_enters_another_room_leaves_the_first(
    clock: Clock, ada: Client, ben: Client, cy: Client
) -> None:
    clock.beat()
    ada.received("presence"), cy.received("presence")

    there = ben.join("garden")
    clock.beat(later=GRACE_SECONDS)

    [(_, gone, left)] = told(ada)
    [(here, _, now)] = told(cy)
    assert (len(gone), left, now) == (1, 1, 2)
    assert here == {there["you"]["mark"]}
    assert gone.isdisjoint(here)  # the same person is another mark in another room


def test_many_who_come_in_at_once_are_told_once(
    clock: Clock, ada: Client, open_client: Open, kitchen: str
) -> None:
    clock.beat()
    ada.received("presence")
    crowd = {open_client().join(kitchen)["you"]["mark"] for _ in range(30)}

    clock.beat()

    assert told(ada) == [(crowd, set(), 31)]


def test_who_has_spoken_is_listed_by_name(
    clock: Clock, ada: Client, ben: Client, open_client: Open, kitchen: str
) -> None:
    clock.beat()
    ben.received("presence")
    ada.post("hello", handle="Ada")
    ada.post("hello again", handle="Ada")
    clock.beat()

    [difference] = ben.received("presence")
    assert [person["handle"] for person in difference["here"]] == ["Ada"]
    assert "Ada" in {person.get("handle") for person in open_client().join(kitchen)["people"]}
    ada.ask("rename", {"handle": "Bea"})
    clock.beat()
    assert {person.get("handle") for person in ben.received("presence")[-1]["here"]} == {
        "Bea",
        None,
    }


def test_who_spoke_before_is_listed_by_the_name_of_then(
    clock: Clock, ada: Client, app: Flask, open_client: Open, kitchen: str
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    ben = in_room(open_client(browser), kitchen)
    ben.post("hello", handle="Ben")
    ben.ask("rename", {"handle": "Benjamin"})
    ben.close()
    clock.beat(later=GRACE_SECONDS)
    ada.received("presence")

    in_room(open_client(browser), kitchen)
    clock.beat()

    assert [
        person["handle"] for [person] in [each["here"] for each in ada.received("presence")]
    ] == ["Benjamin"]


def test_a_message_more_is_nothing_to_tell(clock: Clock, ada: Client, ben: Client) -> None:
    ada.post("hello")
    clock.beat()
    ben.received("presence")

    ada.post("hello again")
    clock.beat()

    assert told(ben) == []


def test_of_very_many_the_first_are_listed_and_all_are_counted() -> None:
    people = Roster()
    for number in range(MAX_LISTED_PEOPLE + 2):
        people.enter("kitchen", f"mark {number}", f"tab {number}")

    answer = people.listing("kitchen", "mark 201")
    [difference] = people.room_announcements()

    assert (len(answer["people"]), answer["count"]) == (MAX_LISTED_PEOPLE, MAX_LISTED_PEOPLE + 2)
    assert answer["people"][0] == {"mark": "mark 201"}
    assert (len(difference["here"]), difference["count"]) == (
        MAX_LISTED_PEOPLE,
        MAX_LISTED_PEOPLE + 2,
    )


def test_when_all_fit_on_the_list_again_they_are_told_in_full() -> None:
    people = Roster()
    for number in range(MAX_LISTED_PEOPLE + 1):
        people.enter("kitchen", f"mark {number}", f"tab {number}")
    people.room_announcements()

    people.leave("tab 7", 0)
    people.expire(GRACE_SECONDS)

    [difference] = people.room_announcements()
    assert difference["all"]
    assert marks(difference["here"]) == {
        f"mark {number}" for number in range(MAX_LISTED_PEOPLE + 1)
    } - {"mark 7"}
    assert (difference["gone"], difference["count"]) == ([], MAX_LISTED_PEOPLE)


def test_a_list_and_all_differences_after_it_are_the_list_of_now() -> None:
    people = Roster()
    people.enter("kitchen", "ada", "1")
    people.room_announcements()
    people.on_message("elsewhere", {"kitchen": {"ben": "Ben"}}, {}, inf, is_complete=False)
    early = people.listing("kitchen", "ada")  # Ben is in it, and has not been told of yet
    people.on_message("elsewhere", {}, {"kitchen": ["ben"]}, inf, is_complete=False)

    [difference] = people.room_announcements()

    assert marks(early["people"]) == {"ada", "ben"}
    assert (difference["here"], difference["gone"], difference["count"]) == ([], ["ben"], 1)


def test_a_room_is_forgotten_when_everybody_has_left() -> None:
    people = Roster()
    people.enter("kitchen", "ada", "1")
    people.worker_changes()
    people.leave("1", 0)
    people.leave("1", 0)
    people.expire(GRACE_SECONDS)

    assert people.worker_changes() == ({}, {"kitchen": ["ada"]})
    assert people.local_handles() == {}
    assert people.worker_changes() == ({}, {})


# Other workers


def test_people_of_another_worker_are_here_as_long_as_it_is_heard() -> None:
    people = Roster()
    people.enter("kitchen", "ada", "1")
    people.on_message(
        "elsewhere", {"kitchen": {"ben": "Ben", "ada": "Ada"}}, {}, LEASE_SECONDS, is_complete=True
    )
    people.room_announcements()

    people.expire(LEASE_SECONDS - 1)
    assert people.room_announcements() == []
    people.expire(LEASE_SECONDS)

    [difference] = people.room_announcements()
    assert (difference["gone"], difference["count"]) == (["ben"], 1)
    assert people.handles("kitchen") == {"ada": "Ada"}


def test_who_is_on_two_workers_is_one_person_and_stays_until_both_say_otherwise() -> None:
    people = Roster()
    people.enter("kitchen", "ada", "1")
    for worker in ("one", "other"):
        people.on_message(worker, {"kitchen": {"ben": ""}}, {}, inf, is_complete=False)
    [difference] = people.room_announcements()
    assert difference["count"] == 2

    people.on_message("one", {}, {"kitchen": ["ben"]}, inf, is_complete=False)
    assert people.room_announcements() == []
    people.on_message("other", {}, {}, inf, is_complete=True)

    assert people.room_announcements()[0]["gone"] == ["ben"]


def test_a_new_name_heard_from_elsewhere_is_the_name_here_and_an_old_one_is_not() -> None:
    people = Roster()
    people.enter("kitchen", "ada", "1")
    people.set_handle("kitchen", "ada", "Ada")

    people.on_message("elsewhere", {"kitchen": {"ada": "Ada of yesterday"}}, {}, inf, is_complete=True)
    assert people.handles("kitchen") == {"ada": "Ada"}
    people.on_message("elsewhere", {"kitchen": {"ada": "Bea"}}, {}, inf, is_complete=False)

    assert people.handles("kitchen") == {"ada": "Bea"}


# Typing


def test_ben_sees_that_ada_is_typing(ada: Client, ben: Client, kitchen: str) -> None:
    hers = ada.join(kitchen)["you"]["mark"]

    assert ada.ask("typing", {"handle": "Ada"}) == {"ok": True}
    assert ben.received("typing") == [{"label": kitchen, "mark": hers, "handle": "Ada"}]


def test_strangers_do_not_see_that_ada_is_typing_nor_does_she(
    app: Flask, open_client: Open, ben: Client, cy: Client, kitchen: str
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    one, other = in_room(open_client(browser), kitchen), in_room(open_client(browser), kitchen)

    one.ask("typing", {"handle": "Ada"})

    assert one.received() == other.received() == cy.received() == []
    assert len(ben.received("typing")) == 1


def test_typing_is_passed_on_every_two_seconds_and_not_more_often(ada: Client, ben: Client) -> None:
    for _ in range(20):
        assert ada.ask("typing", {"handle": "Ada"})["ok"]

    assert len(ben.received("typing")) == 1


def test_nobody_types_before_entering_or_after_leaving(
    ada: Client, ben: Client, open_client: Open
) -> None:
    ada.ask("leave", {})

    for person in (ada, open_client()):
        assert person.ask("typing", {"handle": "Ada"})["code"] == "not_joined"
    assert ben.received() == []


def test_in_a_crowd_nobody_sees_who_is_typing(
    app: Flask, ada: Client, ben: Client, kitchen: str
) -> None:
    people: Roster = services_of(app).presence.roster
    for number in range(MAX_PEOPLE_FOR_TYPING - 1):
        people.enter(kitchen, f"mark {number}", f"tab {number}")

    assert ada.ask("typing", {"handle": "Ada"})["ok"]

    assert ben.received("typing") == []


# On real workers


TEN = 10


class Watcher:
    """Somebody with a list of people, who does what the protocol says with what is told."""

    def __init__(self, node: Node, server: ConfabServer, token: str | None = None) -> None:
        self.person: Person = node.person(server.url, token=token)
        self.join()
        self.mark: str = self.answer["you"]["mark"]

    def join(self) -> None:
        """Enter, for the first time or again."""
        self.visits = self._connections
        self._before = len(self.person.received("presence"))
        self.answer = self.person.join("kitchen")

    def come_back(self) -> None:
        """Enter again after every new connection, as the page does."""
        if self._connections > self.visits:
            self.join()

    @property
    def _connections(self) -> int:
        return sum(state == "connect" for state, _ in self.person.states)

    @property
    def told(self) -> list[JSON]:
        """What was told after the answer."""
        since = self.person.received("presence")[self._before :]
        return [each for each in since if each["state"] > self.answer["state"]]

    @property
    def people(self) -> dict[str, str | None]:
        """The list as it stands: names by mark."""
        listed = {each["mark"]: each.get("handle") for each in self.answer["people"]}
        for difference in self.told:
            listed = {} if difference.get("all") else listed
            listed |= {each["mark"]: each.get("handle") for each in difference["here"]}
            listed = {mark: name for mark, name in listed.items() if mark not in difference["gone"]}
        return listed

    @property
    def count(self) -> int:
        """How many there are, as told."""
        counts: list[int] = [self.answer["count"], *(each["count"] for each in self.told)]
        return counts[-1]

    @property
    def is_partial(self) -> bool:
        """Whether the list is said to be partial."""
        return bool([self.answer, *self.told][-1].get("partial"))

    def sees(self, marks: set[str]) -> bool:
        """Whether the list, and the count, are those people."""
        return set(self.people) == marks and self.count == len(marks)


def workers(server: ConfabServer) -> list[int]:
    """The process ids of the workers."""
    return server.processes()[1:]


@contextmanager
def only(server: ConfabServer, worker: int) -> Iterator[None]:
    """Who comes now comes to this worker: the others stand still."""
    others = [pid for pid in workers(server) if pid != worker]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


def on_each(
    node: Node, server: ConfabServer, number: int, token: str | None = None
) -> list[Watcher]:
    """People in the kitchen, so many on each worker."""
    people = []
    for worker in workers(server):
        with only(server, worker):
            people += [Watcher(node, server, token) for _ in range(number)]
    return people


def kept(redis_server: Redis) -> list[set[str]]:
    """The people of each worker, as Redis keeps them."""
    keys = [
        key
        for key in cast(list[bytes], redis_server.ask("KEYS", "confab:*"))
        if key.count(b":") == 2
    ]
    texts = [cast(bytes | None, redis_server.ask("GET", key)) for key in keys]
    return [set(json.loads(text)["here"].get("kitchen", ())) for text in texts if text]


@pytest.mark.servers
@pytest.mark.timeout(180)
def test_people_on_two_workers_see_each_other_type_and_come_and_go(
    tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server, Node() as node:
        server.room("kitchen")
        people = on_each(node, server, 3)
        everybody = {each.mark for each in people}
        wait_until(lambda: all(each.sees(everybody) for each in people), what="all see all")
        assert not any(each.is_partial for each in people)

        people[0].person.send("typing", {"handle": "Ada"})
        for each in people[1:]:
            assert each.person.hear(1, "typing") == [
                {"label": "kitchen", "mark": people[0].mark, "handle": "Ada"}
            ]
        people[0].person.post("hello", handle="Ada")
        wait_until(
            lambda: all(each.people[people[0].mark] == "Ada" for each in people),
            what="all know her name",
        )
        people[0].person.close()

        left = everybody - {people[0].mark}
        wait_until(lambda: all(each.sees(left) for each in people[1:]), what="all see her gone")
        assert people[0].person.received("typing") == []


@pytest.mark.servers
@pytest.mark.timeout(180)
def test_two_tabs_on_two_workers_count_once(tmp_path: Path, redis_server: Redis) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server, Node() as node:
        server.room("kitchen")
        ada = node.person(server.url)
        token = ada.join("kitchen")["you"]["token"]

        tabs = on_each(node, server, 2, token)
        ben = Watcher(node, server)

        wait_until(
            lambda: all(each.sees({tabs[0].mark, ben.mark}) for each in [*tabs, ben]),
            what="two people",
        )
        assert all(each.answer["count"] <= 2 for each in tabs)
        assert all(difference["count"] <= 2 for each in tabs for difference in each.told)


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_people_of_a_killed_worker_are_gone_from_the_other_within_forty_seconds(
    tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server, Node() as node:
        server.room("kitchen")
        victim, other = workers(server)
        with only(server, victim):
            ten = [Watcher(node, server) for _ in range(TEN)]
        with only(server, other):
            ada = Watcher(node, server)
        wait_until(
            lambda: ada.sees({ada.mark} | {each.mark for each in ten}), what="she sees all ten"
        )

        for each in ten:
            each.person.stay_away()
        killed = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: ada.sees({ada.mark}), seconds=40, what="she sees nobody else")

        assert all(len(each["gone"]) in (0, TEN) for each in ada.told)
        assert time.monotonic() - killed > LEASE_SECONDS / 2  # and not because of something else
        newcomer = Watcher(node, server)
        wait_until(
            lambda: newcomer.sees({ada.mark, newcomer.mark}), what="the new worker knows it too"
        )


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_rolling_restart_announces_nobody(tmp_path: Path, redis_server: Redis) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server, Node() as node:
        server.room("kitchen")
        tokens = [node.person(server.url).join("kitchen")["you"]["token"] for _ in range(TEN)]
        people = [Watcher(node, server, token) for token in tokens]
        everybody = {each.mark for each in people}
        wait_until(lambda: all(each.sees(everybody) for each in people), what="all see all")
        before = set(workers(server))
        wait_until(
            lambda: set().union(*kept(redis_server)) == everybody,
            2 * REFRESH_SECONDS,
            "all are kept for those who start",
        )

        os.kill(server.processes()[0], signal.SIGHUP)
        counts = set()
        while not (before.isdisjoint(workers(server)) and all(each.visits > 1 for each in people)):
            for each in people:
                each.come_back()
            counts |= {each.answer["count"] for each in people if each.visits > 1}
            time.sleep(0.05)
        assert counts == {TEN}
        wait_until(
            lambda: len(kept(redis_server)) == 2,
            LEASE_SECONDS + 10,
            "what the old workers said is believed no more",
        )
        newcomer = Watcher(node, server)
        everybody.add(newcomer.mark)
        wait_until(
            lambda: all(each.sees(everybody) for each in people), what="all see the newcomer"
        )

        for each in people:
            assert [(marks(told["here"]), told["gone"]) for told in each.told] == [
                ({newcomer.mark}, [])
            ]


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_without_redis_each_worker_shows_its_own_and_says_so(
    tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server, Node() as node:
        server.room("kitchen")
        people = on_each(node, server, 2)
        everybody = {each.mark for each in people}
        wait_until(lambda: all(each.sees(everybody) for each in people), what="all see all")

        redis_server.kill()
        wait_until(
            lambda: all(each.is_partial for each in people), 20, "all are told that it is partial"
        )
        assert [each.count for each in people] == [2] * 4
        assert people[0].person.post("hello")["ok"]
        late = Watcher(node, server)
        assert late.is_partial

        redis_server.start()
        everybody.add(late.mark)
        wait_until(
            lambda: all(each.sees(everybody) for each in [*people, late]), 20, "all see all again"
        )
        wait_until(
            lambda: not any(each.is_partial for each in [*people, late]), what="and it is whole"
        )


@pytest.mark.servers
@pytest.mark.timeout(180)
def test_several_workers_without_redis_say_from_the_start_that_it_is_partial(
    tmp_path: Path,
) -> None:
    with gunicorn(tmp_path, 2) as server, Node() as node:
        server.room("kitchen")

        assert Watcher(node, server).is_partial


@pytest.mark.servers
@pytest.mark.timeout(180)
def test_who_knows_only_join_and_chat_shows_each_message_once(
    tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server, Node() as node:
        server.room("kitchen")
        simple, ada, ben = (node.person(server.url) for _ in range(3))
        for each in (simple, ada, ben):
            each.join("kitchen")

        ada.post("hello", handle="Ada")
        ben.post("hello yourself", handle="Ben", reply_to=1)
        ben.ask("react", {"seq": 1, "emoji": "👍", "on": True})
        ada.ask("edit", {"seq": 1, "message": "hello, all"})
        ben.send("typing", {"handle": "Ben"})
        ben.ask("delete", {"seq": 2})
        ada.ask("rename", {"handle": "Ada L."})
        ada.post("goodbye", handle="Ada L.")

        assert [said["seq"] for said in simple.hear(4)] == [1, 2, 6, 7]
        assert [said["message"] for said in simple.received()] == [
            "hello",
            "hello yourself",
            "Ada L.",
            "goodbye",
        ]
