"""Sharing between workers what was taken from the buckets of the rate limits."""

import json
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, cast

import pytest

from chat import create_app, shut_down
from chat.delivery.bus import Bus, MessageHandler, Payload
from chat.errors import RateLimited
from chat.limit_sharing import MAX_REPORT_ENTRIES, SHARE_SECONDS, LimitSharing
from chat.limits import Limits, Requester
from chat.services import services_of
from chat.socket_server import SocketServer
from config import Config
from tests.conftest import StoppedClock

SECRET = "a secret of the tests"
NO_SERVER = cast(SocketServer, None)  # only the background loop uses it


class MemoryBus(Bus):
    """A bus between workers in one process; it carries messages as JSON, as Redis does."""

    def __init__(self) -> None:
        self.others: list[MemoryBus] = []
        self.published: list[str] = []
        self._handlers: dict[str, MessageHandler] = {}

    def subscribe(self, event: str, handler: MessageHandler) -> None:
        """Call `handler` for each such event from another worker."""
        self._handlers[event] = handler

    def on_connect(self, handler: Callable[[], None]) -> None:
        """Do nothing: it is always connected."""

    def on_follow(self, handler: Callable[[set[str]], None]) -> None:
        """Do nothing: the events of all rooms arrive."""

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""

    def publish_synchronously(self) -> None:
        """Do nothing: it always does."""

    def follow(self, label: str) -> None:
        """Do nothing: the events of all rooms arrive."""

    def follow_only(self, labels: Collection[str]) -> None:
        """Do nothing: the events of all rooms arrive."""

    def publish_to_room(self, label: str, event: str, payload: Payload) -> None:
        """Hand an event to the other workers at once."""
        self.publish(event, payload)

    def publish(self, event: str, payload: Payload) -> None:
        """Hand an event to the other workers at once."""
        text = json.dumps(payload)
        self.published.append(text)
        for other in self.others:
            other._handlers[event](event, json.loads(text))


class Worker:
    """The limits of one worker."""

    def __init__(self, clock: StoppedClock) -> None:
        self.bus = MemoryBus()
        self.limits = Limits(Config(), SECRET, is_shared=True, clock=clock)
        self.sharing = LimitSharing(NO_SERVER, self.bus, self.limits)
        self.bus.subscribe("limit_usage", self.sharing.on_message)

    def post(self, requester: Requester) -> bool:
        """Take the tokens of a message; return whether there were enough."""
        try:
            self.limits.take_event("chat", requester, "hello")
        except RateLimited:
            return False
        return True


@pytest.fixture
def clock() -> StoppedClock:
    """The clock of all workers."""
    return StoppedClock()


@pytest.fixture
def workers(clock: StoppedClock) -> list[Worker]:
    """Four workers that share a bus."""
    made = [Worker(clock) for _ in range(4)]
    for worker in made:
        worker.bus.others = [other.bus for other in made if other is not worker]
    return made


def test_what_one_worker_gave_the_others_do_not_give_again(workers: list[Worker]) -> None:
    ada = workers[0].limits.requester("ada", "192.0.2.1")
    assert [workers[0].post(ada) for _ in range(6)] == [True] * 5 + [False]

    workers[0].sharing.share()

    assert not any(worker.post(ada) for worker in workers)


def test_nothing_is_shared_twice_and_nothing_without_a_message(workers: list[Worker]) -> None:
    ada = workers[0].limits.requester("ada", None)
    workers[0].post(ada)
    workers[0].post(ada)

    for _ in range(3):
        for worker in workers:
            worker.sharing.share()

    assert [len(worker.bus.published) for worker in workers] == [1, 0, 0, 0]
    assert workers[1].limits.buckets["person_messages"].take(ada.person, 3, 1_000.0) == 0


def test_small_amounts_are_shared_together_every_four_seconds(
    workers: list[Worker], clock: StoppedClock
) -> None:
    ada = workers[0].limits.requester("ada", None)
    workers[0].post(ada)
    for _ in range(15):
        clock.now += SHARE_SECONDS
        workers[0].sharing.share()
    assert workers[0].bus.published == []

    clock.now += SHARE_SECONDS
    workers[0].sharing.share()

    [report] = [json.loads(text) for text in workers[0].bus.published]
    assert report == {"person_messages": {ada.person: 1}, "person_bytes": {ada.person: 5}}


