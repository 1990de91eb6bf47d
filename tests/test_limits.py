"""The rate limits: token buckets, and what they do to events."""

import json
import time
import timeit
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from chat import events, limits, message_events
from chat.dispatch import RATE_LIMITED_DELAY_SECONDS
from chat.errors import RateLimited
from chat.limits import LIMITS_BY_EVENT, Limits, TokenBuckets
from chat.moderation import handlers as moderation_handlers
from chat.services import services_of
from config import Config, Rate, StartupError
from tests.conftest import Client, StoppedClock, create_room, in_room

NOW = StoppedClock().now
MAX_JSON_RATIO = 3
"""A message may cost this many times what reading and writing its payload as JSON costs."""

SECRET = "a secret of the tests"


def take_all(buckets: TokenBuckets, key: str, now: float) -> int:
    """Take tokens one at a time until there is none; return how many there were."""
    count = 0
    while buckets.take(key, 1, now) == 0:
        count += 1
    return count


# Token buckets


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    buckets = TokenBuckets(Rate(5, 1))

    assert take_all(buckets, "ada", NOW) == 5
    assert take_all(buckets, "ada", NOW + 0.9) == 0
    assert take_all(buckets, "ada", NOW + 1) == 1
    assert take_all(buckets, "ada", NOW + 3.5) == 2
    assert take_all(buckets, "ada", NOW + 1_000) == 5


def test_a_bucket_says_how_long_to_wait_and_the_wait_is_enough() -> None:
    buckets = TokenBuckets(Rate(5, 2))
    take_all(buckets, "ada", NOW)

    wait_seconds = buckets.take("ada", 1, NOW)

    assert wait_seconds == pytest.approx(0.5)
    assert buckets.take("ada", 1, NOW + wait_seconds) == 0


def test_the_buckets_of_two_people_are_independent() -> None:
    buckets = TokenBuckets(Rate(5, 1))
    take_all(buckets, "ada", NOW)

    assert take_all(buckets, "ben", NOW) == 5


def test_more_than_the_burst_takes_a_whole_bucket() -> None:
    buckets = TokenBuckets(Rate(100, 10))

    assert buckets.take("ada", 250, NOW) == 0
    assert buckets.take("ada", 250, NOW) == pytest.approx(10)


def test_an_overdrawn_bucket_gives_nothing_until_its_debt_is_paid() -> None:
    buckets = TokenBuckets(Rate(5, 1))
    buckets.add_debt("ada", 8, NOW)

    assert take_all(buckets, "ada", NOW + 3.9) == 0
    assert take_all(buckets, "ada", NOW + 4) == 1


def test_a_debt_is_bounded() -> None:
    buckets = TokenBuckets(Rate(5, 1))

    for _ in range(1_000):
        buckets.add_debt("ada", 1e6, NOW)

    assert buckets.wait_seconds("ada", NOW) <= 5 * limits.MAX_DEBT_BURSTS


def test_full_buckets_are_forgotten() -> None:
    buckets = TokenBuckets(Rate(5, 1))

    for number in range(50_000):
        buckets.take(f"person {number}", 1, NOW + number)

    assert len(buckets) <= limits.FIRST_PURGE_BUCKETS + 1


def test_with_too_many_buckets_in_use_the_emptiest_are_kept() -> None:
    buckets = TokenBuckets(Rate(5, 0.001))
    take_all(buckets, "the attacker", NOW)

    for number in range(3 * limits.MAX_BUCKETS):
        buckets.take(f"person {number}", 1, NOW)

    assert len(buckets) <= limits.MAX_BUCKETS + 1
    assert buckets.take("the attacker", 1, NOW) > 0


def test_what_several_buckets_must_give_is_taken_from_all_or_none() -> None:
    config = Config(limit_person_bytes=Rate(100, 1))
    made = Limits(config, SECRET, clock=StoppedClock())
    ada = made.requester("ada", "192.0.2.1")
    made.take_event("chat", ada, "x" * 100)

    for _ in range(20):
        with pytest.raises(RateLimited):
            made.take_event("chat", ada, "x")

    assert take_all(made.buckets["person_messages"], ada.person, NOW) == 4
    assert ada.address is not None
    assert take_all(made.buckets["address_messages"], ada.address, NOW) == 199


