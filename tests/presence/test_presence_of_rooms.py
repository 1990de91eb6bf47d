"""Presence between workers: only those that serve a room hear of its people."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.presence import tracker
from chat.presence.roster import MAX_LISTED_PEOPLE, RELISTED_PEOPLE
from chat.presence.tracker import REGISTRATION_SECONDS
from tests.conftest import Patch
from tests.servers import wait_until
from tests.services import Redis
from tests.workers import NAMES, Worker, workers

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: Patch, redis_server: Redis) -> Iterator[list[Worker]]:
    """Two workers."""
    with workers(tmp_path, monkeypatch, redis_url=redis_server.url) as made:
        yield made


def registered(redis_server: Redis, label: str) -> bool:
    """Return whether a worker has registered people in a room."""
    return bool(redis_server.ask("EXISTS", NAMES.people_key(label)))


def fill(worker: Worker, label: str, number: int) -> None:
    """Let so many people, without connections, be in a room on a worker."""
    for each in range(number):
        worker.services.presence.roster.enter(label, f"mark {each}", f"connection {each}")


def count(worker: Worker, label: str) -> int:
    """Return the number of people in a room, as a worker knows it."""
    return worker.services.presence.people_in(label).count


def test_the_first_to_enter_on_a_worker_is_told_at_once_who_is_on_the_others(
    pair: list[Worker], redis_server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker, "LOAD_WAIT_SECONDS", 15.0)
    one, two = pair
    ada = one.enter("kitchen")
    mark_of_ada = ada.join("kitchen")["you"]["mark"]
    wait_until(lambda: registered(redis_server, "kitchen"))

    answer = two.connect().join("kitchen")

    assert answer["count"] == 2
    assert {person["mark"] for person in answer["people"]} == {
        mark_of_ada,
        answer["you"]["mark"],
    }
    assert "partial" not in answer


def test_differences_of_a_room_go_to_its_own_channel_only(
    pair: list[Worker], redis_server: Redis
) -> None:
    one, two = pair
    kitchen = NAMES.room_channel("kitchen")
    channels = [kitchen, NAMES.room_channel("garden"), NAMES.all_workers]
    with redis_server.recording(channels) as recorded:

        def presence() -> list[bytes]:
            return [channel for channel, data in recorded() if b'"presence"' in data]

        two.enter("garden")
        wait_until(presence)
        number_before = len(presence())
        one.enter("kitchen")
        wait_until(lambda: len(presence()) > number_before)

        assert set(presence()[number_before:]) == {kitchen}


def test_a_worker_that_does_not_serve_a_room_finds_its_people_when_it_is_asked(
    pair: list[Worker], redis_server: Redis
) -> None:
    one, two = pair
    mark = one.enter("kitchen").join("kitchen")["you"]["mark"]
    wait_until(lambda: registered(redis_server, "kitchen"))
    presence = two.services.presence
    two.services.bus.up_since -= REGISTRATION_SECONDS

    assert presence.roster.handles("kitchen") == {}
    assert mark in presence.people_in("kitchen").handles
    assert presence.may_be_in("kitchen")
    assert not presence.may_be_in("cellar")


def test_a_room_may_be_in_use_while_redis_cannot_be_asked(
    pair: list[Worker], redis_server: Redis
) -> None:
    presence = pair[0].services.presence
    pair[0].services.bus.up_since -= REGISTRATION_SECONDS
    assert not presence.may_be_in("cellar")

    redis_server.ask("ACL", "SETUSER", "default", "-hgetall")

    assert presence.may_be_in("cellar")


def test_of_a_large_room_workers_tell_each_other_only_the_number_of_people(
    pair: list[Worker], redis_server: Redis
) -> None:
    one, two = pair
    ben = two.enter("kitchen")
    one.enter("kitchen")
    roster = two.services.presence.roster

    fill(one, "kitchen", MAX_LISTED_PEOPLE)
    wait_until(lambda: count(two, "kitchen") == MAX_LISTED_PEOPLE + 2)
    assert len(roster.handles("kitchen")) == 1
    wait_until(lambda: ben.received("presence")[-1:])

    now = time.monotonic() - 60
    for each in range(MAX_LISTED_PEOPLE - RELISTED_PEOPLE + 2):
        one.services.presence.roster.leave(f"connection {each}", now)
    wait_until(lambda: len(roster.handles("kitchen")) == RELISTED_PEOPLE)
    assert count(two, "kitchen") == RELISTED_PEOPLE


def test_people_who_leave_while_redis_is_down_are_gone_afterwards(
    pair: list[Worker], redis_server: Redis
) -> None:
    one, two = pair
    two.enter("kitchen")
    fill(one, "kitchen", 1)
    one.services.presence._loop.start()
    wait_until(lambda: count(two, "kitchen") == 2)

    redis_server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    one.services.presence.roster.leave("connection 0", time.monotonic() - 60)

    wait_until(lambda: count(two, "kitchen") == 1)
    assert not any(mark == "mark 0" for mark in two.services.presence.roster.handles("kitchen"))
