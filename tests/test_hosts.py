"""Several hosts with one PostgreSQL and one Redis: cut off, with wrong clocks, on two proxies.

Each host is a gunicorn of its own, which reaches Redis and PostgreSQL through proxies of its own.
CUT_SECONDS=20 before pytest chooses how long a host is cut off.
"""

import os
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.clients import Node, Stranger
from tests.servers import ConfabServer, gunicorn, wait_until
from tests.services import Postgres, Redis
from tests.stock_clients import StockClients
from tests.torture.environment import shifted_clock
from tests.torture.proxy import Proxy

pytestmark = pytest.mark.servers

CUT_SECONDS = float(os.environ.get("CUT_SECONDS") or 4)
RETURN_SECONDS = 4.0  # within which every client is complete
POST_PAUSE_SECONDS = 0.25
SECRET_KEY = "the secret key of all hosts"  # of this test


@dataclass
class Host:
    """A host, and its connections to the services."""

    server: ConfabServer
    postgres: Proxy
    redis: Proxy


@contextmanager
def hosts(
    folder: Path, postgres: Postgres, redis: Redis, *names: str, **settings: Any
) -> Iterator[list[Host]]:
    """Run a host of each name, with one worker."""
    database = urlsplit(postgres.database())
    with ExitStack() as stack:
        started = []
        for name in names:
            to_postgres = stack.enter_context(Proxy(postgres.port))
            to_redis = stack.enter_context(Proxy(redis.port))
            server = gunicorn(
                folder / name,
                NODE_NAME=name,
                SECRET_KEY=SECRET_KEY,
                DATABASE_URL=f"postgresql://confab@127.0.0.1:{to_postgres.port}{database.path}",
                REDIS_URL=f"redis://127.0.0.1:{to_redis.port}/0",
                **settings,
            )
            started.append(Host(stack.enter_context(server), to_postgres, to_redis))
        yield started


class Writer:
    """Posts numbered messages from one host, and keeps the texts of those that were stored."""

    def __init__(self, server: ConfabServer, name: str) -> None:
        self._client = Stranger(server.url)
        self._name = name
        self._count = 0
        self.stored: list[str] = []
        assert self._client.ask("join", {"label": "kitchen"})["ok"]

    def post(self) -> None:
        """Post the next message, and wait for its answer."""
        self._count += 1
        message = f"{self._name} {self._count}"
        answer = self._client.ask("chat", {"handle": self._name, "message": message})
        assert answer["ok"], answer
        self.stored.append(message)

    def close(self) -> None:
        """Disconnect."""
        self._client.close()


@pytest.mark.timeout(180)
def test_a_host_that_was_cut_off_from_the_services_is_complete_soon_after_its_return(
    tmp_path: Path, postgres_server: Postgres, redis_server: Redis
) -> None:
    with (
        hosts(tmp_path, postgres_server, redis_server, "alpha", "beta", "gamma") as all_hosts,
        ExitStack() as stack,
    ):
        alpha, beta, gamma = all_hosts
        alpha.server.room("kitchen")
        clients = stack.enter_context(StockClients())
        for host in all_hosts:
            clients.connect(host.server.url, "kitchen", 3)
        wait_until(lambda: clients.have_joined("websocket"), 30)
        writers = [Writer(alpha.server, "Ada"), Writer(beta.server, "Ben")]
        for writer in writers:
            stack.callback(writer.close)

        for services in ([gamma.redis], [gamma.postgres], [gamma.redis, gamma.postgres]):
            for service in services:
                service.silence(new_too=True)
            end = time.monotonic() + CUT_SECONDS
            while time.monotonic() < end:
                for writer in writers:
                    writer.post()
                time.sleep(POST_PAUSE_SECONDS)
            for service in services:
                service.recover()

            wait_until(lambda: are_complete(clients, writers), RETURN_SECONDS, "all are complete")

        writers.append(Writer(gamma.server, "Cy"))
        stack.callback(writers[-1].close)
        writers[-1].post()
        wait_until(lambda: are_complete(clients, writers), RETURN_SECONDS, "all hear gamma")
        for client in clients.report():
            assert [times for _, times in client.broadcasts if times > 1] == []


def are_complete(clients: StockClients, writers: list[Writer]) -> bool:
    """Return whether every client has each message once, and those of a writer in their order."""
    for client in clients.report():
        for writer in writers:
            first_word = writer.stored[0].split()[0]
            received = [text for text in client.messages if text.split()[0] == first_word]
            if received != writer.stored:
                return False
    return True


@pytest.mark.timeout(120)
def test_hosts_with_clocks_an_hour_apart_agree_on_who_is_muted_and_known(
    tmp_path: Path, postgres_server: Postgres, redis_server: Redis
) -> None:
    clock: dict[str, Any] = shifted_clock(tmp_path / "clock")
    (tmp_path / "clock").write_text("3600")
    with (
        hosts(tmp_path / "right", postgres_server, redis_server, "alpha") as [alpha],
        Node() as node,
    ):
        database = alpha.server.environment["DATABASE_URL"]
        with gunicorn(
            tmp_path / "fast",
            NODE_NAME="beta",
            SECRET_KEY=SECRET_KEY,
            DATABASE_URL=database,
            REDIS_URL=alpha.server.environment["REDIS_URL"],
            **clock,
        ) as fast:
            ahead = "clock of this host is 3600 s ahead of that of the database"
            wait_until(lambda: ahead in fast.log(), 30, "the clocks were compared")
            alpha.server.room("kitchen")
            ada = node.person(alpha.server.url)
            ada.join("kitchen")
            assert ada.ask("moderate", {"action": "become_host"})["ok"]
            ben = node.person(fast.url)
            you = ben.join("kitchen")["you"]
            ben.post("I am here", handle="Ben")

            # A mute of ten minutes, which is not over on a host that is an hour ahead.
            mute = {"action": "mute", "target": you["mark"], "seconds": 600}
            assert ada.ask("moderate", mute)["ok"]
            refused = ben.ask("chat", {"handle": "Ben", "message": "Can you read this?"})
            assert refused["code"] == "muted"

            # An identity that was signed there is not one from the future here.
            same = node.person(alpha.server.url, token=you["token"])
            assert same.join("kitchen")["you"]["mark"] == you["mark"]


@pytest.mark.timeout(120)
def test_a_cookie_of_a_host_whose_clock_is_ahead_is_accepted(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    shared: dict[str, Any] = {"SECRET_KEY": SECRET_KEY, "DATABASE_URL": postgres_server.database()}
    clock: dict[str, Any] = shifted_clock(tmp_path / "clock")
    (tmp_path / "clock").write_text("60")
    with (
        gunicorn(tmp_path / "fast", **shared, **clock) as fast,
        gunicorn(tmp_path / "right", **shared) as right,
    ):
        with urllib.request.urlopen(f"{fast.url}/kitchen/", timeout=30) as response:
            cookie = response.headers["Set-Cookie"].partition(";")[0]
        request = urllib.request.Request(f"{right.url}/kitchen/", headers={"Cookie": cookie})
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.headers["Set-Cookie"] is None  # no new identity
