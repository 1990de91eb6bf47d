"""The registry of workers in Redis: what is signed and valid is read, anything else is not."""

from typing import cast

import pytest

from chat.delivery.signatures import MessageSigner
from chat.presence.registry import RedisWorkerRegistry
from tests.servers import wait_until
from tests.services import Redis

pytestmark = pytest.mark.servers

SIGNER = MessageSigner("the secret key of this installation", "people")
KEY = "confab:people"


@pytest.fixture
def registry(redis_server: Redis) -> RedisWorkerRegistry:
    """The registry as a worker of this installation reads it."""
    return RedisWorkerRegistry(redis_server.url, KEY, SIGNER)


def test_what_a_worker_registers_the_others_read_until_it_expires(
    registry: RedisWorkerRegistry,
) -> None:
    registry.save("ben", "the people of Ben's worker", 0.5)
    registry.save("ada", "the people of Ada's worker", 30)

    wait_until(lambda: [each[0] for each in registry.load_all()] == ["ada"])
    [(worker, people, seconds)] = registry.load_all()
    assert (worker, people) == ("ada", "the people of Ada's worker")
    assert 15 < seconds <= 30


def test_a_registration_that_is_stored_again_after_its_time_is_not_read(
    registry: RedisWorkerRegistry, redis_server: Redis
) -> None:
    registry.save("ada", "the people of Ada's worker", 0.2)
    recorded = cast(bytes, redis_server.ask("GET", f"{KEY}:ada"))
    wait_until(lambda: registry.load_all() == [])

    redis_server.ask("SET", f"{KEY}:ada", recorded)
    redis_server.ask("SADD", KEY, "ada")

    assert registry.load_all() == []


def test_a_registration_that_nobody_signed_is_not_read(
    registry: RedisWorkerRegistry, redis_server: Redis
) -> None:
    forged = MessageSigner("another key", "people").sign(b"9999999999.0 the people of nobody")
    redis_server.ask("SET", f"{KEY}:eve", forged)
    redis_server.ask("SADD", KEY, "eve")

    assert registry.load_all() == []
