"""The rate limits of real servers: what a class may do, and what one person and one address may.

FORWARDED_ALLOW_IPS is empty: this machine is no proxy but a client address like any other.
"""

import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.clients import JSON, Node, Stranger, WebSocket
from tests.raw_http import Connection
from tests.raw_http import request as raw_request
from tests.servers import SERVERS, ConfabServer, _serving, gunicorn, wait_until
from tests.services import Redis, nginx
from tests.stock_clients import CLIENTS, StockClients

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

CLASS_SIZE = 60
POSTING = 20
JOIN_SECONDS = 10.0
FLOOD_SECONDS = 30.0
FLOOD_PAUSE_SECONDS = 0.05

LIMITED = {"LIMITS": "on", "FORWARDED_ALLOW_IPS": ""}


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ConfabServer]:
    """Each server with the default limits."""
    start: Callable[..., AbstractContextManager[ConfabServer]] = SERVERS[request.param]
    with start(tmp_path, **LIMITED) as started:
        yield started


class Pupil:
    """A browser of the class: it loads the page, and repeats what was not acknowledged."""

    def __init__(self, server: ConfabServer, number: int) -> None:
        self.name = f"Pupil {number}"
        self._server = server

    def load_page(self) -> None:
        """Load the page of the room; keep its cookie."""
        address = urlsplit(self._server.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        connection.request("GET", "/kitchen/")
        with connection.getresponse() as response:
            assert response.status == 200, response.status
            self._cookie = (response.headers["Set-Cookie"] or "").partition(";")[0]
            response.read()
        connection.close()

    def connect(self, node: Node) -> None:
        """Open the connection."""
        self.client = node.person(self._server.url, cookie=self._cookie)

    def join(self, after: int) -> JSON:
        """Join the room after the change `after`; return the answer."""
        return self.client.join("kitchen", after=after)

    def send(self, message: str) -> None:
        """Post a message, without waiting for the answer."""
        self._payload = {"handle": self.name, "message": message, "id": os.urandom(16).hex()}
        self._call = self.client.send("chat", self._payload)

    def confirm(self) -> JSON:
        """Return the answer to the message; without one, post it again with the same id."""
        answer = self.client.answers.get(self._call)
        if answer is None:
            answer = self.client.ask("chat", self._payload)
        assert answer["ok"], answer
        return answer


def kill_workers(server: ConfabServer) -> None:
    """Kill the only worker, which gunicorn replaces; or `flask run`, which is started again."""
    workers = server.processes()[1:]
    if not workers or "flask" in server.words:
        server.kill()
        server.start()
        return
    for pid in workers:
        os.kill(pid, signal.SIGKILL)


def test_a_class_behind_one_address_joins_posts_and_reconnects_without_a_refusal(
    server: ConfabServer,
) -> None:
    server.room("kitchen")
    pupils = [Pupil(server, number) for number in range(CLASS_SIZE)]
    with Node() as node:
        began = time.monotonic()
        with ThreadPoolExecutor(CLASS_SIZE) as threads:
            list(threads.map(Pupil.load_page, pupils))
        for pupil in pupils:
            pupil.connect(node)
        for pupil in pupils:
            pupil.join(after=0)
        assert time.monotonic() - began < JOIN_SECONDS

        posting = pupils[:POSTING]
        for pupil in posting:
            pupil.send(f"from {pupil.name}")
        pupils[-1].client.hear(1)  # the server is handling them
        kill_workers(server)
        for pupil in pupils:
            pupil.client.wait_until("connect", times=2)
            pupil.join(after=0)

        seqs = [pupil.confirm()["seq"] for pupil in posting]
        assert sorted(seqs) == list(range(1, POSTING + 1))
        expected = {f"from {pupil.name}" for pupil in posting}
        for pupil in pupils:
            answer = pupil.client.ask("since", {"after": 0})
            assert answer["ok"], answer
            assert {message["message"] for message in answer["messages"]} == expected
            refusals = [a for a in pupil.client.answers.values() if not a["ok"]]
            assert refusals == []


@pytest.mark.parametrize("library", CLIENTS)
def test_stock_clients_behind_one_address_reconnect_without_a_refusal(
    tmp_path: Path, library: str
) -> None:
    with gunicorn(tmp_path, 1, **LIMITED) as server, StockClients(library) as clients:
        server.room("kitchen")
        clients.connect(server.url, "kitchen", CLASS_SIZE)
        wait_until(lambda: clients.have_joined("websocket"), 30, "all have joined")

        kill_workers(server)

        wait_until(lambda: clients.have_joined("websocket", connects=2), 30, "all are back")


def test_one_person_on_four_workers_gets_at_most_one_and_a_half_times_the_limit(
    tmp_path: Path, redis_server: Redis
) -> None:
    settings = LIMITED | {
        "REDIS_URL": redis_server.url,
        "SECRET_KEY": "the same for all of them",
        "INSTANCE": str(tmp_path / "instance"),
    }
    with ExitStack() as stack:
        workers = [
            stack.enter_context(gunicorn(tmp_path / f"worker-{number}", 1, **settings))
            for number in range(4)
        ]
        workers[0].room("kitchen")
        with Stranger(workers[0].url) as ada:
            token = ada.ask("join", {"label": "kitchen"})["you"]["token"]
        urls = [worker.url for worker in [*workers, workers[0]]]
        with ThreadPoolExecutor(len(urls)) as threads:
            accepted = sum(threads.map(lambda url: flood(url, token), urls))

    limit = 5 + FLOOD_SECONDS * 1
    assert 0.9 * limit <= accepted <= 1.5 * FLOOD_SECONDS


def flood(url: str, token: str) -> int:
    """Post as often as possible, as the person of a token; return how often it was accepted."""
    accepted = 0
    with Stranger(url, token) as ada:
        assert ada.ask("join", {"label": "kitchen", "after": 0})["ok"]
        end = time.monotonic() + FLOOD_SECONDS
        while time.monotonic() < end:
            answer = ada.ask("chat", {"handle": "Ada", "message": "hello"})
            accepted += answer["ok"]
            assert answer["ok"] or answer["code"] == "rate_limited", answer
            time.sleep(FLOOD_PAUSE_SECONDS)
    return accepted


# One address


def test_handshakes_of_an_address_are_limited(tmp_path: Path, server_kind: str) -> None:
    settings = LIMITED | {"LIMIT_ADDRESS_HANDSHAKES": "20, 1/min"}
    with SERVERS[server_kind](tmp_path, **settings) as server:
        answers = [request(server, "/socket.io/?EIO=4&transport=polling") for _ in range(50)]

        assert answers[:20] == [(200, None)] * 20
        assert {status for status, _ in answers[20:]} == {429}
        assert all(0 < int(seconds or 0) <= 60 for _, seconds in answers[20:])
        assert request(server, "/healthz") == (200, None)


def test_open_connections_of_an_address_are_limited(tmp_path: Path, server_kind: str) -> None:
    settings = LIMITED | {"LIMIT_ADDRESS_CONNECTIONS": "5"}
    with SERVERS[server_kind](tmp_path, **settings) as server:
        idle = [WebSocket(server.url) for _ in range(8)]

        assert [each.status for each in idle] == ["101"] * 5 + ["503"] * 3
        assert idle[-1].headers["Retry-After"] == "10"
        for each in idle:
            each.close()
        wait_until(lambda: is_accepted(server), what="the ended connections do not count")


def test_pages_that_are_not_read_count_until_their_connection_is_closed(
    tmp_path: Path, server_kind: str
) -> None:
    fast = {"LIMIT_PERSON_MESSAGES": "1000/s", "LIMIT_PERSON_BYTES": "1000000, 1000000/s"}
    settings = LIMITED | fast | {"LIMIT_ADDRESS_CONNECTIONS": "2"}
    with SERVERS[server_kind](tmp_path, **settings) as server, ExitStack() as stack:
        server.room("kitchen")
        with Stranger(server.url) as ada:
            ada.ask("join", {"label": "kitchen"})
            for number in range(50):
                message = f"{number} ".ljust(4_000, "b")
                assert ada.ask("chat", {"handle": "Ada", "message": message})["ok"]

        def is_refused_after_another_page() -> bool:
            page = stack.enter_context(Connection(server, 16 * 1024))
            page.send(raw_request("GET", "/kitchen/", Accept_Encoding="identity"))
            unread.append(page)
            return request(server, "/healthz") == (503, "10")

        # A page may be refused itself while the connection of Ada or a probe still counts.
        unread: list[Connection] = []
        wait_until(is_refused_after_another_page, what="pages that are not read have every place")
        assert request(server, "/healthz") == (503, "10")
        for page in unread:
            page.close()
        wait_until(lambda: is_accepted(server), what="the places are free again")


def test_websockets_that_have_ended_are_no_requests_in_progress(
    tmp_path: Path, server_kind: str
) -> None:
    settings = LIMITED | {"LIMIT_ADDRESS_CONNECTIONS": "1"}
    with SERVERS[server_kind](tmp_path, **settings) as server:
        for _ in range(10):
            wait_until(lambda: is_accepted(server), what="the one before has ended")

        with WebSocket(server.url):
            assert request(server, "/healthz")[0] == 200


def test_open_connections_of_a_person_are_limited(tmp_path: Path, server_kind: str) -> None:
    with SERVERS[server_kind](tmp_path, **LIMITED) as server, ExitStack() as stack:
        server.room("kitchen")
        ada = stack.enter_context(Stranger(server.url))
        token = ada.ask("join", {"label": "kitchen"})["you"]["token"]
        for _ in range(9):
            stack.enter_context(Stranger(server.url, token))
        refused = stack.enter_context(WebSocket(server.url))
        assert refused.receive().startswith("0")
        refused.send(f"40{json.dumps({'token': token})}")

        kind, data = refused.receive().split("{", 1)

        assert kind == "44"
        assert json.loads("{" + data)["data"]["code"] == "too_many_connections"


def test_pages_and_new_rooms_of_an_address_are_limited(tmp_path: Path, server_kind: str) -> None:
    settings = LIMITED | {"LIMIT_ADDRESS_PAGES": "20, 1/min", "LIMIT_ADDRESS_ROOMS": "5, 1/h"}
    with SERVERS[server_kind](tmp_path, **settings) as server:
        rooms = [request(server, f"/room-{number}/")[0] for number in range(8)]
        pages = [request(server, "/")[0] for _ in range(20)]

        assert rooms == [200] * 5 + [429] * 3
        assert pages == [200] * 12 + [429] * 8


def test_clients_behind_the_documented_nginx_have_the_limits_of_their_own_address(
    tmp_path: Path,
) -> None:
    path = tmp_path / "confab.sock"
    words = [sys.executable, "-m", "gunicorn", "-k", "eventlet", "-b", f"unix:{path}", "app:app"]
    settings = LIMITED | {"LIMIT_ADDRESS_HANDSHAKES": "5, 1/min"}
    confab = ConfabServer(tmp_path, lambda _port: words, **settings)
    handshake = "/socket.io/?EIO=4&transport=polling"
    with nginx(tmp_path / "nginx", confab.port, path), _serving(confab) as server:
        invented = [f"203.0.113.{number}" for number in range(8)]
        answers = [request(server, handshake, {"X-Forwarded-For": each})[0] for each in invented]

        assert answers == [200] * 5 + [429] * 3
        assert "X-Forwarded-For" not in server.log()


@pytest.fixture(params=SERVERS)
def server_kind(request: pytest.FixtureRequest) -> str:
    """The name of a kind of server."""
    return str(request.param)


def request(
    server: ConfabServer, path: str, headers: dict[str, str] | None = None
) -> tuple[int, str | None]:
    """Request a path; return the status and the header Retry-After."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    try:
        connection.request("GET", path, headers=headers or {})
        with connection.getresponse() as response:
            response.read()
            return response.status, response.headers["Retry-After"]
    finally:
        connection.close()


def is_accepted(server: ConfabServer) -> bool:
    """Return whether a new WebSocket is accepted."""
    with WebSocket(server.url) as socket:
        return socket.status == "101"
