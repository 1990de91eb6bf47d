"""Registrations that have expired are deleted, but not those that replace them meanwhile."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, cast

import pytest

from chat.delivery.redis_names import RedisNames
from chat.delivery.redis_server import RedisServer
from chat.delivery.signatures import MessageSigner
from chat.presence.registry import EXPIRED_FIELD_KEPT_SECONDS, RedisPresenceRegistry
from tests.conftest import JSON

SECRET_KEY = "the secret key of this installation"
NAMES = RedisNames(SECRET_KEY)
BEN: JSON = {"here": {"mark of Ben": "Ben"}}


class MemoryRedis:
    """A Redis server with hashes, and its client. Its clock stands still, and no key expires.

    `after_read` is called when a hash has been read.
    """

    def __init__(self) -> None:
        self.now = 1_000.0
        self.hashes: defaultdict[str, dict[bytes, bytes]] = defaultdict(dict)
        self.after_read: Callable[[], object] = lambda: None

    def client(self) -> "MemoryRedis":
        """Return the client."""
        return self

    def time(self) -> tuple[int, int]:
        """Return the time in seconds and microseconds."""
        return int(self.now), 0

    def hset(self, key: str, field: str, value: bytes) -> None:
        """Set a field."""
        self.hashes[key][field.encode()] = value

    def hdel(self, key: str, field: str) -> None:
        """Delete a field."""
        self.hashes[key].pop(field.encode(), None)

    def hgetall(self, key: str) -> dict[bytes, bytes]:
        """Return all fields."""
        found = dict(self.hashes[key])
        self.after_read()
        return found

    def pexpire(self, key: str, milliseconds: int) -> None:
        """Do nothing."""

    def pipeline(self, *, transaction: bool) -> "MemoryPipeline":
        """Return an empty pipeline."""
        return MemoryPipeline(self)


class MemoryPipeline:
    """Commands that are executed together."""

    def __init__(self, server: MemoryRedis) -> None:
        self._server = server
        self._commands: list[Callable[[], Any]] = []

    def __getattr__(self, command: str) -> Callable[..., None]:
        """Return a method that appends a command."""

        def append(*arguments: Any) -> None:
            self._commands.append(lambda: getattr(self._server, command)(*arguments))

        return append

    def execute(self) -> list[Any]:
        """Execute the commands; return their answers."""
        return [command() for command in self._commands]


@pytest.fixture
def server() -> MemoryRedis:
    """An empty server."""
    return MemoryRedis()


@pytest.fixture
def registry(server: MemoryRedis) -> RedisPresenceRegistry:
    """The registry of an installation."""
    signer = MessageSigner(SECRET_KEY, "people")
    return RedisPresenceRegistry(cast(RedisServer, server), NAMES, signer)


def store_again_after_the_first_read(server: MemoryRedis, store: Callable[[], object]) -> None:
    """Let a worker store something just after another one has read the hash."""

    def store_once() -> None:
        server.after_read = lambda: None
        store()

    server.after_read = store_once


def test_people_who_are_registered_again_while_a_worker_reads_are_not_deleted(
    registry: RedisPresenceRegistry, server: MemoryRedis
) -> None:
    def register() -> None:
        registry.save_rooms("ben's worker", {"kitchen": BEN}, 30)

    register()
    server.now += 31
    store_again_after_the_first_read(server, register)

    assert registry.load_rooms(["kitchen"]) == {"kitchen": {}}
    assert registry.load_rooms(["kitchen"]) == {"kitchen": {"ben's worker": BEN}}


def test_a_lease_that_is_renewed_while_a_worker_reads_is_not_deleted(
    registry: RedisPresenceRegistry, server: MemoryRedis
) -> None:
    def renew() -> None:
        registry.renew_lease("ben's worker", 30)

    renew()
    server.now += 31
    store_again_after_the_first_read(server, renew)

    assert registry.load_leases() == {}
    assert registry.load_leases() == {"ben's worker": 30}


def test_what_expired_long_ago_is_deleted(
    registry: RedisPresenceRegistry, server: MemoryRedis
) -> None:
    registry.save_rooms("ben's worker", {"kitchen": BEN}, 30)
    registry.renew_lease("ben's worker", 30)
    server.now += 31 + EXPIRED_FIELD_KEPT_SECONDS

    registry.load_rooms(["kitchen"])
    registry.load_leases()

    assert not any(server.hashes.values())
