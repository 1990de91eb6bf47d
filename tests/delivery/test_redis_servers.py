"""The Redis servers that operators have: with a password, a user, a Unix socket, TLS, Sentinel."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chat.delivery.redis_server import RedisServer
from config import StartupError
from tests.clients import Node
from tests.conftest import Log, Patch
from tests.servers import gunicorn, wait_until
from tests.services import (
    ClusterRedis,
    OldRedis,
    PasswordRedis,
    Redis,
    SentinelRedis,
    TlsRedis,
    UnixRedis,
    UserRedis,
    redis,
)
from tests.workers import NAMES, Worker, texts, workers

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


def check_exchange(one: Worker, two: Worker, label: str = "kitchen") -> None:
    """Check that people on two workers receive each other's messages and see each other."""
    ada = one.enter(label)
    wait_until(lambda: one.presence_is_known)
    ben = two.enter(label)
    wait_until(lambda: one.presence_is_known and two.presence_is_known)
    assert ada.post("hello")["ok"]
    assert texts(ben, 1) == ["hello"]
    assert ben.post("hello yourself", handle="Ben")["ok"]
    assert texts(ada, 2) == ["hello", "hello yourself"]
    wait_until(lambda: one.services.presence.roster.count(label) == 2)
    wait_until(lambda: two.services.presence.roster.count(label) == 2)


@contextmanager
def two_workers(
    folder: Path, monkeypatch: Patch, server: Redis, **settings: Any
) -> Iterator[tuple[Worker, Worker]]:
    """Run two workers that share a Redis server."""
    with workers(folder, monkeypatch, redis_url=server.url, **settings) as [one, two]:
        yield one, two


@pytest.mark.parametrize("kind", [PasswordRedis, UserRedis, UnixRedis, OldRedis])
def test_workers_exchange_messages_over_the_redis_of_an_operator(
    tmp_path: Path, monkeypatch: Patch, caplog: Log, kind: type[Redis]
) -> None:
    with (
        redis(tmp_path / "redis", kind) as server,
        two_workers(tmp_path, monkeypatch, server) as (one, two),
    ):
        check_exchange(one, two)

        if isinstance(server, UserRedis):
            assert server.refused() == []
        assert "Redis" not in caplog.text


def test_channels_of_rooms_are_sharded_where_the_server_has_such(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    channel = NAMES.room_channel("kitchen")
    for kind, command in ((Redis, "SHARDCHANNELS"), (OldRedis, "CHANNELS")):
        with (
            redis(tmp_path / command, kind) as server,
            workers(tmp_path / command, monkeypatch, 1, redis_url=server.url) as [worker],
        ):
            worker.enter("kitchen")

            wait_until(lambda: channel in _listed(server.ask("PUBSUB", command)))  # noqa: B023


def _listed(answer: object) -> list[object]:
    assert isinstance(answer, list)
    return answer


def test_a_certificate_of_redis_is_verified_with_the_authority_of_redis_ca(
    tmp_path: Path, monkeypatch: Patch, caplog: Log
) -> None:
    with redis(tmp_path / "redis", TlsRedis) as server:
        assert isinstance(server, TlsRedis)
        with two_workers(tmp_path, monkeypatch, server, redis_ca=server.authority) as (one, two):
            check_exchange(one, two)
            assert "Redis" not in caplog.text


def test_with_redis_tls_verify_off_every_certificate_is_accepted(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    with (
        redis(tmp_path / "redis", TlsRedis) as server,
        two_workers(tmp_path, monkeypatch, server, redis_tls_verify=False) as (one, two),
    ):
        check_exchange(one, two)


def test_a_certificate_that_cannot_be_verified_is_refused_and_logged(
    tmp_path: Path, monkeypatch: Patch, caplog: Log
) -> None:
    with (
        redis(tmp_path / "redis", TlsRedis) as server,
        two_workers(tmp_path, monkeypatch, server) as (one, two),
    ):
        wait_until(lambda: caplog.text.count("CERTIFICATE_VERIFY_FAILED") >= 2)
        ada = one.enter()
        ben = two.enter()
        ada.post("hello")
        two.services.reconciler.poll()

        assert not one.services.bus.is_up
        assert texts(ben, 1) == ["hello"]


def test_workers_of_gunicorn_exchange_messages_over_tls(tmp_path: Path) -> None:
    with redis(tmp_path / "redis", TlsRedis) as server:
        settings = {"REDIS_URL": server.url, "REDIS_TLS_VERIFY": "off"}
        with (
            gunicorn(tmp_path, 2, "tests.seldom_polling:app", **settings) as confab,
            Node() as node,
        ):
            confab.room("kitchen")
            people = [node.person(confab.url) for _ in range(6)]  # on both workers
            for person in people:
                person.join("kitchen")

            people[0].post("hello")

            for person in people:
                assert [message["message"] for message in person.hear(1)] == ["hello"]
            warning = "REDIS_TLS_VERIFY=off: the certificate of Redis is not checked"
            wait_until(lambda: warning in confab.log(), what="the first worker warns")


def test_workers_follow_a_failover_of_sentinel(tmp_path: Path, monkeypatch: Patch) -> None:
    with (
        SentinelRedis(tmp_path / "redis") as server,
        workers(tmp_path, monkeypatch, redis_url=server.url) as [one, two],
    ):
        check_exchange(one, two)

        server.fail_over()

        channel = NAMES.room_channel("kitchen")
        # Both workers have subscribed at the new master.
        wait_until(lambda: server.subscribers(channel) == 2, 20)
        wait_until(lambda: one.services.bus.is_up and two.services.bus.is_up)
        check_exchange(one, two, "garden")


def test_a_redis_cluster_is_refused_at_the_start(tmp_path: Path) -> None:
    with redis(tmp_path / "redis", ClusterRedis) as server:
        for url in (server.url, server.url.replace("/0", "/1")):
            with pytest.raises(StartupError) as error:
                RedisServer(url).refuse_cluster()
            assert "is a node of a Redis Cluster" in error.value.sentence

        with pytest.raises(StartupError), Worker(tmp_path, redis_url=server.url):
            pass


def test_a_redis_that_cannot_be_reached_is_not_refused_at_the_start() -> None:
    RedisServer("redis://127.0.0.1:1/0").refuse_cluster()
    RedisServer("redis+sentinel://127.0.0.1:1/0/name").refuse_cluster()