def test_a_refusal_says_when_to_try_again() -> None:
    clock = StoppedClock()
    made = Limits(Config(), SECRET, clock=clock)
    ada = made.requester("ada", None)
    for _ in range(5):
        made.take_event("chat", ada, "hello")

    with pytest.raises(RateLimited) as refused:
        made.take_event("chat", ada, "hello")

    assert refused.value.retry
    assert refused.value.retry_after_ms == 1000
    clock.now += 1
    made.take_event("chat", ada, "hello")


def cpu_seconds(function: Callable[[], object]) -> float:
    """Return the CPU time of a function, as measured when the machine disturbed it least."""
    return min(timeit.repeat(function, timer=time.process_time, number=10, repeat=7))


def test_a_message_costs_little_compared_with_its_json() -> None:
    raised = Rate(1e9, 1e9)
    config = Config(
        limit_person_messages=raised, limit_person_bytes=raised, limit_address_messages=raised
    )
    made = Limits(config, SECRET, is_shared=True)
    people = [made.requester(f"person {number}", "192.0.2.1") for number in range(1_000)]
    text = "a message of the usual length, or a little longer"

    def take() -> None:
        for person in people:
            made.take_event("chat", person, text)

    def read_and_write_json() -> None:
        for _ in people:
            json.loads(json.dumps({"handle": "Ada", "message": text}))

    assert cpu_seconds(take) < MAX_JSON_RATIO * cpu_seconds(read_and_write_json)


def test_people_behind_one_address_share_its_limits() -> None:
    made = Limits(Config(), SECRET, clock=StoppedClock())

    def posts(number: int) -> bool:
        try:
            made.take_event("chat", made.requester(f"person {number}", "192.0.2.1"), "hello")
        except RateLimited:
            return False
        return True

    assert sum(posts(number) for number in range(300)) == 200
    made.take_event("chat", made.requester("another", "192.0.2.2"), "hello")
    made.take_event("chat", made.requester("another", None), "hello")


def test_keys_reveal_neither_authors_nor_addresses() -> None:
    known = Limits(Config(), SECRET).requester("ada", "192.0.2.1")
    other = Limits(Config(), "another secret").requester("ada", "192.0.2.1")

    assert known == Limits(Config(), SECRET).requester("ada", "192.0.2.1")
    assert {known.person, known.address}.isdisjoint({other.person, other.address})


# The settings


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5, 1/s", Rate(5, 1)),
        ("5,1/s", Rate(5, 1)),
        ("600/min", Rate(600, 10)),
        ("60, 30/min", Rate(60, 0.5)),
        ("120/h", Rate(120, 1 / 30)),
        ("1000000, 1000000/s", Rate(1e6, 1e6)),
    ],
)
def test_a_rate_is_written_as_a_burst_and_a_rate(text: str, rate: Rate) -> None:
    assert Config.from_environment({"LIMIT_PERSON_MESSAGES": text}).limit_person_messages == rate


@pytest.mark.parametrize(
    "text", ["5", "1/day", "0/s", "0, 1/s", "5, 0/s", "5; 1/s", "-1/s", "1e3/s"]
)
def test_a_rate_that_is_none_is_refused_with_its_remedy(text: str) -> None:
    with pytest.raises(StartupError) as error:
        Config.from_environment({"LIMIT_PERSON_MESSAGES": text})

    assert "LIMIT_PERSON_MESSAGES" in error.value.sentence
    assert "5, 1/s" in error.value.sentence


def test_every_event_has_limits() -> None:
    handlers = events.EVENTS | message_events.EVENTS | moderation_handlers.EVENTS
    assert set(LIMITS_BY_EVENT) == set(handlers)


# Events


@pytest.fixture
def app_with_limits(limited_app: Callable[..., Flask]) -> Flask:
    """An app with the default limits, whose clock stands still."""
    return limited_app()


