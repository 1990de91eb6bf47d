"""People with the real socket.io-client, on every server and over every transport."""

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

TRANSPORTS = pytest.mark.parametrize(
    "transports", [POLLING, WEBSOCKET, UPGRADE], ids=["polling", "websocket", "the upgrade"]
)
A_CLIENT_OF_TEN_LINES = """
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

KITCHENS = count(1)

Meet = Callable[..., Person]


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConfabServer]:
    """A server for all tests: what happens in one room does not matter in another."""
    with SERVERS[request.param](tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(params=SERVERS)
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ConfabServer]:
    """A server that a test may do to what it likes."""
    with SERVERS[request.param](tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """The process in which everybody's socket.io-client runs."""
    with Node() as process:
        yield process


@pytest.fixture
def kitchen(server: ConfabServer) -> str:
    """A room that only this test knows."""
    return server.room(f"kitchen-{next(KITCHENS)}")


@pytest.fixture
def meet(node: Node) -> Iterator[Meet]:
    """Meet somebody at an address; everybody goes home in the end."""
    met: list[Person] = []

    def somebody(url: str, *transports: str, **more: str) -> Person:
        met.append(node.person(url, transports or WEBSOCKET, **more))
        return met[-1]

    yield somebody
    for person in met:
        person.close()


def texts(said: list[JSON]) -> list[str]:
    return [each["message"] for each in said]


def whole_history(person: Person) -> list[JSON]:
    """Everything in the room, as it stands, a page at a time."""
    found: list[JSON] = []
    newer = True
    while newer:
        page = person.ask("history", {"after": found[-1]["seq"] if found else 0, "limit": 200})
        found += page["messages"]
        newer = page["newer"]
    return found


def on_the_page(server: ConfabServer, label: str) -> list[str]:
    """The messages somebody reads in the page of a room, from its top."""
    return re.findall(
        r'data-seq=.*?class="message__text"[^>]*>(.*?)</div>', server.page(f"/{label}/"), re.DOTALL
    )


@TRANSPORTS
def test_ada_speaks_ben_hears_and_cy_outside_does_not(
    server: ConfabServer, meet: Meet, kitchen: str, transports: tuple[str, ...]
) -> None:
    ada, ben, cy = (meet(server.url, *transports) for _ in range(3))
    ada.join(kitchen)
    ben.join(kitchen)
    cy.join(server.room("garden"))

    answer = ada.post("Soup is ready")

    (said,) = ben.hear(1)
    assert ada.hear(1) == [said]
    assert set(said) == {"label", "seq", "rev", "handle", "message", "timestamp", "mark"}
    assert (said["label"], said["handle"], said["message"]) == (kitchen, "Ada", "Soup is ready")
    assert (said["seq"], said["rev"], said["timestamp"]) == (
        answer["seq"],
        answer["rev"],
        answer["timestamp"],
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said["timestamp"])
    assert cy.ask("since", {"after": 0})["ok"]  # what was sent to Cy before this answer has arrived
    assert cy.received() == []


def test_a_line_that_begins_with_polling_becomes_a_websocket(
    server: ConfabServer, meet: Meet
) -> None:
    ada = meet(server.url, *UPGRADE)

    assert ada.wait_until("open") == "polling"
    assert ada.wait_until("upgrade") == "websocket"


def test_text_arrives_whole_at_every_length_where_frames_change_their_form(
    server: ConfabServer, meet: Meet, kitchen: str
) -> None:
    ada, ben = meet(server.url), meet(server.url)
    for person in (ada, ben):
        person.join(kitchen)
    for length in range(64, 96):  # sent in frames of 110 to 142 bytes
        ada.send("chat", {"handle": "Ada", "message": "b" * length})
    assert [len(text) for text in texts(ben.hear(32))] == list(range(64, 96))

    last = max(ada.post("b" * 3_600)["seq"] for _ in range(18))
    ada.ask("edit", {"seq": last, "message": "c"})
    with Stranger(server.url) as cy:
        cy.ask("join", {"label": kitchen})
        cy.emit("history", '{"limit": 18}')
        while not (packet := cy.receive()).startswith("432"):
            pass
    needed = 1 + 65_536 - len(packet.encode())
    for length in range(needed - 6, needed + 6):  # told in frames of about 65,530 to 65,542 bytes
        assert ada.ask("edit", {"seq": last, "message": "c" * length})["ok"]
        assert texts(ada.ask("history", {"limit": 18})["messages"])[-1] == "c" * length


