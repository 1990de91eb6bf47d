"""The real socket.io-client on every server and over every transport."""

import http.client
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, select

from chat.models import Room, rooms
from chat.web import pages
from tests.clients import JSON, POLLING, UPGRADE, WEBSOCKET, Node, Person, Polling, Stranger
from tests.servers import ROOT, SERVERS, ConfabServer, gunicorn

pytestmark = pytest.mark.servers

EACH_TRANSPORT = pytest.mark.parametrize(
    "transports", [POLLING, WEBSOCKET, UPGRADE], ids=["polling", "websocket", "upgrade"]
)
# The smallest client. Nobody posts while it joins, so it needs not compare numbers.
MINIMAL_CLIENT = """
import { io } from "socket.io-client"
const [url, label] = process.argv.slice(1)
const socket = io(url)
const show = ({ handle, message }) => console.log(`${handle}: ${message}`)
socket.on("chat", show)
socket.on("connect", async () => {
  const { messages } = await socket.emitWithAck("join", { label })
  messages.forEach(show)
})
"""
ROOM_NUMBERS = count(1)

Connect = Callable[..., Person]


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConfabServer]:
    """A server that the tests share; each test uses a room of its own."""
    with SERVERS[request.param](tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(params=SERVERS)
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ConfabServer]:
    """A server for one test, which may kill it."""
    with SERVERS[request.param](tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """The process that runs all connections of socket.io-client."""
    with Node() as process:
        yield process


@pytest.fixture
def kitchen(server: ConfabServer) -> str:
    """The label of a room that only this test uses."""
    return server.room(f"kitchen-{next(ROOM_NUMBERS)}")


@pytest.fixture
def connect(node: Node) -> Iterator[Connect]:
    """A function that connects a client to a URL over the given transports (default: WebSocket)."""
    connected: list[Person] = []

    def open_connection(url: str, *transports: str, **more: str) -> Person:
        person = node.person(url, transports or WEBSOCKET, **more)
        connected.append(person)
        return person

    yield open_connection
    for person in connected:
        person.close()


def texts(received: list[JSON]) -> list[str]:
    return [message["message"] for message in received]


def whole_history(person: Person) -> list[JSON]:
    """Request all messages of the room, page by page."""
    found: list[JSON] = []
    newer = True
    while newer:
        after = found[-1]["seq"] if found else 0
        page = person.ask("history", {"after": after, "limit": 200})
        found += page["messages"]
        newer = page["newer"]
    return found


def texts_on_page(server: ConfabServer, label: str) -> list[str]:
    """Return the texts of the messages on the page of a room, from its top."""
    pattern = r'data-seq=.*?class="message__text"[^>]*>(.*?)</div>'
    return re.findall(pattern, server.page(f"/{label}/"), re.DOTALL)


def open_page(
    server: ConfabServer, path: str, headers: dict[str, str] | None = None
) -> tuple[str, str]:
    """Request a page as a new browser; return its text and the cookie it sets."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    connection.request("GET", path, headers=headers or {})
    with connection.getresponse() as response:
        assert response.status == 200
        page = response.read().decode()
        cookie = (response.headers["Set-Cookie"] or "").partition(";")[0]
    connection.close()
    return page, cookie


@contextmanager
def minimal_client(url: str, label: str) -> Iterator[Callable[[int], list[str]]]:
    """Run MINIMAL_CLIENT; yield a function that waits for its next lines and returns them."""
    node = str(shutil.which("node"))
    words = [node, "--input-type=module", "--eval", MINIMAL_CLIENT, url, label]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout

        def next_lines(number: int) -> list[str]:
            return [output.readline().rstrip("\n") for _ in range(number)]

        try:
            yield next_lines
        finally:
            process.kill()


# Messages


@EACH_TRANSPORT
def test_ada_posts_ben_receives_and_cy_outside_does_not(
    server: ConfabServer, connect: Connect, kitchen: str, transports: tuple[str, ...]
) -> None:
    ada = connect(server.url, *transports)
    ben = connect(server.url, *transports)
    cy = connect(server.url, *transports)
    ada.join(kitchen)
    ben.join(kitchen)
    cy.join(server.room("garden"))

    answer = ada.post("Soup is ready")

    [message] = ben.hear(1)
    assert ada.hear(1) == [message]
    assert set(message) == {"label", "seq", "rev", "handle", "message", "timestamp", "mark"}
    assert message["label"] == kitchen
    assert message["handle"] == "Ada"
    assert message["message"] == "Soup is ready"
    assert message["seq"] == answer["seq"]
    assert message["rev"] == answer["rev"]
    assert message["timestamp"] == answer["timestamp"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", message["timestamp"])
    # What was sent to Cy before this answer has arrived.
    assert cy.ask("since", {"after": 0})["ok"]
    assert cy.received() == []


def test_a_polling_connection_upgrades_to_websocket(server: ConfabServer, connect: Connect) -> None:
    ada = connect(server.url, *UPGRADE)

    assert ada.wait_until("open") == "polling"
    assert ada.wait_until("upgrade") == "websocket"


def test_text_arrives_complete_around_126_bytes_where_the_frame_header_changes(
    server: ConfabServer, connect: Connect, kitchen: str
) -> None:
    ada = connect(server.url)
    ben = connect(server.url)
    ada.join(kitchen)
    ben.join(kitchen)

    for length in range(64, 96):  # sent in frames of 110 to 142 bytes
        ada.send("chat", {"handle": "Ada", "message": "b" * length})

    assert [len(text) for text in texts(ben.hear(32))] == list(range(64, 96))


def test_text_arrives_complete_around_65536_bytes_where_the_frame_header_changes(
    server: ConfabServer, connect: Connect, kitchen: str
) -> None:
    ada = connect(server.url)
    ada.join(kitchen)
    last = max(ada.post("b" * 3_600)["seq"] for _ in range(18))
    ada.ask("edit", {"seq": last, "message": "c"})
    missing = 1 + 65_536 - size_of_history_answer(server, kitchen, limit=18)

    for length in range(missing - 6, missing + 6):  # frames of about 65,530 to 65,542 bytes
        assert ada.ask("edit", {"seq": last, "message": "c" * length})["ok"]
        answer = ada.ask("history", {"limit": 18})
        assert texts(answer["messages"])[-1] == "c" * length


def size_of_history_answer(server: ConfabServer, label: str, limit: int) -> int:
    """Return the size in bytes of the packet that answers `history`."""
    with Stranger(server.url) as cy:
        cy.ask("join", {"label": label})
        call = cy.emit("history", json.dumps({"limit": limit}))
        packet = cy.receive()
        while not packet.startswith(f"43{call}"):
            packet = cy.receive()
    return len(packet.encode())


@EACH_TRANSPORT
def test_messages_sent_without_waiting_are_stored_and_received_in_the_order_sent(
    server: ConfabServer, connect: Connect, kitchen: str, transports: tuple[str, ...]
) -> None:
    ada = connect(server.url, *transports)
    ben = connect(server.url, *transports)
    sent = [f"number {number}" for number in range(40)]
    ada.join(kitchen)
    ben.join(kitchen)

    calls = [ada.send("chat", {"handle": "Ada", "message": text}) for text in sent]

    assert [ada.answer(call)["seq"] for call in calls] == list(range(1, 41))
    assert texts(ben.hear(40)) == sent
    assert texts(ada.hear(40)) == sent
    assert texts(whole_history(ben)) == sent
    assert texts_on_page(server, kitchen) == sent


@EACH_TRANSPORT
def test_concurrent_messages_are_received_by_all_in_the_same_order(
    server: ConfabServer, connect: Connect, kitchen: str, transports: tuple[str, ...]
) -> None:
    ada = connect(server.url, *transports)
    ben = connect(server.url, *transports)
    cy = connect(server.url, *transports)
    for person in (ada, ben, cy):
        person.join(kitchen)

    for number in range(40):
        ada.send("chat", {"handle": "Ada", "message": f"Ada {number}"})
        ben.send("chat", {"handle": "Ben", "message": f"Ben {number}"})

    received = cy.hear(80)
    assert ada.hear(80) == received
    assert ben.hear(80) == received
    assert whole_history(cy) == received
    assert [message["seq"] for message in received] == list(range(1, 81))
    assert texts_on_page(server, kitchen) == texts(received)[-50:]
    for name in ("Ada", "Ben"):
        own = [text for text in texts(received) if text.startswith(name)]
        assert own == [f"{name} {number}" for number in range(40)]


@pytest.mark.parametrize("keeps_cookies", [True, False], ids=["with a cookie", "without a cookie"])
def test_a_message_repeated_by_a_new_connection_is_stored_once(
    server: ConfabServer, connect: Connect, kitchen: str, keeps_cookies: bool
) -> None:
    cookie = open_page(server, f"/{kitchen}/")[1] if keeps_cookies else None
    message = {"handle": "Ada", "message": "once", "id": "0123456789abcdef"}
    ben = connect(server.url)
    first = connect(server.url, cookie=cookie)
    ben.join(kitchen)
    first.join(kitchen)
    stored = first.ask("chat", message)
    first.close()

    again = connect(server.url, cookie=cookie)
    again.join(kitchen)
    repeated = again.ask("chat", message)

    assert repeated == stored | {"duplicate": True}
    assert ben.post("twice?", "Ben")["seq"] == stored["seq"] + 1
    assert texts(ben.hear(2)) == ["once", "twice?"]
    assert texts(whole_history(ben)) == ["once", "twice?"]


def test_the_page_shows_the_last_fifty_messages(
    server: ConfabServer, connect: Connect, kitchen: str
) -> None:
    ada = connect(server.url)
    ada.join(kitchen)

    for number in range(1, 54):
        ada.post(f"number {number}")

    assert texts_on_page(server, kitchen) == [f"number {number}" for number in range(4, 54)]


def test_a_minimal_client_shows_each_message_once_although_some_change(
    server: ConfabServer, connect: Connect, kitchen: str
) -> None:
    ada = connect(server.url)
    ada.join(kitchen)
    one = ada.post("one")["seq"]
    two = ada.post("two")["seq"]

    with minimal_client(server.url, kitchen) as next_lines:
        assert next_lines(2) == ["Ada: one", "Ada: two"]
        ada.post("three")
        assert ada.ask("edit", {"seq": one, "message": "won"})["ok"]
        assert ada.ask("delete", {"seq": two})["ok"]
        four = ada.post("four")["seq"]
        assert ada.ask("edit", {"seq": four, "message": "for"})["ok"]
        ada.post("five")
        assert next_lines(3) == ["Ada: three", "Ada: four", "Ada: five"]
    assert len(ada.hear(3, "change")) == 3

    with minimal_client(server.url, kitchen) as next_lines:
        ada.post("six")
        latest = ["Ada: won", ": ", "Ada: three", "Ada: for", "Ada: five", "Ada: six"]
        assert next_lines(6) == latest


# Identity


def test_a_token_restores_the_identity_of_a_client_without_cookies(
    server: ConfabServer, connect: Connect, kitchen: str
) -> None:
    adas_you = connect(server.url).join(kitchen)["you"]
    bens_you = connect(server.url).join(kitchen)["you"]
    content = adas_you["token"].rpartition(".")[0]
    bens_signature = bens_you["token"].rpartition(".")[2]

    again = connect(server.url, token=adas_you["token"]).join(kitchen)["you"]
    forged = connect(server.url, token=f"{content}.{bens_signature}").join(kitchen)["you"]

    assert again["mark"] == adas_you["mark"]
    assert len({adas_you["mark"], bens_you["mark"], forged["mark"]}) == 3


def test_a_page_and_its_connection_have_the_same_identity(
    server: ConfabServer, connect: Connect, kitchen: str
) -> None:
    page, cookie = open_page(server, f"/{kitchen}/")

    you = connect(server.url, cookie=cookie).join(kitchen)["you"]

    assert f'"you":{{"mark":"{you["mark"]}"}}' in page.replace(" ", "")
    assert "token" not in you


# HTTP


def test_head_answers_like_get_without_a_body(server: ConfabServer, kitchen: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)

    def request(method: str, path: str) -> tuple[int, str | None, bytes]:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read()

    for path in (
        "/healthz",
        "/readyz",
        "/",
        f"/{kitchen}/",
        f"/{kitchen}/qr.svg",
        "/help/",
        "/no.page",
    ):
        head = request("HEAD", path)
        # A body sent after the headers of HEAD would be read as the answer to this request.
        status, media_type, body = request("GET", path)
        assert head == (status, media_type, b"")
        assert body
    connection.close()


def test_twenty_simultaneous_first_visits_create_one_room(server: ConfabServer) -> None:
    all_ready = threading.Barrier(20)

    def visit(_number: int) -> str:
        all_ready.wait()
        return open_page(server, "/brand-new/")[0]

    with ThreadPoolExecutor(20) as visitors:
        visited = list(visitors.map(visit, range(20)))

    assert len(set(re.findall(r'"epoch": ?"(\w+)"', "".join(visited)))) == 1
    number_of_rooms = select(func.count()).select_from(rooms).where(Room.label == "brand-new")
    with server.database() as database, database.connect() as connection:
        assert connection.scalar(number_of_rooms) == 1


@pytest.mark.parametrize(("trusted", "scheme"), [("127.0.0.1", "https"), ("192.0.2.1", "http")])
def test_the_qr_code_has_the_scheme_that_only_a_trusted_proxy_can_set(
    tmp_path: Path, trusted: str, scheme: str
) -> None:
    with gunicorn(tmp_path, FORWARDED_ALLOW_IPS=trusted) as server:
        code, _ = open_page(server, "/kitchen/qr.svg", {"X-Forwarded-Proto": "https"})

        host = urlsplit(server.url).netloc
        assert code.encode() == pages.qr_svg(f"{scheme}://{host}/kitchen/")


# Crashes and load


def test_acknowledged_messages_survive_a_killed_server(
    own_server: ConfabServer, connect: Connect
) -> None:
    def message(number: int) -> JSON:
        text = f"number {number}"
        return {"handle": "Ada", "message": text, "id": f"ada-says-number-{number}"}

    label = own_server.room("kitchen")
    ada = connect(own_server.url)
    token = ada.join(label)["you"]["token"]
    calls = [ada.send("chat", message(number)) for number in range(500)]
    ada.answer(calls[40])
    own_server.kill()
    ada.wait_until("disconnect")
    acknowledged = [f"number {call - calls[0]}" for call in sorted(ada.answers) if call in calls]

    own_server.start()
    again = connect(own_server.url, token=token)
    again.join(label)
    found = whole_history(again)

    assert 40 < len(acknowledged) < 500  # the server was killed between the first and the last
    assert texts(found)[: len(acknowledged)] == acknowledged
    assert [each["seq"] for each in found] == list(range(1, len(found) + 1))

    for number in range(500):  # a client that does not know what was stored sends everything again
        again.send("chat", message(number))
    again.hear(500 - len(found))
    history = whole_history(again)
    assert texts(history) == [f"number {number}" for number in range(500)]
    assert len({each["mark"] for each in history}) == 1


def test_a_burst_of_one_client_does_not_delay_other_requests(
    server: ConfabServer, kitchen: str
) -> None:
    burst = 500
    with Stranger(server.url) as ada:
        ada.ask("join", {"label": kitchen})
        message = json.dumps({"handle": "Ada", "message": "and another thing"})
        calls = [ada.emit("chat", message) for _ in range(burst)]

        first_head = ada.answer(calls[0])["head"]
        head_meanwhile = server.head(kitchen)

        assert first_head == 1
        assert head_meanwhile < burst
        assert ada.answer(calls[-1])["head"] == burst


def test_a_request_body_with_many_messages_does_not_delay_other_requests(
    server: ConfabServer, kitchen: str
) -> None:
    ada = Polling(server.url)
    number_of_messages = 600
    join = f'42["join",{{"label":"{kitchen}"}}]'
    chat = f"42{json.dumps(['chat', {'handle': 'Ada', 'message': 'and'}])}"
    packets = [join, *[chat] * number_of_messages]

    with ThreadPoolExecutor(1) as thread:
        sent = thread.submit(ada.request, "POST", "\x1e".join(packets))
        heads = {0}
        while max(heads) < number_of_messages:
            heads.add(server.head(kitchen))

    assert sent.result() == (200, "OK")
    # At least one request was answered while the messages were being stored.
    assert heads > {0, number_of_messages}


def test_answers_are_not_delayed_by_nagles_algorithm(server: ConfabServer, kitchen: str) -> None:
    seconds = []
    with Stranger(server.url) as ada:
        ada.ask("join", {"label": kitchen})
        for _ in range(21):
            started = time.monotonic()
            assert ada.ask("chat", {"handle": "Ada", "message": "hello"})["ok"]
            seconds.append(time.monotonic() - started)

    # With Nagle's algorithm, a small packet waits 40 ms for the acknowledgement of the one before.
    assert sorted(seconds)[5] < 0.03
