"""What a host imposes holds on every worker, whatever happens to Redis."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.clients import JSON, POLLING, UPGRADE, WEBSOCKET, Node, Person
from tests.servers import SERVERS, ConfabServer, CpuWaits, gunicorn, wait_until
from tests.services import Postgres, redis

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

ENFORCEMENT_SECONDS = 4.0
IMMEDIATELY_SECONDS = 1.5
"""Less than the reconciler's shortest pause: nobody waits for it."""

HOME = "203.0.113.7"
SCHOOL = "198.51.100.4"
LIBRARY = "192.0.2.9"


@dataclass
class Salon:
    """A new room whose host is Hana. She is on the first server; others may be on the second."""

    node: Node
    one: ConfabServer
    two: ConfabServer
    cpu_waits: CpuWaits

    def __post_init__(self) -> None:
        # Not with "become_host": that is refused while Redis is stopped.
        cookies = CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
        with browser.open(f"{self.one.url}/new/", timeout=30) as response:
            self.label = urlsplit(response.url).path.strip("/")
        [cookie] = cookies
        self.hana = self.connect(self.one, cookie=f"{cookie.name}={cookie.value}")
        self.hana.join(self.label)

    def connect(
        self, server: ConfabServer, address: str = HOME, cookie: str = "", **options: Any
    ) -> Person:
        """Connect somebody from an address."""
        headers = {"X-Forwarded-For": address, "cookie": cookie}
        return self.node.person(server.url, extraHeaders=headers, **options)

    def enter(self, server: ConfabServer, address: str = HOME, **options: Any) -> "Guest":
        """Connect and join; return the guest."""
        person = self.connect(server, address, **options)
        you = person.join(self.label)["you"]
        return Guest(person, you["mark"], you["token"])

    def moderate(self, action: str, **arguments: object) -> JSON:
        """Perform an action as Hana; return the answer."""
        return self.hana.ask("moderate", {"action": action, **arguments})

    def status(self, server: ConfabServer, address: str) -> int:
        """Return the status of the page of the room for somebody new at an address."""
        headers = {"X-Forwarded-For": address}
        request = urllib.request.Request(f"{server.url}/{self.label}/", headers=headers)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        try:
            with opener.open(request, timeout=15) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def wait_until_disconnected(self, guests: list["Guest"], since: float) -> None:
        """Wait until the server has disconnected everybody, in time.

        What the machine makes the processes wait for a CPU does not count.
        """
        wait_until(lambda: all(guest.is_disconnected for guest in guests), 15)
        now = time.time()
        wait_until(lambda: self.cpu_waits.last_at > now, what="a sample")
        assert now - since - self.cpu_waits.between(since, now) <= ENFORCEMENT_SECONDS

    def code(self, server: ConfabServer, address: str, token: str | None = None) -> str:
        """Return the code with which `join` is refused, or "" when it is not."""
        person = self.connect(server, address, token=token)
        answer = person.ask("join", {"label": self.label})
        person.close()
        return str(answer.get("code", ""))