@TRANSPORTS
def test_forty_messages_sent_without_waiting_are_heard_and_stored_in_the_order_sent(
    server: ConfabServer, meet: Meet, kitchen: str, transports: tuple[str, ...]
) -> None:
    ada, ben = meet(server.url, *transports), meet(server.url, *transports)
    forty = [f"number {number}" for number in range(40)]
    ada.join(kitchen)
    ben.join(kitchen)

    calls = [ada.send("chat", {"handle": "Ada", "message": text}) for text in forty]

    assert [ada.answer(call)["seq"] for call in calls] == list(range(1, 41))
    assert texts(ben.hear(40)) == texts(ada.hear(40)) == forty
    assert texts(whole_history(ben)) == forty
    assert on_the_page(server, kitchen) == forty


@TRANSPORTS
def test_when_two_speak_at_once_everybody_sees_one_and_the_same_order(
    server: ConfabServer, meet: Meet, kitchen: str, transports: tuple[str, ...]
) -> None:
    ada, ben, cy = everybody = [meet(server.url, *transports) for _ in range(3)]
    for person in everybody:
        person.join(kitchen)

    for number in range(40):
        ada.send("chat", {"handle": "Ada", "message": f"Ada {number}"})
        ben.send("chat", {"handle": "Ben", "message": f"Ben {number}"})

    received = cy.hear(80)
    assert ada.hear(80) == ben.hear(80) == received
    assert whole_history(cy) == received
    assert [each["seq"] for each in received] == list(range(1, 81))
    assert on_the_page(server, kitchen) == texts(received)[-50:]
    for name in ("Ada", "Ben"):
        own = [text for text in texts(received) if text.startswith(name)]
        assert own == [f"{name} {number}" for number in range(40)]


@pytest.mark.parametrize("keeps_cookies", [True, False], ids=["with a cookie", "without a cookie"])
def test_the_same_id_twice_is_one_message(
    server: ConfabServer, meet: Meet, kitchen: str, keeps_cookies: bool
) -> None:
    cookie = visit(server, kitchen)[1] if keeps_cookies else None
    said = {"handle": "Ada", "message": "once", "id": "0123456789abcdef"}
    ben, first = meet(server.url), meet(server.url, cookie=cookie)
    ben.join(kitchen)
    first.join(kitchen)
    stored = first.ask("chat", said)
    first.close()

    again = meet(server.url, cookie=cookie)
    again.join(kitchen)
    repeated = again.ask("chat", said)

    assert repeated == stored | {"duplicate": True}
    assert ben.post("twice?", "Ben")["seq"] == stored["seq"] + 1
    assert texts(ben.hear(2)) == texts(whole_history(ben)) == ["once", "twice?"]


def test_of_fifty_three_messages_the_page_shows_the_last_fifty(
    server: ConfabServer, meet: Meet, kitchen: str
) -> None:
    ada = meet(server.url)
    ada.join(kitchen)

    for number in range(1, 54):
        ada.post(f"number {number}")

    assert on_the_page(server, kitchen) == [f"number {number}" for number in range(4, 54)]