def clock_of(app: Flask) -> StoppedClock:
    """Return the clock of an app's limits."""
    clock = services_of(app).limits.clock
    assert isinstance(clock, StoppedClock)
    return clock


def connect(app: Flask, token: str | None = None) -> Client:
    """Connect a client, which has a new identity without a token."""
    return Client(app, None, token)


def client_in_room(app: Flask, label: str) -> Client:
    """Connect a client and let it join a room, which is created first."""
    return in_room(connect(app), create_room(app, label))


def outcomes(answers: list[dict[str, Any]]) -> list[str]:
    """Return "ok" or the code of each answer."""
    return ["ok" if answer["ok"] else answer["code"] for answer in answers]


def test_messages_above_the_limit_are_refused_and_neither_stored_nor_sent(
    app_with_limits: Flask,
) -> None:
    ada = client_in_room(app_with_limits, "kitchen")
    ben = client_in_room(app_with_limits, "kitchen")

    answers = [ada.post(f"message {number}") for number in range(7)]

    assert outcomes(answers) == ["ok"] * 5 + ["rate_limited"] * 2
    refused = answers[-1]
    assert refused == {
        "ok": False,
        "code": "rate_limited",
        "message": refused["message"],
        "retry": True,
        "retry_after_ms": 1000,
    }
    assert [each["message"] for each in ben.received("chat")] == [f"message {n}" for n in range(5)]
    assert len(ben.ask("history", {})["messages"]) == 5


def test_a_refused_message_is_accepted_after_the_wait_with_the_same_id(
    app_with_limits: Flask,
) -> None:
    ada = client_in_room(app_with_limits, "kitchen")
    for number in range(5):
        ada.post(f"message {number}")
    refused = ada.post("the sixth", id="the-id-of-the-sixth")

    clock_of(app_with_limits).now += refused["retry_after_ms"] / 1000
    answer = ada.post("the sixth", id="the-id-of-the-sixth")

    assert answer["ok"]
    assert answer["seq"] == 6


def test_the_limit_of_a_person_does_not_affect_others(app_with_limits: Flask) -> None:
    ada = client_in_room(app_with_limits, "kitchen")
    ben = client_in_room(app_with_limits, "kitchen")
    for number in range(10):
        ada.post(f"message {number}")

    assert ben.post("hello", handle="Ben")["ok"]


def test_two_connections_of_a_person_share_the_limits(app_with_limits: Flask) -> None:
    label = create_room(app_with_limits, "kitchen")
    first = connect(app_with_limits)
    token = first.join(label)["you"]["token"]
    second = in_room(connect(app_with_limits, token), label)

    answers = [client.post("hello") for client in (first, second) for _ in range(5)]

    assert outcomes(answers) == ["ok"] * 5 + ["rate_limited"] * 5


def test_long_messages_are_limited_by_their_bytes(limited_app: Callable[..., Flask]) -> None:
    app = limited_app(limit_person_messages=Rate(1_000, 1_000))
    ada = client_in_room(app, "kitchen")

    answers = [ada.post("ü" * 4_000) for _ in range(10)]

    assert outcomes(answers) == ["ok"] * 8 + ["rate_limited"] * 2


@pytest.mark.parametrize(
    ("event", "payload", "burst"),
    [
        ("edit", {"seq": 1, "message": "text"}, 20),
        ("delete", {"seq": 1}, 20),
        ("react", {"seq": 1, "emoji": "👍", "on": True}, 20),
        ("rename", {"handle": "Ada L."}, 5),
        ("title", {"name": "Tea"}, 5),
        ("since", {"after": 0}, 40),
        ("history", {}, 40),
        ("typing", {"handle": "Ada"}, 40),
    ],
)
def test_every_event_is_limited(
    app_with_limits: Flask, event: str, payload: dict[str, Any], burst: int
) -> None:
    ada = client_in_room(app_with_limits, "kitchen")
    ada.post("hello")

    answers = [ada.ask(event, payload) for _ in range(burst + 2)]

    assert outcomes(answers) == ["ok"] * burst + ["rate_limited"] * 2


