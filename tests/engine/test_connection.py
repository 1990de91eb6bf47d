"""The engine: what goes to a room is written once, in order, and whoever does not read harms nobody."""

import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from chat.engine import compat
from tests.clients import PING, UPGRADE, WEBSOCKET, Closed, Node, Polling, Stranger, WebSocket
from tests.conftest import Log, Patch
from tests.servers import ROOT, ConfabServer, gunicorn, resident_bytes, wait_until

pytestmark = pytest.mark.servers

SLOWER = "Everything works, but slower"
KITCHENS = count(1)
UNREAD_SECONDS = float(
    os.environ.get("UNREAD_SECONDS", "0")
)  # at least: they come again and again; 60 in full


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    with gunicorn(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def kitchen(server: ConfabServer) -> str:
    return server.room(f"kitchen-{next(KITCHENS)}")


def in_room(server: ConfabServer, label: str) -> Stranger:
    person = Stranger(server.url)
    assert person.ask("join", {"label": label})["ok"]
    return person


def post(person: Stranger, message: str) -> int:
    return person.emit("chat", json.dumps({"handle": "Ada", "message": message}))


def talk(server: ConfabServer) -> None:
    """Ada says something, and Ben hears it, over every way there is."""
    with Node() as node:
        label = server.room(f"kitchen-{next(KITCHENS)}")
        ada, ben = node.person(server.url, WEBSOCKET), node.person(server.url, UPGRADE)
        ada.join(label)
        ben.join(label)
        ada.post("Hello")
        assert ben.hear(1)[0]["message"] == "Hello"


def test_the_libraries_are_what_the_engine_was_made_for(server: ConfabServer) -> None:
    talk(server)

    assert SLOWER not in server.log()


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    with gunicorn(tmp_path, ENGINE="off") as server:
        talk(server)

        assert SLOWER not in server.log()


def test_where_a_library_is_not_what_it_was_people_talk_all_the_same_and_the_log_says_so(
    tmp_path: Path,
) -> None:
    changed = tmp_path / "changed.py"
    changed.write_text(f"""
exec(open({str(ROOT / "gunicorn.conf.py")!r}).read())
tell_app = post_fork

def post_fork(server, worker):
    from engineio.socket import Socket
    schedule = Socket.schedule_ping
    Socket.schedule_ping = lambda socket: schedule(socket)
    tell_app(server, worker)
""")
    with gunicorn(tmp_path / "server") as server:
        server.stop()
        server.words += ["-c", str(changed)]
        server.start()

        talk(server)

        assert server.log().count(f"{SLOWER}: engineio.socket:Socket.schedule_ping is not") == 1


def test_what_cannot_be_found_counts_as_changed(monkeypatch: Patch, caplog: Log) -> None:
    monkeypatch.setattr(compat, "async_mode", lambda: "eventlet")
    monkeypatch.setattr(
        compat,
        "FINGERPRINTS",
        {"json:dumps.nothing": "00000000", "no.such.module:name": "00000000"},
    )

    with caplog.at_level(logging.WARNING):
        compat.install(None)

    assert "json:dumps.nothing, no.such.module:name" in caplog.text


def test_who_reads_slowly_gets_all_in_order_and_no_frame_is_broken(
    server: ConfabServer, kitchen: str
) -> None:
    with Stranger(server.url) as slow, in_room(server, kitchen) as ada:
        slow._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.ask("join", {"label": kitchen})
        for number in range(150):  # 600 KB: more than the kernel takes while nobody reads
            post(ada, f"{number} ".ljust(4_000, "b"))
            if number % 10 == 0:
                slow.send(b"%d" % number, PING)
                slow.emit("since", '{"after": 0, "limit": 1}')
        assert ada.answer(151)["ok"]

        received = [int(slow.hear()[1]["message"].split()[0]) for _ in range(150)]

        assert received == list(range(150))
        wait_until(lambda: slow.answer(16)["ok"], what="every question of its own is answered")
        assert sorted(slow.answers) == list(range(1, 17))


def test_an_answer_comes_after_what_it_was_said_before(server: ConfabServer, kitchen: str) -> None:
    with in_room(server, kitchen) as ada:
        for number in range(50):
            call = post(ada, str(number))
            ada.answer(call)
            assert ada.hear()[1]["message"] == str(number)
            assert not ada._heard


def test_many_talk_at_once_and_everybody_hears_the_same_order(
    server: ConfabServer, kitchen: str
) -> None:
    def chatter(person: Stranger) -> list[int]:
        for number in range(20):
            post(person, str(number))
        return [person.hear()[1]["rev"] for _ in range(200)]

    with ExitStack() as stack, ThreadPoolExecutor(10) as pool:
        people = [stack.enter_context(in_room(server, kitchen)) for _ in range(10)]

        received = list(pool.map(chatter, people))

    assert received == [list(range(1, 201))] * 10


def test_nothing_is_lost_while_somebody_changes_over_from_polling(
    server: ConfabServer, kitchen: str
) -> None:
    talking, said = threading.Event(), count(1)

    def chatter() -> None:
        with in_room(server, kitchen) as ada:
            while not talking.is_set():
                ada.answer(post(ada, str(next(said))))

    with Node() as node, ThreadPoolExecutor(1) as pool:
        chatting = pool.submit(chatter)
        people = [node.person(server.url, UPGRADE) for _ in range(5)]
        heads = [person.join(kitchen)["head"] for person in people]
        for person in people:
            person.wait_until("upgrade")
        talking.set()
        chatting.result()
        last = next(said) - 1

        for person, head in zip(people, heads, strict=True):
            assert [each["rev"] for each in person.hear(last - head)] == list(
                range(head + 1, last + 1)
            )


@pytest.mark.parametrize("probe", ["5", "2", "42[]", "3probe", "2probe"])
def test_an_upgrade_that_is_none_ends_and_leaves_the_polling_alone(
    server: ConfabServer, kitchen: str, probe: str
) -> None:
    ada = Polling(server.url)
    with WebSocket(server.url, f"{ada.path.replace('polling', 'websocket')}") as connection:
        connection.send(probe)
        connection.send("nonsense")
        with pytest.raises(Closed):
            ended(connection)

    with in_room(server, kitchen) as ben:
        joins, speaks = (
            f'421["join",{{"label":"{kitchen}"}}]',
            '422["chat",{"handle":"Ada","message":"Still here"}]',
        )
        ada.request("POST", f"{joins}\x1e{speaks}")
        assert ben.hear()[1]["message"] == "Still here"


def ended(connection: WebSocket) -> None:
    """Wait until the server closes. Raises Closed."""
    while True:
        connection.receive()


@pytest.mark.timeout(60 + UNREAD_SECONDS)
def test_twenty_who_do_not_read_are_cut_off_and_keep_nobody_waiting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with gunicorn(tmp_path) as server, ExitStack() as stack:
        server.room("kitchen")
        (worker,) = server.processes()[1:]
        ada, ben = (stack.enter_context(in_room(server, "kitchen")) for _ in range(2))
        before, most, began = resident_bytes(worker), 0, time.monotonic()
        waits, abort = list[float](), list[float]()

        def files() -> int:
            return len(list(Path(f"/proc/{worker}/fd").iterdir()))

        while not abort or time.monotonic() - began < UNREAD_SECONDS:
            for _ in range(20):
                mallory = stack.enter_context(in_room(server, "kitchen"))
                mallory._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            came, open_files = time.monotonic(), files()
            while files() > open_files - 20:
                assert time.monotonic() - came < 20, "each is cut off within 20 seconds"
                said = time.monotonic()
                post(ada, "b" * 4_000)
                ben.hear()
                waits.append(time.monotonic() - said)
                ada.hear()
                most = max(most, resident_bytes(worker) - before)
                time.sleep(0.02)
            abort.append(time.monotonic() - came)

        p99 = sorted(waits)[int(len(waits) * 0.99)]
        with capsys.disabled():
            sys.stdout.write(
                f"\n{len(abort)} times twenty came and did not read, and were cut off within {max(abort):.1f} s; of "
                f"{len(waits)} messages 99% were heard within {p99 * 1000:.0f} ms, and the worker had at most "
                f"{most / 1e6:.1f} MB more in memory.\n"
            )
        assert p99 <= 0.2
        assert most <= 40_000_000


def test_who_closes_properly_is_answered_properly(server: ConfabServer) -> None:
    with Stranger(server.url) as ada:
        ada.send(b"\x03\xe8", 8)

        with pytest.raises(Closed) as closed:
            ada.hear()

    assert closed.value.code == 1000


def test_those_who_leave_leave_nothing_behind(server: ConfabServer, kitchen: str) -> None:
    (worker,) = server.processes()[1:]
    files = Path(f"/proc/{worker}/fd")

    def come_and_go(goodbye: Any) -> None:
        with in_room(server, kitchen) as person:
            person.send(*goodbye) if goodbye else None

    for goodbye in ((), ("41",), ("1",), (b"\x03\xe8", 8), (b"\xff", 11)) * 2:
        come_and_go(goodbye)
    before = len(list(files.iterdir()))
    for goodbye in ((), ("41",), ("1",), (b"\x03\xe8", 8), (b"\xff", 11)) * 10:
        come_and_go(goodbye)

    wait_until(lambda: len(list(files.iterdir())) <= before, what="no file is left open")
    with in_room(server, kitchen) as ada:
        wait_until(
            lambda: len(ada.ask("join", {"label": kitchen})["people"]) == 1,
            15,
            "those who left are gone",
        )
