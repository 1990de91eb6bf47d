"""The bus delivers to a worker what the people on it need, and loses nothing when they enter."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.models import Room
from chat.moderation.rules import SanctionKind
from chat.storage.moderation_commands import Impose, Target
from tests.conftest import Client, Patch, post_elsewhere
from tests.servers import wait_until
from tests.services import Redis
from tests.workers import NAMES, Worker, texts, wait_for, workers

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

KITCHEN = NAMES.room_channel("kitchen")
GARDEN = NAMES.room_channel("garden")


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: Patch, redis_server: Redis) -> Iterator[list[Worker]]:
    """Two workers."""
    with workers(tmp_path, monkeypatch, redis_url=redis_server.url) as made:
        yield made


def subscribers(redis_server: Redis, channel: bytes) -> int:
    """Return how many workers receive the channel of a room."""
    answer = redis_server.ask("PUBSUB", "SHARDNUMSUB", channel)
    assert isinstance(answer, list)
    return int(answer[1])


@pytest.fixture
def members(pair: list[Worker], redis_server: Redis) -> tuple[Client, Client]:
    """Ada and Ben in the kitchen: Ada on the first worker, Ben on the second; both receive it."""
    one, two = pair
    ada = one.enter("kitchen")
    ben = two.enter("kitchen")
    wait_until(lambda: subscribers(redis_server, KITCHEN) == 2)
    return ada, ben


def post_past_the_bus(worker: Worker, text: str) -> None:
    """Store a message in the kitchen, as a worker whose messages on the bus are lost."""
    post_elsewhere(worker.app, "kitchen", text)


def test_a_worker_receives_only_the_rooms_that_its_people_are_in(
    pair: list[Worker], redis_server: Redis
) -> None:
    one, two = pair
    one.enter("kitchen")
    two.enter("garden")

    wait_until(lambda: subscribers(redis_server, KITCHEN) == subscribers(redis_server, GARDEN) == 1)
    one.enter("garden")
    wait_until(lambda: subscribers(redis_server, GARDEN) == 2)
    assert subscribers(redis_server, KITCHEN) == 1


def test_a_worker_stops_receiving_a_room_after_everybody_has_left(
    pair: list[Worker], members: tuple[Client, Client], redis_server: Redis
) -> None:
    one, _ = pair
    ada, ben = members

    ada.ask("leave", {})
    one.services.reconciler.poll()

    wait_until(lambda: subscribers(redis_server, KITCHEN) == 1)
    ada.join("kitchen")
    wait_until(lambda: subscribers(redis_server, KITCHEN) == 2)
    ben.post("welcome back")
    assert texts(ada, 1) == ["welcome back"]


def test_what_is_posted_before_the_subscription_is_confirmed_arrives_at_once(
    pair: list[Worker], redis_server: Redis
) -> None:
    one, _ = pair
    redis_server.pause()  # nothing is confirmed
    ben = one.enter("kitchen")
    assert "partial" in ben.join("kitchen")
    post_past_the_bus(one, "meanwhile")
    assert ben.received("chat") == []

    redis_server.go_on()

    # Not from the reconciler, which polls once a minute here.
    assert texts(ben, 1) == ["meanwhile"]


def test_what_is_posted_while_redis_is_away_arrives_when_all_rooms_are_received_again(
    pair: list[Worker], members: tuple[Client, Client], redis_server: Redis
) -> None:
    one, two = pair
    ada, ben = members

    redis_server.kill()
    wait_until(lambda: not (one.services.bus.is_up or two.services.bus.is_up))
    ada.post("meanwhile")
    assert ben.received("chat") == []
    redis_server.start()

    assert texts(ben, 1) == ["meanwhile"]
    ada.post("afterwards")
    assert texts(ben, 1) == ["afterwards"]


def test_labels_are_not_in_the_names_of_channels_and_keys(
    pair: list[Worker], redis_server: Redis
) -> None:
    one, _ = pair
    one.enter("a-secret-label").post("hello")
    wait_until(lambda: redis_server.ask("KEYS", "confab:*:people:*"))

    names = [redis_server.ask("PUBSUB", kind) for kind in ("CHANNELS", "SHARDCHANNELS")]
    names.append(redis_server.ask("KEYS", "*"))

    assert "a-secret-label" not in repr(names)


def test_a_message_that_is_repeated_on_the_channel_of_another_room_is_dropped(
    pair: list[Worker], members: tuple[Client, Client], redis_server: Redis
) -> None:
    _, two = pair
    ada, ben = members
    two.enter("garden")
    wait_until(lambda: subscribers(redis_server, GARDEN) == 1)
    with redis_server.recording([KITCHEN]) as recorded:
        ada.post("hello")
        texts(ben, 1)
        wait_until(lambda: any(b'"hello"' in data for _, data in recorded()))

    for channel in (GARDEN, NAMES.all_workers):
        for _, data in recorded():
            redis_server.publish(channel, data)
    bus = two.services.bus
    wait_until(lambda: bus.unsigned.total >= 2)  # type: ignore[attr-defined]  # of RedisBus
    ada.post("still here")

    assert texts(ben, 1) == ["still here"]


def test_workers_with_another_secret_key_share_nothing(
    tmp_path: Path, monkeypatch: Patch, redis_server: Redis
) -> None:
    """As those of a release that uses other channels: the database connects them."""
    with workers(tmp_path, monkeypatch, 1, redis_url=redis_server.url) as [one]:
        monkeypatch.setattr("tests.workers.SECRET_KEY", "the key of another installation")
        with Worker(tmp_path, redis_url=redis_server.url) as other:
            ada = one.enter("kitchen")
            ben = other.enter("kitchen")

            ada.post("hello")
            other.services.reconciler.poll()

            assert texts(ben, 1) == ["hello"]


# What else the bus carries


def test_typing_and_bans_reach_the_workers_that_serve_the_room(
    pair: list[Worker], members: tuple[Client, Client]
) -> None:
    one, _ = pair
    ada, ben = members
    mark = ben.join("kitchen")["you"]["mark"]

    ada.ask("typing", {"handle": "Ada"})
    [typing] = wait_for(lambda: ben.received("typing"))
    assert typing["handle"] == "Ada"
    with one.app.app_context():
        ban = Impose(Room.find("kitchen"), "", "Hana", True, Target(mark, "Ben"), SanctionKind.BAN)
        one.services.journal.submit(ban)

    wait_until(lambda: not ben.is_connected)
    assert ada.is_connected


def test_a_ban_by_a_worker_that_does_not_serve_the_room_is_enforced(
    pair: list[Worker], redis_server: Redis
) -> None:
    one, two = pair
    ben: Client = two.enter("kitchen")
    mark = ben.join("kitchen")["you"]["mark"]
    wait_until(lambda: subscribers(redis_server, KITCHEN) == 1)

    with one.app.app_context():
        ban = Impose(Room.find("kitchen"), "", "Hana", True, Target(mark, "Ben"), SanctionKind.BAN)
        one.services.journal.submit(ban)

    wait_until(lambda: not ben.is_connected)


def test_what_was_taken_from_limits_reaches_every_worker(
    pair: list[Worker], redis_server: Redis
) -> None:
    with redis_server.recording([NAMES.all_workers]) as recorded:
        pair[0].services.bus.publish("limit_usage", {})

        wait_until(lambda: any(b'"limit_usage"' in data for _, data in recorded()))
    [(channel, data)] = [each for each in recorded() if b'"limit_usage"' in each[1]]
    assert channel == NAMES.all_workers
    assert json.loads(data.partition(b" ")[2].partition(b" ")[2])["event"] == "limit_usage"