def test_malformed_events_are_limited_too(app_with_limits: Flask) -> None:
    ada = client_in_room(app_with_limits, "kitchen")

    malformed: list[Any] = [[], 1, "x", {}, {"message": 1}, {}]

    answers = [ada.ask("chat", payload) for payload in malformed]

    assert outcomes(answers) == ["bad_request"] * 5 + ["rate_limited"]


def test_events_with_several_arguments_are_limited_too(app_with_limits: Flask) -> None:
    ada = client_in_room(app_with_limits, "kitchen")

    answers = [ada.ask("chat", {}, {}) for _ in range(6)]

    assert outcomes(answers) == ["bad_request"] * 5 + ["rate_limited"]


def test_events_before_joining_take_no_tokens_of_messages(app_with_limits: Flask) -> None:
    create_room(app_with_limits, "kitchen")
    ada = connect(app_with_limits)

    early = [ada.post("too early") for _ in range(10)]
    ada.join("kitchen")

    assert outcomes(early) == ["not_joined"] * 10
    assert outcomes([ada.post("hello") for _ in range(6)]) == ["ok"] * 5 + ["rate_limited"]


def test_events_outside_of_a_room_are_limited(app_with_limits: Flask) -> None:
    ada = client_in_room(app_with_limits, "kitchen")
    ada.ask("leave", {})

    answers = [ada.ask("edit", {"seq": 1, "message": "x"}) for _ in range(40)]

    assert outcomes(answers) == ["not_joined"] * 39 + ["rate_limited"]


def test_events_before_joining_are_limited_too(app_with_limits: Flask) -> None:
    ada = connect(app_with_limits)

    answers = [ada.post("too early") for _ in range(42)]

    assert outcomes(answers) == ["not_joined"] * 40 + ["rate_limited"] * 2


def test_an_event_above_a_limit_is_answered_later_than_others(app_with_limits: Flask) -> None:
    ada = client_in_room(app_with_limits, "kitchen")
    for number in range(5):
        ada.post(f"message {number}")

    began = time.monotonic()
    answers = [ada.post("one more") for _ in range(4)]

    assert outcomes(answers) == ["rate_limited"] * 4
    assert time.monotonic() - began >= 4 * RATE_LIMITED_DELAY_SECONDS


# Joining


def test_joins_are_limited(app_with_limits: Flask) -> None:
    create_room(app_with_limits, "kitchen")
    ada = connect(app_with_limits)

    answers = [ada.join("kitchen") for _ in range(21)]

    assert outcomes(answers) == ["ok"] * 20 + ["rate_limited"]


def test_joining_again_after_a_reconnect_costs_nothing(app_with_limits: Flask) -> None:
    create_room(app_with_limits, "kitchen")
    ada = connect(app_with_limits)
    token = ada.join("kitchen")["you"]["token"]
    assert "rate_limited" in outcomes([ada.join("kitchen") for _ in range(20)])

    reconnected = [connect(app_with_limits, token).join("kitchen", after=0) for _ in range(5)]

    assert outcomes(reconnected) == ["ok"] * 5


def test_only_the_first_join_of_a_connection_is_a_reconnect(app_with_limits: Flask) -> None:
    create_room(app_with_limits, "kitchen")
    token = connect(app_with_limits).join("kitchen")["you"]["token"]
    ada = connect(app_with_limits, token)

    answers = [ada.join("kitchen", after=0) for _ in range(22)]

    assert outcomes(answers) == ["ok"] * 20 + ["rate_limited"] * 2


def test_a_new_identity_cannot_claim_to_reconnect(app_with_limits: Flask) -> None:
    create_room(app_with_limits, "kitchen")
    stranger = connect(app_with_limits)

    answers = [stranger.join("kitchen", after=0) for _ in range(21)]

    assert outcomes(answers) == ["ok"] * 20 + ["rate_limited"]


def test_without_limits_nothing_is_refused(app: Flask) -> None:
    ada = client_in_room(app, "kitchen")

    answers = [ada.post(f"message {number}") for number in range(50)]

    assert outcomes(answers) == ["ok"] * 50