@dataclass
class Guest:
    """Somebody in the room: the connection, the mark, and the token of the identity."""

    person: Person
    mark: str
    token: str

    def post(self, text: str) -> JSON:
        """Post a message; return the answer."""
        return self.person.answer(self._send(text))

    def stores_nothing(self, text: str) -> bool:
        """Post a message; return whether it is refused, or the connection is closed before."""
        call = self._send(text)
        wait_until(lambda: call in self.person.answers or self.is_disconnected)
        return not self.person.answers.get(call, {}).get("ok", False)

    @property
    def is_disconnected(self) -> bool:
        """Whether the server has closed the connection."""
        return ("disconnect", "io server disconnect") in self.person.states

    def _send(self, text: str) -> int:
        return self.person.send("chat", {"handle": f"Guest {self.mark}", "message": text})


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A process with any number of clients."""
    with Node() as process:
        yield process


@pytest.fixture(
    scope="module",
    params=[
        (database, bus)
        for database in ("SQLite", "PostgreSQL")
        for bus in ("with Redis", "without Redis", "Redis stopped")
    ],
    ids=" ".join,
)
def workers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ConfabServer, ConfabServer]]:
    """Two workers of one installation, each with a port of its own."""
    database, bus = request.param
    folder = tmp_path_factory.mktemp("workers")
    settings: dict[str, Any] = {"INSTANCE": str(folder / "instance")}
    if database == "PostgreSQL":
        postgres_server: Postgres = request.getfixturevalue("postgres_server")
        settings["DATABASE_URL"] = postgres_server.database()
    with ExitStack() as stack:
        redis_server = stack.enter_context(redis(folder / "redis"))
        if bus != "without Redis":
            settings["REDIS_URL"] = redis_server.url
        one = stack.enter_context(gunicorn(folder / "one", **settings))
        two = stack.enter_context(gunicorn(folder / "two", **settings))
        if bus == "Redis stopped":
            redis_server.kill()
        yield one, two


@pytest.fixture
def salon(workers: tuple[ConfabServer, ConfabServer], node: Node) -> Iterator[Salon]:
    """A new room on the two workers."""
    one, two = workers
    with CpuWaits(lambda: [node.pid, *one.processes(), *two.processes()]) as cpu_waits:
        yield Salon(node, one, two, cpu_waits)


def test_the_next_write_on_another_worker_is_refused_at_once(salon: Salon) -> None:
    ada = salon.enter(salon.two)
    seq = ada.post("hello")["seq"]
    assert salon.moderate("mute", target=ada.mark)["ok"]
    muted_at = time.monotonic()

    assert ada.post("hello again")["code"] == "muted"
    assert ada.person.ask("edit", {"seq": seq, "message": "bye"})["code"] == "muted"
    assert time.monotonic() - muted_at < IMMEDIATELY_SECONDS

    assert salon.moderate("unmute", target=ada.mark)["ok"]
    assert ada.post("thanks")["ok"]


def test_a_locked_room_is_locked_on_another_worker_at_once(salon: Salon) -> None:
    ada = salon.enter(salon.two)
    assert salon.moderate("lock")["ok"]

    assert ada.post("hello")["code"] == "locked"

    assert salon.moderate("unlock")["ok"]
    assert ada.post("hello")["ok"]


@pytest.mark.parametrize("action", ["ban", "remove"])
def test_connections_of_a_person_are_closed_on_all_workers(salon: Salon, action: str) -> None:
    first = salon.enter(salon.two)
    others = [
        salon.enter(server, token=first.token, transports=transports)
        for server in (salon.one, salon.two)
        for transports in (POLLING, UPGRADE, WEBSOCKET)
    ]
    cy = salon.enter(salon.two)
    assert {guest.mark for guest in others} == {first.mark}

    assert salon.moderate(action, target=first.mark)["ok"]
    acted_at = time.time()
    assert first.stores_nothing("hello")

    salon.wait_until_disconnected([first, *others], acted_at)
    code = {"ban": "banned", "remove": "removed"}[action]
    assert salon.code(salon.two, HOME, first.token) == code
    assert salon.code(salon.one, HOME, first.token) == code
    assert cy.post("I am still here")["ok"]


def test_an_address_ban_refuses_new_people_from_that_address(salon: Salon) -> None:
    ada = salon.enter(salon.two, SCHOOL)
    assert ada.post("hello")["ok"]
    assert salon.status(salon.two, SCHOOL) == 200

    assert salon.moderate("ban", target=ada.mark, address=True)["ok"]
    banned_at = time.time()

    salon.wait_until_disconnected([ada], banned_at)
    for server in (salon.one, salon.two):
        assert salon.code(server, SCHOOL) == "banned"
        assert salon.status(server, SCHOOL) == 403
        assert salon.code(server, HOME) == ""
        assert salon.status(server, HOME) == 200


def test_an_address_ban_disconnects_others_there_but_no_host(salon: Salon) -> None:
    secret = salon.moderate("host_link")["secret"]
    ada = salon.enter(salon.two, SCHOOL)
    ben = salon.enter(salon.one, SCHOOL)
    teacher = salon.enter(salon.two, SCHOOL)
    link = {"action": "use_host_link", "secret": secret}
    assert teacher.person.ask("moderate", link)["ok"]

    assert salon.moderate("ban", target=ada.mark, address=True)["ok"]
    banned_at = time.time()

    salon.wait_until_disconnected([ada], banned_at)
    wait_until(lambda: ben.is_disconnected, 15)
    assert teacher.post("I am a host")["ok"]
    assert salon.code(salon.one, SCHOOL, teacher.token) == ""


def test_an_address_ban_includes_every_address_from_which_the_person_comes_back(
    salon: Salon,
) -> None:
    ada = salon.enter(salon.two, SCHOOL)
    ben = salon.enter(salon.two, HOME)
    assert salon.moderate("ban", target=ada.mark, address=True)["ok"]
    assert salon.moderate("ban", target=ben.mark)["ok"]
    assert salon.code(salon.two, LIBRARY, ben.token) == "banned"
    assert salon.code(salon.one, LIBRARY) == ""

    assert salon.code(salon.two, LIBRARY, ada.token) == "banned"

    for server in (salon.one, salon.two):
        assert salon.code(server, LIBRARY) == "banned"
        assert salon.status(server, LIBRARY) == 403
    assert salon.moderate("unban", target=ada.mark)["ok"]
    assert salon.code(salon.one, LIBRARY) == ""


def test_an_address_is_banned_when_another_action_is_announced_first(salon: Salon) -> None:
    ada = salon.enter(salon.two, SCHOOL)

    # Each announcement lets the worker check everybody: the first one may already find the ban.
    for action in ("lock", "unlock"):
        assert salon.moderate(action)["ok"]
    assert salon.moderate("ban", target=ada.mark, address=True)["ok"]
    for action in ("lock", "unlock"):
        assert salon.moderate(action)["ok"]
    acted_at = time.time()

    salon.wait_until_disconnected([ada], acted_at)
    for server in (salon.one, salon.two):
        assert salon.code(server, SCHOOL) == "banned"


def test_an_unban_lets_the_address_in_again(salon: Salon) -> None:
    ada = salon.enter(salon.two, SCHOOL)
    assert salon.moderate("ban", target=ada.mark, address=True)["ok"]
    wait_until(lambda: salon.code(salon.one, SCHOOL) == "banned", 15)

    assert salon.moderate("unban", target=ada.mark)["ok"]

    assert salon.code(salon.two, SCHOOL) == ""
    assert salon.code(salon.one, SCHOOL, ada.token) == ""


def test_a_ban_is_enforced_although_the_history_is_cleared_at_once(salon: Salon) -> None:
    ada = salon.enter(salon.two)
    salon.enter(salon.two)
    # As soon as the worker has announced the room, it knows the epoch.
    salon.enter(salon.two).person.hear(1, "head")

    assert salon.moderate("ban", target=ada.mark)["ok"]
    assert salon.moderate("clear")["ok"]
    cleared_at = time.time()

    salon.wait_until_disconnected([ada], cleared_at)


def test_a_closed_room_is_closed_on_all_workers(salon: Salon) -> None:
    ada = salon.enter(salon.two)
    ben = salon.enter(salon.one)

    assert salon.moderate("close")["ok"]
    closed_at = time.time()
    assert ada.stores_nothing("hello?")

    salon.wait_until_disconnected([ada, ben], closed_at)
    assert salon.code(salon.two, HOME) == "closed"
    assert salon.status(salon.two, HOME) == 410


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConfabServer]:
    """Each way to run the program."""
    with SERVERS[request.param](tmp_path_factory.mktemp("server")) as started:
        yield started


def test_every_server_enforces_what_a_host_imposes(server: ConfabServer, node: Node) -> None:
    with CpuWaits(lambda: [node.pid, *server.processes()]) as cpu_waits:
        check_what_a_host_imposes(Salon(node, server, server, cpu_waits), server)


def check_what_a_host_imposes(salon: Salon, server: ConfabServer) -> None:
    """Mute Ben and ban Ada, and check that both is enforced."""
    ada, ben = salon.enter(server), salon.enter(server)
    again = [
        salon.enter(server, token=ada.token, transports=transports)
        for transports in (POLLING, UPGRADE, WEBSOCKET)
    ]

    assert salon.moderate("mute", target=ben.mark)["ok"]
    assert ben.post("hello")["code"] == "muted"
    assert salon.moderate("ban", target=ada.mark)["ok"]
    banned_at = time.time()

    salon.wait_until_disconnected([ada, *again], banned_at)
    assert salon.code(server, SCHOOL, ada.token) == "banned"
    assert ben.person.ask("since", {"after": 0})["ok"]