def test_a_client_of_ten_lines_shows_each_message_once_although_some_change(
    server: ConfabServer, meet: Meet, kitchen: str
) -> None:
    ada = meet(server.url)
    ada.join(kitchen)
    one, two = (ada.post(text)["seq"] for text in ("one", "two"))

    with ten_lines(server.url, kitchen) as show:
        assert show(2) == ["Ada: one", "Ada: two"]
        ada.post("three")
        assert ada.ask("edit", {"seq": one, "message": "won"})["ok"]
        assert ada.ask("delete", {"seq": two})["ok"]
        four = ada.post("four")["seq"]
        assert ada.ask("edit", {"seq": four, "message": "for"})["ok"]
        ada.post("five")
        assert show(3) == ["Ada: three", "Ada: four", "Ada: five"]
    assert len(ada.hear(3, "change")) == 3

    with ten_lines(server.url, kitchen) as show:
        ada.post("six")
        assert show(6) == ["Ada: won", "Ada: ", "Ada: three", "Ada: for", "Ada: five", "Ada: six"]


def test_a_token_makes_somebody_without_cookies_the_same_person_again(
    server: ConfabServer, meet: Meet, kitchen: str
) -> None:
    you, somebody_else = (meet(server.url).join(kitchen)["you"] for _ in range(2))
    (said, _, _), (_, _, signature) = (
        each["token"].rpartition(".") for each in (you, somebody_else)
    )

    again = meet(server.url, token=you["token"]).join(kitchen)["you"]
    forged = meet(server.url, token=f"{said}.{signature}").join(kitchen)["you"]

    assert again["mark"] == you["mark"]
    assert len({you["mark"], somebody_else["mark"], forged["mark"]}) == 3


def test_the_page_and_its_line_are_one_person(
    server: ConfabServer, meet: Meet, kitchen: str
) -> None:
    page, cookie = visit(server, kitchen)

    you = meet(server.url, cookie=cookie).join(kitchen)["you"]

    assert f'"you":{{"mark":"{you["mark"]}"}}' in page.replace(" ", "")
    assert "token" not in you


def test_head_answers_as_get_without_a_body(server: ConfabServer, kitchen: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)

    def ask(method: str, path: str) -> tuple[int, str | None, bytes]:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()

    for path in (
        "/healthz",
        "/readyz",
        "/",
        f"/{kitchen}/",
        f"/{kitchen}/qr.svg",
        "/help/",
        "/no.page",
    ):
        head = ask("HEAD", path)
        page = ask("GET", path)  # what followed the headers of HEAD would be read as this answer
        assert head == (*page[:2], b"")
        assert page[2]
    connection.close()


def test_twenty_people_who_open_the_same_new_room_at_once_are_in_one_room(
    server: ConfabServer,
) -> None:
    together = threading.Barrier(20)

    def open_page(_: int) -> str:
        together.wait()
        return visit(server, "brand-new")[0]

    with ThreadPoolExecutor(20) as twenty:
        pages = list(twenty.map(open_page, range(20)))

    assert len(set(re.findall(r'"epoch": ?"(\w+)"', "".join(pages)))) == 1
    with server.database() as database, database.connect() as connection:
        assert (
            connection.scalar(
                select(func.count()).select_from(rooms).where(Room.label == "brand-new")
            )
            == 1
        )


def test_what_was_acknowledged_is_there_after_the_server_was_killed(
    own_server: ConfabServer, meet: Meet
) -> None:
    def said(number: int) -> JSON:
        return {"handle": "Ada", "message": f"number {number}", "id": f"ada-says-number-{number}"}

    server, label = own_server, own_server.room("kitchen")
    ada = meet(server.url)
    token = ada.join(label)["you"]["token"]
    calls = [ada.send("chat", said(number)) for number in range(500)]
    ada.answer(calls[40])
    server.kill()
    ada.wait_until("disconnect")
    acknowledged = [f"number {call - calls[0]}" for call in sorted(ada.answers) if call in calls]

    server.start()
    again = meet(server.url, token=token)
    again.join(label)
    found = whole_history(again)

    assert 40 < len(acknowledged) < 500  # the server died in the midst of it
    assert texts(found)[: len(acknowledged)] == acknowledged
    assert [each["seq"] for each in found] == list(range(1, len(found) + 1))

    for number in range(500):  # whoever does not know what has arrived says it all again
        again.send("chat", said(number))
    again.hear(500 - len(found))
    assert texts(whole_history(again)) == [f"number {number}" for number in range(500)]
    assert len({each["mark"] for each in whole_history(again)}) == 1


