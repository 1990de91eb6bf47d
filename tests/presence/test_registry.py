"""The registry of presence in Redis: what is signed and valid is read, anything else is not."""

from typing import cast

import pytest

from chat.delivery.redis_names import RedisNames
from chat.delivery.redis_server import RedisServer
from chat.delivery.signatures import MessageSigner
from chat.presence.registry import RedisPresenceRegistry
from tests.conftest import JSON, Log
from tests.servers import wait_until
from tests.services import Redis

pytestmark = pytest.mark.servers

SECRET_KEY = "the secret key of this installation"
SIGNER = MessageSigner(SECRET_KEY, "people")
NAMES = RedisNames(SECRET_KEY)
KITCHEN = NAMES.people_key("kitchen")
ADA: JSON = {"here": {"mark of Ada": "Ada"}}
BEN: JSON = {"here": {"mark of Ben": "Ben"}}


@pytest.fixture
def registry(redis_server: Redis) -> RedisPresenceRegistry:
    """The registry as a worker of this installation reads it."""
    return RedisPresenceRegistry(RedisServer(redis_server.url), NAMES, SIGNER)


def in_kitchen(registry: RedisPresenceRegistry) -> dict[str, JSON]:
    """Return whom each worker has registered for the kitchen."""
    found = registry.load_rooms(["kitchen"])
    assert found is not None
    return found["kitchen"]


def test_what_a_worker_registers_the_others_read_until_it_expires(
    registry: RedisPresenceRegistry, redis_server: Redis
) -> None:
    registry.save_rooms("ben's worker", {"kitchen": BEN}, 0.5)
    registry.save_rooms("ada's worker", {"kitchen": ADA, "garden": ADA}, 30)

    wait_until(lambda: in_kitchen(registry) == {"ada's worker": ADA})
    assert registry.load_rooms(["garden", "cellar"]) == {
        "garden": {"ada's worker": ADA},
        "cellar": {},
    }


def test_a_worker_whose_people_have_left_a_room_is_not_read(
    registry: RedisPresenceRegistry, redis_server: Redis
) -> None:
    registry.save_rooms("ada's worker", {"kitchen": ADA}, 30)
    registry.save_rooms("ada's worker", {"kitchen": None}, 30)

    assert in_kitchen(registry) == {}
    assert redis_server.ask("EXISTS", KITCHEN) == 0


def test_a_lease_is_read_until_it_expires(registry: RedisPresenceRegistry) -> None:
    registry.renew_lease("ben's worker", 0.5)
    registry.renew_lease("ada's worker", 30)

    wait_until(lambda: list(registry.load_leases()) == ["ada's worker"])
    assert 15 < registry.load_leases()["ada's worker"] <= 30


def test_a_registration_that_is_stored_again_after_its_time_is_not_read(
    registry: RedisPresenceRegistry, redis_server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.save_rooms("ada's worker", {"kitchen": ADA}, 30)
    recorded = cast(bytes, redis_server.ask("HGET", KITCHEN, "ada's worker"))
    later = registry._now() + 31
    monkeypatch.setattr(registry, "_now", lambda: later)

    redis_server.ask("HSET", KITCHEN, "ada's worker", recorded)

    assert in_kitchen(registry) == {}


def test_a_registration_that_is_stored_elsewhere_is_not_read(
    registry: RedisPresenceRegistry, redis_server: Redis
) -> None:
    registry.save_rooms("ada's worker", {"kitchen": ADA}, 30)
    recorded = cast(bytes, redis_server.ask("HGET", KITCHEN, "ada's worker"))

    redis_server.ask("HSET", NAMES.people_key("garden"), "ada's worker", recorded)
    redis_server.ask("HSET", KITCHEN, "another worker", recorded)

    assert registry.load_rooms(["garden"]) == {"garden": {}}
    assert in_kitchen(registry) == {"ada's worker": ADA}


def test_a_registration_that_nobody_signed_is_not_read(
    registry: RedisPresenceRegistry, redis_server: Redis
) -> None:
    signer = MessageSigner("another key", "people")
    forged = signer.sign(b"9999999999.0 {}", f"{KITCHEN} eve".encode())
    redis_server.ask("HSET", KITCHEN, "eve", forged)

    assert in_kitchen(registry) == {}


def test_a_redis_that_refuses_to_store_is_logged_once(
    registry: RedisPresenceRegistry, redis_server: Redis, caplog: Log
) -> None:
    redis_server.ask("ACL", "SETUSER", "default", "-hset")

    saved = [registry.save_rooms("ada's worker", {"kitchen": ADA}, 30) for _ in range(3)]

    assert saved == [False] * 3
    [record] = caplog.records
    assert "Redis refuses to store the list of people" in record.getMessage()
    redis_server.ask("ACL", "SETUSER", "default", "+hset")
    assert registry.save_rooms("ada's worker", {"kitchen": ADA}, 30)


def test_an_unreachable_redis_is_not_the_same_as_an_empty_room() -> None:
    nowhere = RedisPresenceRegistry(RedisServer("redis://127.0.0.1:1/0"), NAMES, SIGNER)

    assert nowhere.load_rooms(["kitchen"]) is None
    assert nowhere.load_leases() == {}
    assert not nowhere.save_rooms("ada's worker", {"kitchen": ADA}, 30)