@pytest.mark.parametrize("pause_seconds", [0.4, 1.25, 2.5])
def test_somebody_who_waits_until_each_bucket_is_full_gets_little_more_than_the_limit(
    workers: list[Worker], clock: StoppedClock, pause_seconds: float
) -> None:
    ada = workers[0].limits.requester("ada", None)
    accepted = 0
    posts_at = clock.now
    started_at = clock.now

    while clock.now < started_at + 120:
        if clock.now >= posts_at:
            posts_at += pause_seconds
            accepted += sum(worker.post(ada) for worker in workers)
        clock.now += SHARE_SECONDS
        for worker in workers:
            worker.sharing.share()

    limit = 5 + 120 * 1
    assert accepted <= 1.5 * limit


def test_small_amounts_are_shared_once_they_add_up(workers: list[Worker]) -> None:
    ada = workers[0].limits.requester("ada", None)
    workers[0].post(ada)
    workers[0].sharing.share()
    assert workers[0].bus.published == []

    workers[0].post(ada)
    workers[0].sharing.share()

    [report] = [json.loads(text) for text in workers[0].bus.published]
    assert report["person_messages"] == {ada.person: 2}


def test_one_person_on_four_workers_gets_little_more_than_the_limit(
    workers: list[Worker], clock: StoppedClock
) -> None:
    ada = workers[0].limits.requester("ada", None)
    accepted = 0

    for _ in range(30 * 20):
        accepted += sum(worker.post(ada) for worker in workers)
        clock.now += 0.05
        if round(clock.now * 20) % 5 == 0:
            for worker in workers:
                worker.sharing.share()

    limit = 5 + 30 * 1
    assert limit <= accepted <= 1.5 * limit


def test_a_refused_request_is_not_shared(workers: list[Worker]) -> None:
    ada = workers[0].limits.requester("ada", "192.0.2.1")
    for _ in range(20):
        workers[0].post(ada)

    workers[0].sharing.share()

    [report] = [json.loads(text) for text in workers[0].bus.published]
    assert report == {"person_messages": {ada.person: 5}}
    unshared = workers[0].limits.buckets["address_messages"]._unshared
    assert unshared == {ada.address: 5}


def test_many_buckets_are_shared_in_several_messages(workers: list[Worker]) -> None:
    people = [workers[0].limits.requester(f"person {number}", None) for number in range(500)]
    for person in people:
        workers[0].post(person)
        workers[0].post(person)

    workers[0].sharing.share()

    sizes = [sum(map(len, json.loads(text).values())) for text in workers[0].bus.published]
    assert sum(sizes) == 500
    assert max(sizes) <= MAX_REPORT_ENTRIES
    assert max(map(len, workers[0].bus.published)) < 16 * 1024


@pytest.mark.parametrize(
    "report",
    [
        {"no_such_limit": {"key": 1}},
        {"person_messages": 1},
        {"person_messages": [["key", 1]]},
        {"person_messages": {"key": "1"}},
        {"person_messages": {"key": True}},
        {"person_messages": {"key": None}},
        {"person_messages": {"key": -1}},
        {"person_messages": {"key": 0}},
        {"person_messages": {"key": 1e300}},
        {"person_messages": {"key": float("nan")}},
        {"person_messages": {"k" * 100: 1}},
        {"person_messages": {f"key {number}": 1 for number in range(1_000)}},
        {"person_messages": {"0123456789abcdef": 5, "key": -1}},
    ],
)
def test_malformed_reports_are_counted_and_change_nothing(
    workers: list[Worker], report: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"^not "):
        workers[0].sharing.on_message("limit_usage", report)

    assert workers[0].sharing.malformed_reports == 1
    assert all(len(buckets) == 0 for buckets in workers[0].limits.buckets.values())


def test_an_app_that_is_shut_down_shares_no_limits(tmp_path: Path) -> None:
    app = create_app(Config(instance=tmp_path))
    others = set(threading.enumerate())
    services_of(app).limit_sharing.start()
    [loop] = set(threading.enumerate()) - others

    shut_down(app)

    loop.join(20 * SHARE_SECONDS)
    assert not loop.is_alive()