def test_a_burst_of_one_person_does_not_keep_the_others_waiting(
    server: ConfabServer, kitchen: str
) -> None:
    burst = 500
    with Stranger(server.url) as ada:
        ada.ask("join", {"label": kitchen})
        said = json.dumps({"handle": "Ada", "message": "and another thing"})
        first, *_, last = [ada.emit("chat", said) for _ in range(burst)]

        head = ada.answer(first)["head"]
        stored_meanwhile = server.head(kitchen)

        assert head == 1
        assert stored_meanwhile < burst
        assert ada.answer(last)["head"] == burst


def test_a_body_of_many_messages_does_not_keep_the_others_waiting(
    server: ConfabServer, kitchen: str
) -> None:
    ada, many = Polling(server.url), 200
    said = json.dumps({"handle": "Ada", "message": "and"})
    packets = [f'42["join",{{"label":"{kitchen}"}}]', *[f'42["chat",{said}]'] * many]

    with ThreadPoolExecutor(1) as thread:
        sent = thread.submit(ada.request, "POST", "\x1e".join(packets))
        heads = {0}
        while max(heads) < many:
            heads.add(server.head(kitchen))

    assert sent.result() == (200, "OK")
    assert heads > {0, many}  # somebody was answered in the midst of it


def test_an_answer_does_not_wait_for_the_network(server: ConfabServer, kitchen: str) -> None:
    took = []
    with Stranger(server.url) as ada:
        ada.ask("join", {"label": kitchen})
        for _ in range(21):
            begun = time.monotonic()
            assert ada.ask("chat", {"handle": "Ada", "message": "hello"})["ok"]
            took.append(time.monotonic() - begun)

    # A small packet held back until the one before it is acknowledged costs 40 ms, every time.
    assert sorted(took)[5] < 0.03


def visit(server: ConfabServer, label: str) -> tuple[str, str]:
    """Open the page of a room with a new browser: the page, and the cookie it got."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    connection.request("GET", f"/{label}/")
    with connection.getresponse() as response:
        assert response.status == 200
        page = response.read().decode()
        cookie = (response.headers["Set-Cookie"] or "").partition(";")[0]
    connection.close()
    return page, cookie


@contextmanager
def ten_lines(url: str, label: str) -> Iterator[Callable[[int], list[str]]]:
    """The smallest client there is, printing; a function that reads its next lines."""
    words = [
        str(shutil.which("node")),
        "--input-type=module",
        "--eval",
        A_CLIENT_OF_TEN_LINES,
        url,
        label,
    ]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        out = process.stdout
        try:
            yield lambda lines: [out.readline().rstrip("\n") for _ in range(lines)]
        finally:
            process.kill()


@pytest.mark.parametrize(("trusted", "scheme"), [("127.0.0.1", "https"), ("192.0.2.1", "http")])
def test_the_code_of_a_room_has_the_scheme_that_a_trusted_proxy_names(
    tmp_path: Path, trusted: str, scheme: str
) -> None:
    with gunicorn(tmp_path, FORWARDED_ALLOW_IPS=trusted) as server:
        place = urlsplit(server.url).netloc
        connection = http.client.HTTPConnection(place, timeout=30)
        connection.request("GET", "/kitchen/qr.svg", headers={"X-Forwarded-Proto": "https"})
        with connection.getresponse() as response:
            assert response.read() == pages.qr_svg(f"{scheme}://{place}/kitchen/")
        connection.close()
