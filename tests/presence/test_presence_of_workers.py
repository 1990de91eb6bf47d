"""Presence and typing across gunicorn workers, while workers or Redis fail."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from chat.delivery.signatures import SIGNATURE_BYTES
from chat.presence.roster import LEASE_SECONDS
from chat.presence.tracker import LEASE_RENEWAL_SECONDS
from tests.clients import JSON, Node, Person
from tests.servers import ConfabServer, gunicorn, wait_until
from tests.services import Redis

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

TEN = 10


class Member:
    """A client in the kitchen that keeps the list of people as docs/protocol.md describes."""

    def __init__(self, node: Node, server: ConfabServer, token: str | None = None) -> None:
        self.client: Person = node.person(server.url, token=token)
        self.join()
        self.mark: str = self.answer["you"]["mark"]

    def join(self) -> None:
        """Enter the kitchen, for the first time or again."""
        self.joined_connections = self._connections
        self._ignored_announcements = len(self.client.received("presence"))
        call = self.client.send("join", {"label": "kitchen"})
        wait_until(
            lambda: call in self.client.answers or self._connections > self.joined_connections,
            15,
            "an answer, or another connection",
        )
        if call not in self.client.answers:
            self.join()  # the connection has ended before the answer
            return
        self.answer = self.client.answer(call)
        assert self.answer["ok"], self.answer

    def join_after_reconnection(self) -> None:
        """Enter again after every new connection, as the page does."""
        if self._connections > self.joined_connections:
            self.join()

    @property
    def is_joined(self) -> bool:
        """Whether the last connection is open and has entered."""
        disconnects = sum(state == "disconnect" for state, _ in self.client.states)
        return self._connections == self.joined_connections == disconnects + 1

    @property
    def _connections(self) -> int:
        return sum(state == "connect" for state, _ in self.client.states)

    @property
    def announcements(self) -> list[JSON]:
        """The announcements that are newer than the answer to `join`."""
        received = self.client.received("presence")[self._ignored_announcements :]
        return [payload for payload in received if payload["state"] > self.answer["state"]]

    @property
    def people(self) -> dict[str, str | None]:
        """The list of people: handles by mark."""
        people = {person["mark"]: person.get("handle") for person in self.answer["people"]}
        for payload in self.announcements:
            if payload.get("all"):
                people = {}
            people |= {person["mark"]: person.get("handle") for person in payload["here"]}
            people = {mark: people[mark] for mark in people if mark not in payload["gone"]}
        return people

    @property
    def count(self) -> int:
        """The number of people, as the server reported it last."""
        count: int = self._latest["count"]
        return count

    @property
    def is_partial(self) -> bool:
        """Whether the server reported the list as partial."""
        return bool(self._latest.get("partial"))

    @property
    def _latest(self) -> JSON:
        return [self.answer, *self.announcements][-1]

    def sees(self, marks: set[str]) -> bool:
        """Return whether the list and the count are exactly these people."""
        return set(self.people) == marks and self.count == len(marks)


def all_see(members: list[Member], marks: set[str]) -> bool:
    """Return whether the lists of all members are exactly these people."""
    return all(member.sees(marks) for member in members)


def workers(server: ConfabServer) -> list[int]:
    """Return the process ids of the workers."""
    return server.processes()[1:]


@contextmanager
def only_worker(server: ConfabServer, worker: int) -> Iterator[None]:
    """Let this worker accept all new connections: the others are stopped meanwhile."""
    others = [pid for pid in workers(server) if pid != worker]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


def members_on_each_worker(
    node: Node, server: ConfabServer, number: int, token: str | None = None
) -> list[Member]:
    """Return members of the kitchen, so many on each worker."""
    members = []
    for worker in workers(server):
        with only_worker(server, worker):
            members += [Member(node, server, token) for _ in range(number)]
    return members


def registered(redis_server: Redis) -> list[set[str]]:
    """Return the marks of the people in the kitchen that each live worker has registered."""
    live = [worker for worker, seconds in leases(redis_server).items() if seconds > 0]
    [key] = cast(list[bytes], redis_server.ask("KEYS", "confab:*:people:*")) or [b"none"]
    texts = [cast(bytes | None, redis_server.ask("HGET", key, worker)) for worker in live]
    people = [json.loads(text[SIGNATURE_BYTES:].partition(b" ")[2]) for text in texts if text]
    return [set(each["here"]) for each in people]


def leases(redis_server: Redis) -> dict[bytes, float]:
    """Return for how many seconds more each worker counts as alive."""
    [key] = cast(list[bytes], redis_server.ask("KEYS", "confab:*:workers")) or [b"none"]
    stored = cast(dict[bytes, bytes], redis_server.ask("HGETALL", key))
    return {
        worker: float(signed[SIGNATURE_BYTES:]) - time.time() for worker, signed in stored.items()
    }


def test_people_on_two_workers_see_each_other_type_enter_and_leave(
    tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server, Node() as node:
        server.room("kitchen")
        members = members_on_each_worker(node, server, 3)
        ada = members[0]
        others = members[1:]
        marks = {member.mark for member in members}
        wait_until(lambda: all_see(members, marks), what="all see all")
        assert not any(member.is_partial for member in members)

        ada.client.send("typing", {"handle": "Ada"})
        for member in others:
            assert member.client.hear(1, "typing") == [
                {"label": "kitchen", "mark": ada.mark, "handle": "Ada"}
            ]
        ada.client.post("hello", handle="Ada")
        wait_until(
            lambda: all(member.people[ada.mark] == "Ada" for member in members),
            what="all see the handle",
        )
        ada.client.close()

        wait_until(lambda: all_see(others, marks - {ada.mark}), 20, "all see that Ada left")
        assert ada.client.received("typing") == []


def test_a_person_with_connections_to_two_workers_counts_once(
    tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server, Node() as node:
        server.room("kitchen")
        token = node.person(server.url).join("kitchen")["you"]["token"]

        connections = members_on_each_worker(node, server, 2, token)
        ben = Member(node, server)

        marks = {connections[0].mark, ben.mark}
        wait_until(lambda: all_see([*connections, ben], marks), what="two people")
        for connection in connections:
            assert connection.answer["count"] <= 2
            assert all(payload["count"] <= 2 for payload in connection.announcements)


@pytest.mark.slow
def test_people_of_a_killed_worker_are_gone_within_forty_seconds(
    tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server, Node() as node:
        server.room("kitchen")
        victim, survivor = workers(server)
        with only_worker(server, victim):
            lost = [Member(node, server) for _ in range(TEN)]
        with only_worker(server, survivor):
            ada = Member(node, server)
        marks = {ada.mark} | {member.mark for member in lost}
        wait_until(lambda: ada.sees(marks), what="Ada sees all ten")

        for member in lost:
            member.client.stay_away()
        killed_at = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: ada.sees({ada.mark}), seconds=40, what="Ada is alone")

        assert all(len(payload["gone"]) in (0, TEN) for payload in ada.announcements)
        # The lease has expired; nothing else has removed them earlier.
        assert time.monotonic() - killed_at > LEASE_SECONDS / 2
        newcomer = Member(node, server)
        wait_until(
            lambda: newcomer.sees({ada.mark, newcomer.mark}),
            what="the newcomer sees Ada",
        )


@pytest.mark.slow
def test_a_rolling_restart_is_not_announced(tmp_path: Path, redis_server: Redis) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server, Node() as node:
        server.room("kitchen")
        tokens = [node.person(server.url).join("kitchen")["you"]["token"] for _ in range(TEN)]
        members = [Member(node, server, token) for token in tokens]
        marks = {member.mark for member in members}
        wait_until(lambda: all_see(members, marks), what="all see all")
        old_workers = set(workers(server))
        wait_until(
            lambda: set().union(*registered(redis_server)) == marks,
            2 * LEASE_RENEWAL_SECONDS,
            "all are registered",
        )

        old_leases = set(leases(redis_server))
        os.kill(server.processes()[0], signal.SIGHUP)
        counts = set()
        while not (
            old_workers.isdisjoint(workers(server))
            and all(member.joined_connections > 1 and member.is_joined for member in members)
        ):
            for member in members:
                member.join_after_reconnection()
            counts |= {m.answer["count"] for m in members if m.joined_connections > 1}
            time.sleep(0.05)
        assert counts == {TEN}
        wait_until(
            lambda: (
                not any(
                    seconds > 0
                    for worker, seconds in leases(redis_server).items()
                    if worker in old_leases
                )
            ),
            LEASE_SECONDS + 10,
            "the registrations of the old workers have expired",
        )
        for member in members:
            member.join_after_reconnection()
        newcomer = Member(node, server)
        marks.add(newcomer.mark)
        wait_until(lambda: all_see(members, marks), what="all see the newcomer")

        for member in members:
            [payload] = member.announcements
            assert {person["mark"] for person in payload["here"]} == {newcomer.mark}
            assert payload["gone"] == []


@pytest.mark.slow
def test_without_redis_each_worker_lists_its_own_people_as_partial(
    tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server, Node() as node:
        server.room("kitchen")
        members = members_on_each_worker(node, server, 2)
        marks = {member.mark for member in members}
        wait_until(lambda: all_see(members, marks), what="all see all")

        redis_server.kill()
        wait_until(
            lambda: all(member.is_partial for member in members), 20, "all lists are partial"
        )
        assert [member.count for member in members] == [2] * 4
        assert members[0].client.post("hello")["ok"]
        newcomer = Member(node, server)
        assert newcomer.is_partial

        redis_server.start()
        marks.add(newcomer.mark)
        members.append(newcomer)
        wait_until(lambda: all_see(members, marks), 20, "all see all again")
        wait_until(
            lambda: not any(member.is_partial for member in members), what="no list is partial"
        )


def test_several_workers_without_redis_report_partial_lists_from_the_start(
    tmp_path: Path,
) -> None:
    with gunicorn(tmp_path, 2) as server, Node() as node:
        server.room("kitchen")

        assert Member(node, server).is_partial


def test_a_client_that_knows_only_join_and_chat_receives_each_message_once(
    tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server, Node() as node:
        server.room("kitchen")
        simple = node.person(server.url)
        ada = node.person(server.url)
        ben = node.person(server.url)
        for client in (simple, ada, ben):
            client.join("kitchen")

        ada.post("hello", handle="Ada")
        simple.hear(1)
        ben.post("hello yourself", handle="Ben", reply_to=1)
        simple.hear(2)
        ben.ask("react", {"seq": 1, "emoji": "👍", "on": True})
        ada.ask("edit", {"seq": 1, "message": "hello, all"})
        ben.send("typing", {"handle": "Ben"})
        ben.ask("delete", {"seq": 2})
        ada.ask("rename", {"handle": "Ada L."})
        ada.post("goodbye", handle="Ada L.")

        assert [message["seq"] for message in simple.hear(4)] == [1, 2, 6, 7]
        assert [message["message"] for message in simple.received()] == [
            "hello",
            "hello yourself",
            "Ada L.",
            "goodbye",
        ]
